"""Settings of multi-task imitation: reading them imports no method."""

from dataclasses import dataclass

from gmps.core.choices import Activation, Baseline, Imitation
from gmps.settings import Settings, setting


@dataclass(frozen=True)
class MultitaskBcConfig(Settings):
    """Settings of one policy for all tasks, by imitation of the experts."""

    pretrain_steps: int = setting(3000, at_least=0)
    """Steps of imitation before the first round."""
    steps: int = setting(200, at_least=1)
    """Steps of imitation in a round."""
    learning_rate: float = setting(1e-3, above=0)
    """Adam's learning rate."""
    labels: int = setting(30, at_least=1)
    """Labels of each task in one step of imitation."""
    imitation: Imitation = "huber"
    """Imitation loss, as of GMPS."""
    episodes: int = setting(20, at_least=1)
    """Episodes of each task for one plain policy-gradient step."""
    stds: tuple[float, ...] = setting(
        (0.2, 0.35, 0.5, 1.0), above=0, at_most=100, not_empty="standard deviation to try"
    )
    """Standard deviations of the exploration that are tried on the training tasks."""
    step_sizes: tuple[float, ...] = setting(
        (0.003, 0.006, 0.012, 0.025, 0.05, 0.1, 0.2, 0.4), at_least=0, not_empty="step size to try"
    )
    """Step sizes of the plain step that are tried with each."""
    tune_every: int = setting(10, at_least=1)
    """Rounds between two such searches; the first round has one."""
    measure_episodes: int = setting(4, at_least=1)
    """Episodes that measure one candidate, or the adapted policy, in one task."""
    baseline: Baseline = "linear"
    """What the plain step subtracts from returns, as of GMPS."""
    bias_size: int = setting(4, at_least=0)
    """Size of the bias transformation; 0 switches it off."""
    hidden: tuple[int, ...] = setting((100, 100), at_least=1, not_empty="layer")
    """Hidden layers of the policy."""
    activation: Activation = "relu"
    """Of the hidden layers."""
    std: float = setting(0.5, above=0, at_most=100)
    """Standard deviation of an untrained policy's actions: the zero of the normalised score."""
    normalise: bool = True
    """Shift and scale observations by the mean and standard deviation of the experts' data."""
