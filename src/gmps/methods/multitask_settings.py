"""Settings of multi-task reinforcement learning: reading them imports no method."""

from dataclasses import dataclass, field

from gmps.core.choices import Activation
from gmps.core.trust_region_settings import TrustRegionConfig
from gmps.methods.outer_settings import Outer, PpoConfig
from gmps.settings import Settings, setting


@dataclass(frozen=True)
class MultitaskConfig(Settings):
    """Settings of one policy for all tasks, by reinforcement learning."""

    episodes: int = setting(20, at_least=1)
    """Episodes of each task in a round, and of each candidate's plain step."""
    step_sizes: tuple[float, ...] = setting(
        (0.003, 0.006, 0.012, 0.025, 0.05, 0.1, 0.2, 0.4), at_least=0, not_empty="step size to try"
    )
    """Step sizes of the plain step that are tried on the training tasks."""
    tune_every: int = setting(10, at_least=1)
    """Rounds between two such searches; the first round has one."""
    measure_episodes: int = setting(4, at_least=1)
    """Episodes that measure one candidate, or the adapted policy, in one task."""
    bias_size: int = setting(4, at_least=0)
    """Size of the bias transformation; 0 switches it off."""
    hidden: tuple[int, ...] = setting((100, 100), at_least=1, not_empty="layer")
    """Hidden layers of the policy."""
    activation: Activation = "relu"
    """Of the hidden layers."""
    std: float = setting(0.5, above=0, at_most=100)
    """Initial standard deviation of the actions."""
    normalise: bool = True
    """Shift and scale observations by the mean and std of the first round's own episodes."""
    discount: float = setting(0.99, at_least=0, at_most=1)
    """Discount of the returns."""
    gae_lambda: float = setting(1.0, at_least=0, at_most=1)
    """Lambda of generalised advantage estimation."""
    outer: Outer = "trpo"
    """How the policy learns: trpo or ppo."""
    trust_region: TrustRegionConfig = field(default_factory=TrustRegionConfig)
    """Settings of the trpo step."""
    ppo: PpoConfig = field(default_factory=PpoConfig)
    """Settings of the ppo steps."""
