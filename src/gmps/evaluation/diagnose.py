"""What the adaptation of a run knows: does the update tell the tasks apart, and does it help?

The update of a task is a vector, the adapted policy minus the one before. It is drawn several times
for each task, from disjoint sets of episodes. What all tasks have in common says nothing about the
task, so all figures but `common` are of updates minus their mean over tasks.
"""

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from gmps.core.types import Task, env_steps, stack, task_count
from gmps.errors import GmpsError
from gmps.methods.adaptation import adaptation
from gmps.methods.base import Method, MethodPolicy, MethodState
from gmps.settings import Settings, seed_setting, setting
from gmps.tasks.base import Split
from gmps.worlds.base import World

#: The file in the run's folder.
DIAGNOSIS = "diagnosis.json"
#: Largest d' that is reported.
MAX_D_PRIME = 1e6
#: Below this cosine of two updates of one task, most of an update is noise.
NOISY = 0.3
#: Below this share of tasks recognised, an update says little about its task.
UNKNOWN = 0.5


@dataclass(frozen=True)
class DiagnoseConfig(Settings):
    """Settings of `gmps diagnose`."""

    split: Split = "train"
    """Training tasks, or the held-out ones."""
    episodes: tuple[int, ...] = setting((5, 10, 20), at_least=1, not_empty="number of episodes")
    """Numbers of episodes that an update is made from."""
    repeats: int = setting(6, at_least=4)
    """Updates of each task, each from episodes of its own; even, at least 4."""
    measure_episodes: int = setting(2, at_least=1)
    """Episodes that measure the policy after each update, without action noise."""
    seed: int = seed_setting()
    """Seed of everything random."""

    def rules(self) -> None:
        """Half of the updates judge the other half."""
        if self.repeats % 2:
            self.refuse("repeats", "it must be even")


class Signal(NamedTuple):
    """How much updates say about their tasks."""

    #: Share of the squared length of the updates that is the same in all tasks, in [0, 1].
    common: float
    #: Cosine of two updates of the same task: mean over pairs and tasks.
    same_task: float
    #: Cosine of updates of two tasks.
    other_task: float
    #: Distance of two tasks' updates in deviations, along the line between their means (d' of
    #: signal detection): the line from half of the updates, distance and deviation from the others;
    #: median over pairs of tasks.
    d_prime: float
    #: Share of updates whose own task's mean of the other updates is the nearest.
    recognised: float


def signal(updates: Float[np.ndarray, "task repeat p"]) -> Signal:
    """The figures of updates of at least two tasks and four repeats."""
    n, repeats, _ = updates.shape
    mean = updates.mean((0, 1))
    centred = updates - mean
    size = np.linalg.norm(centred, axis=-1, keepdims=True)
    unit = centred / np.maximum(size, np.finfo(np.float64).tiny)
    cosines = np.einsum("irp,jsp->ijrs", unit, unit)
    own = cosines[np.arange(n), np.arange(n)]
    same = own[:, ~np.eye(repeats, dtype=bool)].mean()
    other = cosines[~np.eye(n, dtype=bool)].mean()
    half = repeats // 2
    line, tested = centred[:, :half].mean(1), centred[:, half:]
    distances = [_d_prime(line[i] - line[j], tested[i], tested[j]) for i, j in _pairs(n)]
    means = centred.mean(1)
    left_out = (centred.sum(1, keepdims=True) - centred) / (repeats - 1)
    hits = []
    for i in range(n):
        for r in range(repeats):
            away = ((means - centred[i, r]) ** 2).sum(-1)
            away[i] = ((left_out[i, r] - centred[i, r]) ** 2).sum()
            hits.append(np.argmin(away) == i)
    total = max(float((updates**2).sum(-1).mean()), np.finfo(np.float64).tiny)
    return Signal(
        common=float((mean**2).sum() / total),
        same_task=float(same),
        other_task=float(other),
        d_prime=float(np.median(distances)),
        recognised=float(np.mean(hits)),
    )


def _pairs(n: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(n) for j in range(i)]


def _d_prime(
    line: Float[np.ndarray, " p"],
    first: Float[np.ndarray, "repeat p"],
    second: Float[np.ndarray, "repeat p"],
) -> float:
    a, b = first @ line, second @ line
    std, distance = np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2), a.mean() - b.mean()
    # Without any noise it would be infinite, or not a number.
    floor = max(abs(distance) / MAX_D_PRIME, np.finfo(np.float64).tiny)
    return float(distance / max(std, floor))


def diagnose(
    method: Method, world: World, state: MethodState, tasks: Task, settings: DiagnoseConfig
) -> dict[str, Any]:
    """What the updates of a trained method know, as plain JSON values: a row for each number of
    episodes.

    Raises:
        GmpsError: there are fewer than two tasks.
    """
    n = task_count(tasks)
    if n < 2:
        raise GmpsError(f"There is {n} task; telling tasks apart takes at least 2.")
    rows, steps = [], 0
    for episodes in settings.episodes:
        key = jax.random.fold_in(jax.random.key(settings.seed), episodes)
        row, spent = _row(method, world, state, tasks, episodes, settings, key)
        rows.append(row)
        steps += spent
    return {"tasks": n, "settings": asdict(settings), "rows": rows, "env_steps": steps}


def _row(
    method: Method,
    world: World,
    state: MethodState,
    tasks: Task,
    episodes: int,
    settings: DiagnoseConfig,
    key: Key[Array, ""],
) -> tuple[dict[str, Any], int]:
    n, repeats = task_count(tasks), settings.repeats
    many = jax.tree.map(lambda x: jnp.repeat(x, repeats, axis=0), tasks)
    before = stack(method.policy(state), n * repeats)
    gather_key, measure_key = jax.random.split(key)
    [(data, after)] = adaptation(
        world, method, state, before, many, episodes=episodes, keys=[gather_key]
    )
    after = after.with_std(method.policy(state).action_std)
    updates = _flat(after) - _flat(before)
    judge, returns, steps = method.actor(stochastic=False), {}, env_steps(data)
    for name, policies in (("before", before), ("after", after)):
        seen = world.rollout(judge, policies, many, settings.measure_episodes, measure_key)
        returns[name] = float(seen.trajectories.returns.mean())
        steps += env_steps(seen.trajectories)
    figures = signal(updates.reshape(n, repeats, -1))
    return {"episodes": episodes, **figures._asdict(), **returns}, steps


def _flat(policies: MethodPolicy) -> Float[np.ndarray, "n p"]:
    leaves = [np.asarray(x, np.float64) for x in jax.tree.leaves(policies)]
    return np.concatenate([x.reshape(x.shape[0], -1) for x in leaves], -1)


def in_words(diagnosis: dict[str, Any]) -> list[str]:
    """What the figures of the largest number of episodes mean, and what may be tried."""
    row = max(diagnosis["rows"], key=lambda r: r["episodes"])
    chance = 1 / diagnosis["tasks"]
    sentences = [
        f"From {row['episodes']} episodes the update belongs to its own task in "
        f"{row['recognised']:.0%} of cases; by chance it would in {chance:.0%}."
    ]
    if row["recognised"] < max(UNKNOWN, 2 * chance):
        sentences.append(
            "The update says little about the task: more episodes, another --std, or exploration "
            "by a latent (--method gmps-latent) may change that; more training will not."
        )
    elif row["same_task"] < NOISY:
        sentences.append(
            "Two updates of one task differ more than they agree: most of a step is noise, so more "
            "episodes or smaller step sizes may help."
        )
    gain = row["after"] - row["before"]
    if gain <= 0:
        sentences.append(
            f"The return falls by {-gain:.4g} all the same: the step is too large, or its "
            "direction does not help."
        )
    else:
        sentences.append(f"The return rises by {gain:.4g}, from {row['before']:.4g}.")
    return sentences
