"""A point that is paid near its goal alone: the half circle of MAESN and PEARL.

The point, its goals, start and expert are those of `gmps.tasks.point_goal`; the reward is 1 minus
the distance to the goal within a radius of it, 0.2 m, or 0.3 in `sparse-point-wide`, and 0
elsewhere. Who does not explore is never paid, so a policy must search along the half circle.

Source: Rakelly et al. 2019 (PEARL, arXiv:1903.08254, section 6.3 and the released environment
`sparse-point-robot`: radius of the circle 1, 20 steps of at most 0.1 along each axis), after Gupta
et al. 2018 (MAESN). There the training tasks are paid densely; here no task is.
"""

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from gmps.core.types import Task
from gmps.tasks.base import Transition
from gmps.tasks.point_goal import PointGoal


@dataclass(frozen=True)
class SparsePoint(PointGoal):
    """See the module docstring. A task is its goal, `(2,)` in m."""

    #: Within this distance of the goal, in m, the point is paid.
    radius: float = 0.2

    variant_of: ClassVar[str | None] = "point-goal"

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """`sparse-point`, or `sparse-point-wide` where the radius is larger."""
        return "sparse-point" if self.radius <= 0.2 else "sparse-point-wide"

    @property
    def summary(self) -> str:
        """The variant in words."""
        return f"A point in the plane, paid within {self.radius:g} m of its hidden goal alone."

    def reward(self, task: Task, transition: Transition) -> dict[str, Float[Array, ""]]:
        """`near`: 1 minus the distance to the goal after the step, in m, within the radius."""
        distance = jnp.sqrt(jnp.sum((transition.next_state.qpos - task) ** 2))
        return {"near": jnp.where(distance <= self.radius, 1 - distance, 0.0)}
