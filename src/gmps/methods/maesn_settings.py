"""Settings of MAESN: reading them imports no method."""

from dataclasses import dataclass, field

from gmps.core.choices import Activation
from gmps.core.trust_region_settings import TrustRegionConfig
from gmps.settings import Settings, setting


@dataclass(frozen=True)
class MaesnConfig(Settings):
    """Settings of MAESN."""

    latent: int = setting(2, at_least=1)
    """Size of the latent z."""
    kl_weight: float = setting(0.1, at_least=0)
    """Weight of KL(latent || prior), the mean over training tasks before the inner step."""
    episodes: int = setting(20, at_least=1)
    """Episodes of each task before the inner step, each with a z of its own; as many after it."""
    step_size: float = setting(8.0, at_least=0)
    """Initial step size alpha of the latent's mean and log deviation."""
    learn_step_sizes: bool = True
    """Whether the outer loop changes the step sizes, one for each number."""
    hidden: tuple[int, ...] = setting((100, 100), at_least=1, not_empty="layer")
    """Hidden layers of the policy."""
    activation: Activation = "relu"
    """Of the hidden layers."""
    std: float = setting(0.5, above=0, at_most=100)
    """Initial standard deviation of the actions, given z."""
    learn_std: bool = True
    """Whether the outer loop changes the standard deviation."""
    normalise: bool = True
    """Shift and scale observations by the mean and std of the first round's own episodes, or of the
    experts' data where these make the start."""
    pretrain_steps: int = setting(0, at_least=0, before=0)
    """Steps of imitation of the experts' labels, each task's with its own latent, before the first
    round; 0: no expert is asked."""
    discount: float = setting(0.99, at_least=0, at_most=1)
    """Discount of the returns, in both loops."""
    gae_lambda: float = setting(1.0, at_least=0, at_most=1)
    """Lambda of generalised advantage estimation, in both loops."""
    trust_region: TrustRegionConfig = field(default_factory=TrustRegionConfig)
    """Settings of the outer step."""

    @property
    def bias_size(self) -> int:
        """Size of the network's bias transformation: the latent takes its place."""
        return self.latent
