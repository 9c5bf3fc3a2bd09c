"""Settings of the plain control: reading them imports no method."""

from dataclasses import dataclass

from gmps.core.choices import Baseline, Imitation
from gmps.settings import Settings, setting


@dataclass(frozen=True)
class PlainConfig(Settings):
    """Settings of the plain control."""

    steps: int = setting(3000, at_least=1)
    """Steps of imitation."""
    learning_rate: float = setting(1e-3, above=0)
    """Adam's learning rate."""
    labels: int = setting(30, at_least=1)
    """Labels of each task in one step of imitation."""
    imitation: Imitation = "huber"
    """Imitation loss, as the method's."""
    episodes: int = setting(20, at_least=1)
    """Episodes for the policy-gradient step."""
    stds: tuple[float, ...] = setting(
        (0.2, 0.35, 0.5, 1.0), above=0, at_most=100, not_empty="standard deviation to try"
    )
    """Standard deviations of the exploration that are tried."""
    step_sizes: tuple[float, ...] = setting(
        (0.003, 0.006, 0.012, 0.025, 0.05, 0.1, 0.2, 0.4), at_least=0, not_empty="step size to try"
    )
    """Step sizes that are tried."""
    measure_episodes: int = setting(4, at_least=1)
    """Episodes that measure one candidate in one task, without action noise."""
    baseline: Baseline = "linear"
    """Baseline of the step's advantages; time or zero on pictures."""
