"""Worlds run actors in tasks. Everything random comes from the key that is passed in."""

from typing import Protocol

from jaxtyping import Array, Float, Key

from gmps.tasks.base import TaskFamily
from gmps.types import Params, Rollout, Task


class Actor(Protocol):
    """Chooses one action; pure and hashable, so that a world compiles it once.

    `params` holds what differs between tasks; `noise` are independent standard normal numbers.
    """

    @property
    def noise_size(self) -> int:
        """How many normal numbers one action consumes."""
        ...

    def __call__(
        self, params: Params, task: Task, obs: Float[Array, " obs"], noise: Float[Array, " noise"]
    ) -> tuple[Float[Array, " act"], Float[Array, ""]]:
        """The action, unclipped, and its log density under the actor."""
        ...


class World(Protocol):
    """Runs many tasks x episodes as one batch."""

    family: TaskFamily

    def rollout(
        self, actor: Actor, params: Params, tasks: Task, episodes: int, key: Key[Array, ""]
    ) -> Rollout:
        """Run `episodes` episodes in each of the stacked `tasks`.

        Every leaf of `params` has a leading `task` axis: one policy per task. Parameters marked as
        `gmps.types.Shared` have none: one policy in all tasks.
        """
        ...
