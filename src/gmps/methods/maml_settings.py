"""Settings of MAML: reading them imports no method."""

from dataclasses import dataclass, field
from typing import Literal

from gmps.core.choices import Activation, StepSizeKind, Subset
from gmps.core.trust_region_settings import TrustRegionConfig
from gmps.methods.outer_settings import Outer, PpoConfig
from gmps.settings import Settings, setting


@dataclass(frozen=True)
class MamlConfig(Settings):
    """Settings of MAML."""

    episodes: int = setting(20, at_least=1)
    """Episodes of each task before the update, for each inner step; as many after the last."""
    inner_steps: int = setting(1, at_least=1)
    """Inner policy-gradient steps, k; each has episodes of its own."""
    step_size: float = setting(0.1, at_least=0)
    """Initial step size alpha of the inner step."""
    step_sizes: StepSizeKind = "parameter"
    """One step size in all, one a leaf, or one a parameter."""
    learn_step_sizes: bool = True
    """Whether the outer loop changes the step sizes."""
    subset: Subset = "mean"
    """What the inner step moves: all parameters, all but the std (mean), or the bias alone."""
    bias_size: int = setting(4, at_least=0)
    """Size of the bias transformation; 0 switches it off."""
    bias_init: float = 0.0
    """Initial value of the bias transformation."""
    hidden: tuple[int, ...] = setting((100, 100), at_least=1, not_empty="layer")
    """Hidden layers of the policy."""
    activation: Activation = "relu"
    """Of the hidden layers."""
    std: float = setting(0.5, above=0, at_most=100)
    """Initial standard deviation of the actions."""
    learn_std: bool = True
    """Whether the outer loop changes the standard deviation."""
    normalise: bool = True
    """Shift and scale observations by the mean and std of the first round's own episodes."""
    discount: float = setting(0.99, at_least=0, at_most=1)
    """Discount of the returns, in both loops."""
    gae_lambda: float = setting(1.0, at_least=0, at_most=1)
    """Lambda of generalised advantage estimation, in both loops."""
    sampling: Literal["ratio", "none"] = "ratio"
    """Sampling term of the meta-gradient: ratio keeps how the episodes before the update depend on
    the policy, step by step (ProMP); none drops it, as the first code of MAML and GMPS do."""
    first_order: bool = False
    """Leave out the derivative of the inner gradient altogether."""
    outer: Outer = "trpo"
    """Outer step: trpo, as published, or ppo (ProMP)."""
    trust_region: TrustRegionConfig = field(default_factory=TrustRegionConfig)
    """Settings of the trpo outer step."""
    ppo: PpoConfig = field(default_factory=PpoConfig)
    """Settings of the ppo outer steps."""
