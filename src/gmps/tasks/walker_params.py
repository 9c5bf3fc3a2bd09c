"""A walker whose body is drawn: see `gmps.tasks.body_params`.

Gymnasium's `walker2d.xml`, 5 physics steps of 0.002 s a control step. A task is 61 numbers: of 7
masses, 21 inertias, 9 dampings and 24 frictions.
"""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Array, Bool

from gmps.tasks.base import Part, Spec, State
from gmps.tasks.body_params import RandomBody
from gmps.tasks.locomotion import HORIZON, bounded


@dataclass(frozen=True)
class WalkerParams(RandomBody):
    """See the module docstring."""

    name: ClassVar[str] = "walker-params"
    asset: ClassVar[str] = "walker2d.xml"
    start: ClassVar[tuple[float, ...]] = (0, 1.25, 0, 0, 0, 0, 0, 0, 0)
    speeds: ClassVar[int] = 9
    spec: ClassVar[Spec] = Spec(
        obs_size=17, act_size=6, context_size=61, horizon=HORIZON, control_dt=0.01
    )
    parts: ClassVar[tuple[Part, ...]] = (
        Part("height", 1, "m"),
        Part("pitch", 1, "rad"),
        Part("joints", 6, "rad"),
        Part("velocity", 2, "m/s"),
        Part("pitch_speed", 1, "rad/s"),
        Part("joint_speeds", 6, "rad/s"),
    )

    def standing(self, state: State) -> Bool[Array, ""]:
        """The torso is between 0.8 and 2 m high and leans by less than 1 rad."""
        return bounded(state, (0.8, 2.0), 1.0)
