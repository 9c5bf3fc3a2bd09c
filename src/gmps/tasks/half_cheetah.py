"""The half-cheetah of the half-cheetah families: its body and how it starts."""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from gmps.tasks.base import Part
from gmps.tasks.locomotion import Runner


@dataclass(frozen=True)
class HalfCheetah(Runner):
    """Gymnasium's `half_cheetah.xml`: 6 motors, 5 physics steps of 0.01 s a control step; an
    episode never ends early."""

    asset: ClassVar[str] = "half_cheetah.xml"
    start: ClassVar[tuple[float, ...]] = (0.0,) * 9
    speeds: ClassVar[int] = 9
    parts: ClassVar[tuple[Part, ...]] = (
        Part("height", 1, "m"),
        Part("pitch", 1, "rad"),
        Part("joints", 6, "rad"),
        Part("velocity", 2, "m/s"),
        Part("pitch_speed", 1, "rad/s"),
        Part("joint_speeds", 6, "rad/s"),
    )


def control_cost(act: Float[Array, " 6"]) -> Float[Array, ""]:
    """`-0.05` times the sum of squared actions."""
    return -0.05 * jnp.sum(act**2)
