"""The loop of adaptation: act, adapt, and again."""

from collections.abc import Iterable, Iterator
from typing import Generic, NamedTuple

from jaxtyping import Array, Key

from gmps.core.types import Task, Trajectories
from gmps.methods.base import Config, Method, P, State
from gmps.worlds.base import World


class Step(NamedTuple, Generic[P]):
    """One adaptation step of the policies of all tasks."""

    #: Episodes of the policies before the step.
    data: Trajectories
    #: The policies after it.
    policies: P


def adaptation(
    world: World,
    method: Method[Config, State, P],
    state: State,
    policies: P,
    tasks: Task,
    *,
    episodes: int,
    keys: Iterable[Key[Array, ""]],
) -> Iterator[Step[P]]:
    """Adapt each task's policy from its own episodes, one step after another.

    Args:
        world: where the policies act.
        method: adapts them.
        state: its state after training.
        policies: where to start from, leaves `(task, ...)`.
        tasks: the stacked tasks.
        episodes: episodes of each task for one step.
        keys: of the episodes of each step, so that there are as many steps. Given as an array, keys
            lie along its leading axis.
    """
    actor = method.actor()
    for key in keys:
        data = world.rollout(actor, policies, tasks, episodes, key).trajectories
        policies = method.adapt(state, policies, data)
        yield Step(data, policies)
