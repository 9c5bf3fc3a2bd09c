"""The growing set of expert labels that the outer loop imitates (D_val of the paper)."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, UInt8

from gmps.core.types import Demonstrations, TaskMoments, TaskSpread
from gmps.data.augmentation import evenly_below, moved, of_same_moments


class Aggregate(NamedTuple):
    """Expert labels of each task, in arrays of fixed size so that training never retraces.

    The first `n_first` rows of a task (the expert's own trajectories) are kept for good; further
    labels fill the rest, and once it is full the newest replace the oldest.
    """

    obs: Float[Array, "task capacity obs"]
    act: Float[Array, "task capacity act"]
    #: Rows in use.
    count: Int[Array, " task"]
    #: Rows ever offered beyond the first ones.
    offered: Int[Array, " task"]
    n_first: Int[Array, " task"]
    #: What the camera shows; None where a family has no camera.
    frames: UInt8[Array, "task capacity height width 3"] | None = None
    #: How `sample` moves labels about between tasks; None: not at all.
    spread: TaskSpread | TaskMoments | None = None


@functools.partial(jax.jit, static_argnames="extra")
def start_aggregate(demos: Demonstrations, extra: int) -> Aggregate:
    """An aggregate that holds `demos` and has room for `extra` further labels of each task."""
    # Valid rows first: sampling then needs the count alone.
    order = jnp.argsort(~demos.valid, axis=1, stable=True)

    def start(x: Array) -> Array:
        rows = jax.vmap(lambda x, order: x[order])(jnp.asarray(x), order)
        return jnp.pad(rows, ((0, 0), (0, extra), *[(0, 0)] * (x.ndim - 2)))

    obs, act, frames = jax.tree.map(start, (demos.obs, demos.act, demos.frames))
    count = demos.valid.sum(1).astype(jnp.int32)
    spread = demos.spread
    if isinstance(spread, TaskSpread):
        spread = spread._replace(moment=start(spread.moment))
    return Aggregate(obs, act, count, jnp.zeros_like(count), count, frames, spread)


@jax.jit
def append(data: Aggregate, labels: Demonstrations) -> Aggregate:
    """Add the valid rows, overwriting the oldest added ones when a task is full.

    Only where labels are not moved about: those of visited states belong to no moment.
    """
    assert data.spread is None

    def one_task(data: Aggregate, labels: Demonstrations) -> Aggregate:
        valid, capacity = labels.valid, data.obs.shape[0]
        room = capacity - data.n_first
        position = data.offered + jnp.cumsum(valid) - 1
        newest = valid & (position >= data.offered + valid.sum() - room)
        # Rows out of range are dropped by the scatter.
        row = jnp.where(newest, data.n_first + position % jnp.maximum(room, 1), capacity)
        offered = data.offered + valid.sum().astype(data.offered.dtype)
        obs, act, frames = jax.tree.map(
            lambda old, new: old.at[row].set(new, mode="drop"),
            (data.obs, data.act, data.frames),
            (labels.obs, labels.act, labels.frames),
        )
        count = data.n_first + jnp.minimum(offered, room)
        return Aggregate(obs, act, count, offered, data.n_first, frames)

    return jax.vmap(one_task)(data, labels)


@functools.partial(jax.jit, static_argnames="n", inline=True)
def sample(data: Aggregate, n: int, key: Key[Array, ""]) -> Demonstrations:
    """`n` labels of each task, drawn evenly with replacement; moved about if `data` says so."""
    tasks = data.obs.shape[0]
    valid, mixing = jnp.ones((tasks, n), bool), None
    if isinstance(data.spread, TaskMoments):
        row, valid, mixing = of_same_moments(data.spread, n, key)
    else:
        row = evenly_below(jnp.broadcast_to(data.count[:, None], (tasks, n)), key)
    obs, act, frames = jax.tree.map(
        lambda x: jax.vmap(lambda x, row: x[row])(x, row), (data.obs, data.act, data.frames)
    )
    if isinstance(data.spread, TaskSpread):
        moment = jax.vmap(lambda x, row: x[row])(data.spread.moment, row)
        obs = moved(obs, moment, data.spread, jax.random.fold_in(key, 1))
    return Demonstrations(obs, act, valid, frames, mixing=mixing)
