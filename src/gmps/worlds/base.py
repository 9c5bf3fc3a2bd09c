"""Worlds run actors in tasks. Everything random comes from the key that is passed in."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeGuard

from jaxtyping import Array, Float, Key, UInt8

from gmps.core.types import Params, Rollout, Task
from gmps.tasks.base import State, TaskFamily


class Actor(Protocol):
    """Chooses one action; pure and hashable, so that a world compiles it once.

    `params` holds what differs between tasks; `noise` are independent standard normal numbers. An
    actor may hold the first of them for a whole episode: see `held_noise`.
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


def held_noise(actor: Actor) -> int:
    """How many of an actor's numbers, the first ones, are drawn once for a whole episode.

    They make a latent of the episode. An actor that has one says so by an attribute of this name.
    """
    return getattr(actor, "held_noise", 0)


#: From independent standard normal numbers, those that the episodes of a task hold.
Spread = Callable[[Float[Array, "ep held"]], Float[Array, "ep held"]]


def held_spread(actor: Actor) -> Spread | None:
    """How an actor spreads what it holds over a task's episodes, instead of drawing each alone.

    An actor that does so has a method of this name. Given `Draws` are taken as they are.
    """
    return getattr(actor, "held_spread", None)


class SeeingActor(Actor, Protocol):
    """An actor that looks at pictures, with the same eyes in all tasks.

    It acts as any actor does, on features in place of the observation.
    """

    def eyes(self, params: Params) -> Any:
        """What all tasks of a rollout look with: a pytree of arrays. Called on the host."""
        ...

    def see(
        self,
        eyes: Any,
        frames: UInt8[Array, "b height width 3"],
        obs: Float[Array, "b obs"],
    ) -> Float[Array, "b feature"]:
        """Features of a batch of pictures; pure. `obs` is the state's observation."""
        ...


def sees(actor: Actor) -> TypeGuard[SeeingActor]:
    """Whether an actor looks at pictures."""
    return hasattr(actor, "see")


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
