"""The growing set of expert labels that the outer loop imitates (D_val of the paper)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from gmps.types import Demonstrations


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


def start_aggregate(demos: Demonstrations, extra: int) -> Aggregate:
    """An aggregate that holds `demos` and has room for `extra` further labels of each task."""
    # Valid rows first: sampling then needs the count alone.
    order = jnp.argsort(~demos.valid, axis=1, stable=True)
    pad = ((0, 0), (0, extra), (0, 0))
    count = demos.valid.sum(1).astype(jnp.int32)
    return Aggregate(
        obs=jnp.pad(jnp.take_along_axis(demos.obs, order[..., None], 1), pad),
        act=jnp.pad(jnp.take_along_axis(demos.act, order[..., None], 1), pad),
        count=count,
        offered=jnp.zeros_like(count),
        n_first=count,
    )


@jax.jit
def append(
    data: Aggregate,
    obs: Float[Array, "task n obs"],
    act: Float[Array, "task n act"],
    valid: Bool[Array, "task n"],
) -> Aggregate:
    """Add the valid rows, overwriting the oldest added ones when a task is full."""

    def one_task(data: Aggregate, obs: Array, act: Array, valid: Array) -> Aggregate:
        room = data.obs.shape[0] - data.n_first
        position = data.offered + jnp.cumsum(valid) - 1
        newest = valid & (position >= data.offered + valid.sum() - room)
        # Rows out of range are dropped by the scatter.
        row = jnp.where(newest, data.n_first + position % jnp.maximum(room, 1), data.obs.shape[0])
        offered = data.offered + valid.sum().astype(data.offered.dtype)
        return Aggregate(
            obs=data.obs.at[row].set(obs, mode="drop"),
            act=data.act.at[row].set(act, mode="drop"),
            count=data.n_first + jnp.minimum(offered, room),
            offered=offered,
            n_first=data.n_first,
        )

    return jax.vmap(one_task)(data, obs, act, valid)


def sample(data: Aggregate, n: int, key: Key[Array, ""]) -> Demonstrations:
    """`n` labels of each task, drawn evenly with replacement."""
    tasks = data.obs.shape[0]
    row = jnp.floor(jax.random.uniform(key, (tasks, n)) * data.count[:, None]).astype(jnp.int32)
    row = jnp.minimum(row, data.count[:, None] - 1)
    return Demonstrations(
        obs=jnp.take_along_axis(data.obs, row[..., None], 1),
        act=jnp.take_along_axis(data.act, row[..., None], 1),
        valid=jnp.ones((tasks, n), bool),
    )
