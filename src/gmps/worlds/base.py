"""Worlds run actors in tasks. Everything random comes from the key that is passed in."""

from typing import NamedTuple, Protocol

from jaxtyping import Array, Float, Key

from gmps.core.actors import Actor
from gmps.core.types import Params, Rollout, Task
from gmps.tasks.base import State, TaskFamily


class Draws(NamedTuple):
    """What a rollout would draw from its key, given instead.

    So episodes can go on from visited states, and rows can share their noise.
    """

    #: Start states, leaves `(task, ep, ...)`, such as a time slice of `Rollout.states`.
    starts: State
    #: The actor's noise. Its length `t >= 1` is the number of steps, in place of the horizon. What
    #: the actor holds for the episode is taken from the first step.
    noise: Float[Array, "task ep t noise"]


class World(Protocol):
    """Runs many tasks x episodes as one batch."""

    family: TaskFamily

    def rollout(
        self, actor: Actor, params: Params, tasks: Task, episodes: int, key: Key[Array, ""] | Draws
    ) -> Rollout:
        """Run `episodes` episodes in each of the stacked `tasks`.

        Start states and noise are drawn from the key, or given as `Draws`.

        Every leaf of `params` has a leading `task` axis: one policy per task. Parameters marked as
        `gmps.core.types.Shared` have none: one policy in all tasks.
        """
        ...
