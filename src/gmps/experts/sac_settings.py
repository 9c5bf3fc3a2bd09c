"""Settings of soft actor-critic: reading them imports no JAX."""

from dataclasses import dataclass

from gmps.settings import Settings, setting


@dataclass(frozen=True)
class SacConfig(Settings):
    """Settings of the learner."""

    hidden: tuple[int, ...] = setting((256, 256), at_least=1, not_empty="layer")
    """Units of the hidden layers of actor and critics."""
    learning_rate: float = setting(3e-4, above=0)
    """Adam's step size for actor, critics and temperature."""
    batch: int = setting(256, at_least=1)
    """Transitions per gradient step."""
    discount: float = setting(0.99, at_least=0, at_most=1)
    """Discount per control step."""
    n_step: int = setting(1, at_least=1)
    """Steps of reward before the value of the next state."""
    polyak: float = setting(0.005, above=0, at_most=1)
    """How far the target critics move to the critics after each step."""
    temperature: float | None = setting(None, at_least=0)
    """Weight of the entropy; by default tuned so that the entropy meets its target."""
    target_entropy: float = -1.0
    """Target of the entropy per action dimension, in nats."""
    reward_scale: float = setting(1.0, above=0)
    """Rewards are multiplied by this (GMPS, appendix D: 10, 50 or 100, with temperature 1)."""
    layer_norm: bool = True
    """Normalise the hidden layers of the critics."""
