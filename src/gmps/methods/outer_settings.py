"""Settings of the outer steps: reading them imports no method."""

from dataclasses import dataclass
from typing import Literal

from gmps.settings import Settings, setting

#: A trust region on the policies' KL, or a clipped surrogate.
Outer = Literal["trpo", "ppo"]


@dataclass(frozen=True)
class PpoConfig(Settings):
    """Settings of the clipped outer steps."""

    steps: int = setting(5, at_least=1)
    """Adam steps on the same episodes."""
    learning_rate: float = setting(1e-3, above=0)
    """Adam's learning rate."""
    clip: float = setting(0.3, above=0)
    """How far the ratio of the policies may pay off, from 1."""
    kl_weight: float = setting(5e-4, at_least=0)
    """Weight of the KL between the old and the new policy before the update; MAML only."""
