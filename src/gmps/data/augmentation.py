"""Demonstrations that do not betray the task.

Along its own demonstrator's path a state tells which task it belongs to, so a network can learn all
paths by heart and leave alone whatever else could tell it the task: a latent, or its own rewards.
Here each sampled observation is moved about as observations of different tasks differ at the same
moment of an episode, and its action is kept. Then states no longer tell the tasks apart, and
what they have in common (how far the episode is) stays readable. It is also the only sight of
states off the demonstrated paths.

The move is Gaussian. Its covariance at a moment is that of the tasks' mean observations there, so
nothing moves that tasks have in common, and numbers move together as they do between tasks.

A number that differs as much between episodes of one task as between tasks does not tell the task;
what it tells is needed, such as the phase of a gait. So each number moves by the share of its
variance that is between tasks. One episode of each task cannot show that: then all of it is.

A picture cannot be moved, but what is seen in it can: the features of pictures that show the same
moment in all tasks are moved along what sets the tasks' features apart there, whatever the encoder
has become by then. Of each task one episode is looked at, so noise within tasks is moved along.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from gmps.core.types import TaskMoments, TaskSpread

#: Independent noise on each number, as a share of its standard deviation over all demonstrations.
NOISE = 0.01


def task_spread(
    obs: Float[np.ndarray, "task ep t obs"], alive: Bool[np.ndarray, "task ep t"], scale: float
) -> TaskSpread:
    """What `moved` needs, from demonstrations whose episodes are rows of steps.

    Args:
        obs: observations; whatever they hold beyond an episode's end has no effect.
        alive: False beyond an episode's end. Once all episodes of a task have ended, its last mean
            observation stands for it.
        scale: how far observations move, in the deviations between tasks; at least 0.
    """
    n, episodes, steps, _ = obs.shape
    known = np.where(alive[..., None], obs, 0).astype(np.float64)
    count = alive.sum(1)
    mean = known.sum(1) / np.maximum(count, 1)[..., None]
    last = _last(count > 0)
    mean = np.take_along_axis(mean, last[..., None], axis=1)
    centred = np.moveaxis(mean - mean.mean(0), 0, 1) / np.sqrt(n)
    # Of the square roots, the one with the fewest rows.
    _, deviation, directions = np.linalg.svd(centred, full_matrices=False)
    axes = scale * deviation[..., None] * directions * _between(known, alive, mean)[:, None]
    weight = alive[..., None] / alive.sum()
    centre = (known * weight).sum((0, 1, 2))
    std = np.sqrt((np.where(alive[..., None], obs - centre, 0) ** 2 * weight).sum((0, 1, 2)))
    moment = np.broadcast_to(np.arange(steps), (n, episodes, steps)).reshape(n, -1)
    return TaskSpread(
        jnp.asarray(moment, jnp.int32),
        jnp.asarray(axes, jnp.float32),
        jnp.asarray(NOISE * std, jnp.float32),
    )


def _last(known: Bool[np.ndarray, "*n t"]) -> Int[np.ndarray, "*n t"]:
    """For each moment the latest one up to it that is known; the first where none is."""
    return np.maximum.accumulate(np.where(known, np.arange(known.shape[-1]), 0), axis=-1)


def evenly_below(count: Int[Array, "*n"], key: Key[Array, ""]) -> Int[Array, "*n"]:
    """Whole numbers from 0, each below its count, drawn evenly."""
    drawn = jnp.floor(jax.random.uniform(key, count.shape) * count).astype(jnp.int32)
    return jnp.minimum(drawn, count - 1)  # a product may be rounded up to the count


def _between(
    obs: Float[np.ndarray, "task ep t obs"],
    alive: Bool[np.ndarray, "task ep t"],
    mean: Float[np.ndarray, "task t obs"],
) -> Float[np.ndarray, "t obs"]:
    """The share of each number's variance that is between tasks, at each moment, in [0, 1].

    Variances are unbiased: of the means' variance, what few episodes leave to chance is taken away.
    """
    count = alive.sum(1)
    free = np.maximum(count - 1, 0).sum(0)
    square = (np.where(alive[..., None], obs - mean[:, None], 0) ** 2).sum((0, 1))
    # Where no task has two episodes left, the last variance within tasks stands.
    within = (square / np.maximum(free, 1)[:, None])[_last(free > 0)]
    chance = within * (1 / np.maximum(count, 1)).mean(0)[:, None]
    tasks = len(mean)
    between = np.maximum(mean.var(0) * tasks / max(tasks - 1, 1) - chance, 0)
    whole = between + within
    return np.divide(between, whole, out=np.zeros_like(whole), where=whole > 0)


def moved(
    obs: Float[Array, "task n obs"],
    moment: Int[Array, "task n"],
    spread: TaskSpread,
    key: Key[Array, ""],
) -> Float[Array, "task n obs"]:
    """Observations moved about between tasks, each independently; `moment` is their time step."""
    of_axes, of_noise = jax.random.split(key)
    axes = spread.axes[moment]
    weight = jax.random.normal(of_axes, axes.shape[:-1], obs.dtype)
    noise = spread.noise * jax.random.normal(of_noise, obs.shape, obs.dtype)
    return obs + jnp.einsum("inr,inrd->ind", weight, axes) + noise


def task_moments(alive: Bool[np.ndarray, "task ep t"], scale: float) -> TaskMoments:
    """What `of_same_moments` needs, from demonstrations whose valid labels are rows, those of the
    first episode first.

    Args:
        alive: False beyond an episode's end.
        scale: how far features move, in the deviations between tasks; at least 0.
    """
    n, episodes, steps = alive.shape
    row = np.cumsum(alive.reshape(n, -1), axis=1).reshape(alive.shape) - 1
    number = alive.sum(1)
    last = _last(number > 0)
    # At each moment the episodes that go on come first.
    order = np.argsort(~alive, axis=1, kind="stable")
    rows = np.moveaxis(np.take_along_axis(row, order, axis=1), 1, 2)
    rows = np.take_along_axis(rows, np.broadcast_to(last[..., None], (n, steps, episodes)), axis=1)
    return TaskMoments(
        jnp.asarray(rows, jnp.int32),
        jnp.asarray(np.take_along_axis(number, last, axis=1), jnp.int32),
        jnp.asarray(number > 0),
        jnp.asarray(scale, jnp.float32),
    )


class MomentLabels(NamedTuple):
    """Labels of the same moments in all tasks."""

    row: Int[Array, "task n"]
    #: Whether the task's episodes last so long.
    valid: Bool[Array, "task n"]
    #: See `Demonstrations.mixing`.
    mixing: Float[Array, "task n other"]


def of_same_moments(moments: TaskMoments, n: int, key: Key[Array, ""]) -> MomentLabels:
    """Labels of `n` moments drawn evenly, each of an episode drawn evenly."""
    of_moment, of_episode, of_mixing = jax.random.split(key, 3)
    _, steps, _ = moments.rows.shape
    moment = jax.random.randint(of_moment, (n,), 0, steps)
    number = moments.number[:, moment]
    return _labels(moments, moment, evenly_below(number, of_episode), of_mixing)


def once_each(moments: TaskMoments, key: Key[Array, ""]) -> MomentLabels:
    """Every label, one episode after the other; of tasks with fewer episodes, some again."""
    _, steps, episodes = moments.rows.shape
    moment = jnp.tile(jnp.arange(steps), episodes)
    episode = jnp.repeat(jnp.arange(episodes), steps) % moments.number[:, moment]
    return _labels(moments, moment, episode, key)


def _labels(
    moments: TaskMoments, moment: Int[Array, " n"], episode: Int[Array, "task n"], key: Any
) -> MomentLabels:
    tasks = len(episode)
    row = moments.rows[jnp.arange(tasks)[:, None], moment, episode]
    weight = jax.random.normal(key, (*episode.shape, tasks)) / jnp.sqrt(tasks)
    return MomentLabels(row, moments.alive[:, moment], moments.scale * weight)
