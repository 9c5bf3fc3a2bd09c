"""A replay buffer of whole episodes, in arrays of fixed size on the device."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from gmps.core.types import Trajectories


class Replay(NamedTuple):
    """Episodes; the newest replace the oldest. `T` is the family's horizon."""

    #: Observations, the one after the last step included; repeated after the end.
    obs: Float[Array, "capacity t1 obs"]
    #: Actions, clipped to [-1, 1].
    act: Float[Array, "capacity t act"]
    #: Rewards, 0 after the end.
    reward: Float[Array, "capacity t"]
    #: Task parameter that the rewards belong to.
    context: Float[Array, "capacity ctx"]
    #: Steps until the end of the episode; 0 where nothing is stored yet.
    length: Int[Array, " capacity"]
    #: Whether the episode ended in a terminal state. A time limit is no end: values go on there.
    terminated: Bool[Array, " capacity"]
    #: Episodes ever added.
    added: Int[Array, ""]


class Batch(NamedTuple):
    """Transitions of `n` steps: `target = reward + discount * value(next_obs)`."""

    obs: Float[Array, "b obs"]
    act: Float[Array, "b act"]
    #: Discounted sum of the rewards of these steps.
    reward: Float[Array, " b"]
    next_obs: Float[Array, "b obs"]
    context: Float[Array, "b ctx"]
    #: What the value of `next_obs` is multiplied by; 0 after a terminal state.
    discount: Float[Array, " b"]


def start_replay(
    capacity: int, horizon: int, obs_size: int, act_size: int, context_size: int
) -> Replay:
    """An empty buffer for `capacity` episodes."""
    zeros = functools.partial(jnp.zeros, dtype=jnp.float32)
    return Replay(
        obs=zeros((capacity, horizon + 1, obs_size)),
        act=zeros((capacity, horizon, act_size)),
        reward=zeros((capacity, horizon)),
        context=zeros((capacity, context_size)),
        length=jnp.zeros(capacity, jnp.int32),
        terminated=jnp.zeros(capacity, bool),
        added=jnp.zeros((), jnp.int32),
    )


def add(
    replay: Replay,
    data: Trajectories,
    reward: Float[Array, "task ep t"],
    context: Float[Array, "task ctx"],
) -> Replay:
    """Add the episodes of all tasks, with the rewards and task parameters given."""
    tasks, episodes = data.alive.shape[:2]
    n, capacity = tasks * episodes, replay.length.shape[0]
    flat = lambda x: x.reshape(n, *x.shape[2:])  # noqa: E731
    obs = jnp.concatenate([data.obs, data.last_obs[:, :, None]], 2)
    # Rows beyond the capacity would be written twice in no defined order: the last ones stay.
    order = replay.added + jnp.arange(n, dtype=jnp.int32)
    row = jnp.where(jnp.arange(n) >= n - capacity, order % capacity, capacity)
    put = lambda old, new: old.at[row].set(new, mode="drop")  # noqa: E731
    return Replay(
        obs=put(replay.obs, flat(obs)),
        act=put(replay.act, flat(jnp.clip(data.act, -1, 1))),
        reward=put(replay.reward, flat(reward)),
        context=put(replay.context, jnp.repeat(context, episodes, 0)),
        length=put(replay.length, flat(data.alive).sum(-1, dtype=jnp.int32)),
        terminated=put(replay.terminated, flat(data.terminated)),
        added=replay.added + n,
    )


def sample(
    replay: Replay,
    ends: Int[Array, " capacity"],
    n: int,
    steps: int,
    discount: float,
    key: Key[Array, ""],
) -> Batch:
    """`n` transitions over up to `steps` steps, their first steps drawn evenly from all stored.

    Args:
        replay: the buffer; must not be empty.
        ends: `jnp.cumsum(replay.length)`, given so that a loop computes it once.
        n: size of the batch.
        steps: steps of a transition; fewer where the episode ends before.
        discount: per step, in [0, 1].
        key: random key.
    """
    return take(replay, *draw(replay, ends, n, key), steps, discount)


def draw(
    replay: Replay, ends: Int[Array, " capacity"], n: int, key: Key[Array, ""]
) -> tuple[Int[Array, " n"], Int[Array, " n"]]:
    """Rows and steps of `n` transitions for `take`, drawn evenly; arguments as for `sample`."""
    return locate(replay, ends, jax.random.randint(key, (n,), 0, ends[-1], jnp.int32))


def locate(
    replay: Replay, ends: Int[Array, " capacity"], drawn: Int[Array, " n"]
) -> tuple[Int[Array, " n"], Int[Array, " n"]]:
    """Rows and steps of the steps `drawn`, counted over all stored episodes in turn."""
    row = jnp.searchsorted(ends, drawn, side="right").astype(jnp.int32)
    return row, drawn - (ends[row] - replay.length[row])


def take(
    replay: Replay, row: Int[Array, " n"], t: Int[Array, " n"], steps: int, discount: float
) -> Batch:
    """The transitions that start at steps `t` of the episodes `row`, as `sample` returns them."""
    length = replay.length[row]
    index = jnp.minimum(t + steps, length)
    reward, horizon = jnp.zeros(len(row), jnp.float32), replay.reward.shape[1]
    for i in range(steps):
        # Rewards after the end are 0, those beyond the horizon do not exist.
        inside = t + i < length
        gained = replay.reward[row, jnp.minimum(t + i, horizon - 1)]
        reward = reward + discount**i * jnp.where(inside, gained, 0)
    ended = replay.terminated[row] & (index == length)
    return Batch(
        obs=replay.obs[row, t],
        act=replay.act[row, t],
        reward=reward,
        next_obs=replay.obs[row, index],
        context=replay.context[row],
        discount=jnp.where(ended, 0.0, discount ** (index - t).astype(jnp.float32)),
    )
