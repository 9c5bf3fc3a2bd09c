"""A hopper whose body is drawn: see `gmps.tasks.body_params`.

Gymnasium's `hopper.xml`, 4 physics steps of 0.002 s a control step. A task is 37 numbers: of 4
masses, 12 inertias, 6 dampings and 15 frictions.
"""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Bool

from gmps.tasks.base import Part, Spec, State
from gmps.tasks.body_params import RandomBody
from gmps.tasks.locomotion import HORIZON, bounded


@dataclass(frozen=True)
class HopperParams(RandomBody):
    """See the module docstring."""

    name: ClassVar[str] = "hopper-params"
    asset: ClassVar[str] = "hopper.xml"
    start: ClassVar[tuple[float, ...]] = (0, 1.25, 0, 0, 0, 0)
    speeds: ClassVar[int] = 6
    frame_skip: ClassVar[int] = 4
    spec: ClassVar[Spec] = Spec(
        obs_size=11, act_size=3, context_size=37, horizon=HORIZON, control_dt=0.008
    )
    parts: ClassVar[tuple[Part, ...]] = (
        Part("height", 1, "m"),
        Part("pitch", 1, "rad"),
        Part("joints", 3, "rad"),
        Part("velocity", 2, "m/s"),
        Part("pitch_speed", 1, "rad/s"),
        Part("joint_speeds", 3, "rad/s"),
    )

    def standing(self, state: State) -> Bool[Array, ""]:
        """The torso is above 0.7 m and leans by less than 0.2 rad; nothing is beyond 100."""
        return bounded(state, (0.7, jnp.inf), 0.2, 100.0)
