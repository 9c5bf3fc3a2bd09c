"""The loop of adaptation: act, adapt, and again."""

from collections.abc import Iterable, Iterator
from typing import Any, Generic, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
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
    """Adapt each task's policy from its own episodes, one step after another. Each goes as far as
    the method's `share` says.

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
    for number, key in enumerate(keys, start=1):
        data = explore(world, method, state, policies, tasks, episodes=episodes, key=key)
        proposed = method.adapt(state, policies, data)
        policies = part_of_the_way(policies, proposed, method.share(number))
        yield Step(data, policies)


def explore(
    world: World,
    method: Method[Config, State, P],
    state: State,
    policies: P,
    tasks: Task,
    *,
    episodes: int,
    key: Key[Array, ""],
) -> Trajectories:
    """The episodes that one adaptation step reads: side by side, or one after another where the
    method is `sequential`, each with what the ones before have left."""
    actor = method.actor()
    if not method.sequential:
        return world.rollout(actor, policies, tasks, episodes, key).trajectories
    played = []
    for one in jax.random.split(key, episodes):
        played.append(world.rollout(actor, policies, tasks, 1, one).trajectories)
        policies = method.adapt(state, policies, played[-1])
    return jax.tree.map(lambda *x: jnp.concatenate(x, 1), *played)


def part_of_the_way(before: P, proposed: P, share: float) -> P:
    """The policies at `before + share * (proposed - before)`; those proposed where it is 1."""
    if share == 1:
        return proposed

    def between(a: Any, b: Any) -> Array:
        # On the host: in JAX each shape of a leaf would take three programs.
        a, b = np.asarray(a), np.asarray(b)
        return jax.device_put(a + share * (b - a))

    return jax.tree.map(between, before, proposed)
