"""What all worlds do before an episode: check the batch, and draw everything random in it."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from gmps.core.actors import Actor
from gmps.core.types import Params, Shared, Task, task_count, tree_index
from gmps.errors import GmpsError
from gmps.sim import episodes as ep
from gmps.tasks.base import MujocoFamily, PureFamily, TaskFamily
from gmps.worlds.base import Draws
from gmps.worlds.cost import require_room_for


def check_batch(family: TaskFamily, params: Params, tasks: Task, episodes: int) -> int:
    """The number of tasks, if parameters and tasks belong together.

    Raises:
        GmpsError: they do not, or `episodes` is below 1, or they would not fit into memory.
    """
    own = () if isinstance(params, Shared) else params
    counts, axes = (
        sorted({x.shape[0] if x.ndim else 0 for x in jax.tree.leaves(tree)})
        for tree in (tasks, (own, tasks))
    )
    if len(counts) != 1 or counts[0] < 1:
        raise GmpsError(
            f"Tasks need one common leading axis of at least 1, got {counts}; stack them, also a "
            "single one."
        )
    if axes != counts:
        raise GmpsError(
            f"Parameters and tasks need the same leading task axis, got {counts[0]} tasks and axes "
            f"{axes}; stack one set of parameters per task, or mark them as Shared."
        )
    if episodes < 1:
        raise GmpsError(f"episodes is {episodes}; a rollout needs at least 1.")
    require_room_for(family, counts[0], episodes)
    return counts[0]


def distinct(family: TaskFamily, actor: Actor, episodes: int) -> int:
    """How many of a task's episodes differ: one where neither its start nor the actor is random.

    More would cost time and tell nothing.
    """
    return episodes if actor.stochastic or _starts_vary(family) else 1


@functools.cache
def _starts_vary(family: TaskFamily) -> bool:
    """Whether starts depend on the key; a Gymnasium environment draws its own."""
    if not isinstance(family, MujocoFamily | PureFamily):
        return True
    task = tree_index(family.tasks("train", 1), 0)
    traced = jax.make_jaxpr(family.reset)(jax.random.key(0), task)
    key = traced.jaxpr.invars[0]
    used = [x for equation in traced.jaxpr.eqns for x in equation.invars]
    return any(x is key for x in [*used, *traced.jaxpr.outvars])


def draw(
    family: TaskFamily, actor: Actor, episodes: int, tasks: Task, key: Key[Array, ""] | Draws
) -> tuple[Float[Any, "b state"], Float[Any, "t b noise"]]:
    """Everything random in a batch of episodes: start states and the actor's noise."""
    if isinstance(key, Draws):
        return _given(family, actor, episodes, tasks, key)
    start_key, noise_key = jax.random.split(key)
    starts = ep.draw_starts(family, episodes, tasks, start_key)
    return starts, ep.draw_noise(actor, family.spec.horizon, len(starts), episodes, noise_key)


def _given(
    family: TaskFamily, actor: Actor, episodes: int, tasks: Task, draws: Draws
) -> tuple[Float[Any, "b state"], Float[Any, "t b noise"]]:
    """Given draws as a flat batch."""
    count = task_count(tasks)
    wanted = [(count, episodes, size) for size in ep.state_sizes(family)]
    shapes = [tuple(x.shape) for x in draws.starts]
    if shapes != wanted:
        raise GmpsError(
            f"The start states have shapes {shapes}; {count} tasks with {episodes} episodes of "
            f"{family.name} need {wanted}."
        )
    steps = draws.noise.shape[2] if draws.noise.ndim == 4 else 0
    if steps < 1 or draws.noise.shape != (count, episodes, steps, actor.noise_size):
        raise GmpsError(
            f"The noise has shape {tuple(draws.noise.shape)}; {count} tasks with {episodes} "
            f"episodes of this actor need ({count}, {episodes}, steps, {actor.noise_size}) with at "
            "least 1 step."
        )
    starts = jnp.concatenate(draws.starts, -1).reshape(count * episodes, -1)
    noise = jnp.moveaxis(draws.noise.reshape(count * episodes, steps, -1), 1, 0)
    return starts.astype(jnp.float32), ep.hold(actor, noise.astype(jnp.float32))
