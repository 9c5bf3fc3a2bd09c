"""What the adaptation of a run knows: does the update tell the tasks apart, and does it help?

The update of a task is a vector, the adapted policy minus the one before. It is drawn several times
for each task, from disjoint sets of episodes. What all tasks have in common says nothing about the
task, so all figures but `common` are of updates minus their mean over tasks.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from gmps.core.types import Task, env_steps, stack, task_count
from gmps.errors import GmpsError
from gmps.evaluation.diagnose_settings import DiagnoseConfig
from gmps.methods.adaptation import adaptation
from gmps.methods.base import Method, MethodState
from gmps.methods.registry import option_prefix
from gmps.runs.results import read_result, write_result
from gmps.settings import Settings
from gmps.worlds.base import World

#: The file in the run's folder.
DIAGNOSIS = "diagnosis.json"
#: Largest d' that is reported.
MAX_D_PRIME = 1e6
#: Below this cosine of two updates of one task, most of an update is noise.
NOISY = 0.3
#: Below this share of what chance leaves, recognised updates say little about their task.
UNKNOWN = 0.25
#: Above this distance, two tasks' updates are told apart.
APART = 3.0


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


@dataclass(frozen=True)
class Row:
    """What updates from some number of episodes know, and what they do: see `Signal`."""

    episodes: int
    common: float
    same_task: float
    other_task: float
    d_prime: float
    recognised: float
    #: Mean returns without action noise.
    before: float
    after: float


@dataclass(frozen=True)
class Told:
    """How far demonstrated states betray their task; see `gmps.evaluation.telltale`."""

    tasks: int
    told_by_state: float
    #: None where states are not moved about for learning.
    told_by_moved_state: float | None
    #: What the tasks' own latents say about them, nats; None without latents.
    latent_nats: float | None


@dataclass(frozen=True)
class Diagnosis:
    """The content of `diagnosis.json`."""

    family: str
    method: str
    seed: int
    checkpoint_round: int
    #: How many.
    tasks: int
    settings: DiagnoseConfig
    rows: tuple[Row, ...]
    env_steps: int
    demonstrations: Told


def write_diagnosis(run: Path, diagnosis: Diagnosis) -> Path:
    """Write `diagnosis.json` into a run's folder, replacing an older one."""
    return write_result(run / DIAGNOSIS, diagnosis)


def read_diagnosis(run: Path) -> Diagnosis | None:
    """The diagnosis in a run's folder, or None where there is none.

    Raises:
        GmpsError: the file is damaged.
    """
    return read_result(run / DIAGNOSIS, Diagnosis, f"gmps diagnose {run}")


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
) -> tuple[tuple[Row, ...], int]:
    """What the updates of a trained method know: a row for each number of episodes; and the
    environment steps that it took.

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
    return tuple(rows), steps


def _row(
    method: Method,
    world: World,
    state: MethodState,
    tasks: Task,
    episodes: int,
    settings: DiagnoseConfig,
    key: Key[Array, ""],
) -> tuple[Row, int]:
    n, repeats = task_count(tasks), settings.repeats
    many = jax.tree.map(lambda x: jnp.repeat(x, repeats, axis=0), tasks)
    before = stack(method.policy(state), n * repeats)
    gather_key, measure_key = jax.random.split(key)
    [(data, after)] = adaptation(
        world, method, state, before, many, episodes=episodes, keys=[gather_key]
    )
    after = after.with_std(method.policy(state).action_std)
    updates = _flat(method.acting(after)) - _flat(method.acting(before))
    judge, returns, steps = method.actor(stochastic=False), {}, env_steps(data)
    for name, policies in (("before", before), ("after", after)):
        seen = world.rollout(judge, policies, many, settings.measure_episodes, measure_key)
        returns[name] = float(seen.trajectories.returns.mean())
        steps += env_steps(seen.trajectories)
    figures = signal(updates.reshape(n, repeats, -1))
    return Row(episodes, **figures._asdict(), **returns), steps


def _flat(policies: PyTree) -> Float[np.ndarray, "n p"]:
    leaves = [np.asarray(x, np.float64) for x in jax.tree.leaves(policies)]
    return np.concatenate([x.reshape(x.shape[0], -1) for x in leaves], -1)


def in_words(diagnosis: Diagnosis, options: Settings) -> list[str]:
    """What the figures of the largest number of episodes mean, and what may be tried.

    `options` are the settings of the method: what it lacks is not advised.
    """
    row = max(diagnosis.rows, key=lambda r: r.episodes)
    chance = 1 / diagnosis.tasks
    known = (row.recognised - chance) / (1 - chance)
    sentences = [
        f"From {row.episodes} episodes the update belongs to its own task in {row.recognised:.0%} "
        f"of cases; by chance it would in {chance:.0%}."
    ]
    if known < UNKNOWN and row.d_prime < APART:
        tried = _advice(diagnosis.method, options)
        sentences.append(
            f"The update says little about the task: {tried} may change that; more training will "
            "not."
        )
    elif known < UNKNOWN:
        sentences.append(
            f"Two tasks are told apart (d' {row.d_prime:.1f}), but not each from all others: some "
            "of them are alike to the policy."
        )
    elif row.same_task < NOISY:
        sentences.append(
            "Two updates of one task differ more than they agree: most of a step is noise, so more "
            "episodes or smaller step sizes may help."
        )
    gain = row.after - row.before
    if gain <= 0:
        sentences.append(
            f"The return falls by {-gain:.4g} all the same: the step is too large, or its "
            "direction does not help."
        )
    else:
        sentences.append(f"The return rises by {gain:.4g}, from {row.before:.4g}.")
    return sentences


def _advice(method: str, options: Settings) -> str:
    """What may make the update of a method say more, as far as it has such options."""
    prefix = option_prefix(method)
    tried = ["more --episodes"]
    if hasattr(options, "std"):
        tried.append(f"another --{prefix}.std")
    tried.append(
        f"another --{prefix}.latent"
        if hasattr(options, "latent")
        else "exploration by a latent (--method gmps-latent)"
    )
    return f"{', '.join(tried[:-1])} or {tried[-1]}"
