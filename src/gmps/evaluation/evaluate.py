"""One evaluator for every method: before and after adaptation, beside the controls.

Each task is adapted to several times from scratch, each time from fresh episodes, and the figure of
one repeat is the mean of its evaluation episodes. Intervals are over tasks, so repeats stop being
worth their time where tasks differ far more than repeats of one task do: two at a time are made, up
to `EvaluationConfig.repeats`, until all of them would narrow no interval by more than `PRECISION`.

All conditions act with the standard deviation of the policy before the update, so no update looks
good by acting with less noise. A latent that an episode draws is no such noise: some methods adapt
by inferring it.
"""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np
import scipy.special
from jaxtyping import Array, Float, Key

from gmps.core.policy import Policy
from gmps.core.types import Task, task_count
from gmps.errors import GmpsError
from gmps.evaluation.conditions import after
from gmps.evaluation.repeats import Measured, Repeats, joined, make_repeats
from gmps.evaluation.scores import MODES, Judged, Mode, TaskLevels, TaskRow
from gmps.evaluation.settings import EvaluationConfig
from gmps.evaluation.summaries import task_score
from gmps.experts.base import Controller
from gmps.methods.base import Method, MethodState
from gmps.methods.best_episode import ImitatedLatent
from gmps.methods.plain import PlainControl
from gmps.worlds.base import World

#: Conditions whose frames a report shows, where a policy sees.
SHOWN = ("before", after(1))
#: Repeats end where all of them would move no end of a normalised return's 95 % interval by more.
PRECISION = 0.01
#: Repeats that are made at a time.
AT_ONCE = 2
#: The first of the streams of later batches of repeats.
_BATCHES = 100


class Levels(NamedTuple):
    """Returns that scale the normalised score, for each task of a split."""

    #: Score 0: an untrained policy.
    untrained: Float[np.ndarray, " task"]
    #: Score 1: the expert.
    expert: Float[np.ndarray, " task"]
    #: Where the expert's level comes from, in words.
    source: str
    #: The demonstrators' level, between their tasks interpolated; None where nobody demonstrated.
    demonstrators: Float[np.ndarray, " task"] | None = None


class SplitResult(NamedTuple):
    """All conditions of one split: `conditions[mode][name]`."""

    tasks: Task
    levels: Levels
    conditions: dict[Mode, dict[str, Measured]]
    #: Environment steps that the evaluation took.
    env_steps: int


@dataclass
class Evaluator:
    """Judges a method on tasks of a world; counts the environment steps it takes."""

    world: World
    config: EvaluationConfig
    env_steps: int = 0

    def rollouts(self, *, plain: bool = True, imitated: bool = False, expert: bool) -> int:
        """Rollouts that `split` takes at least, with each of its controls or without, with an
        expert to run or without."""
        steps = self.config.steps
        several = plain and steps > 1
        # Before, after each step, wrong task, random update, zero step.
        conditions = steps + 4 + 2 * plain + several + imitated + expert
        adapting = steps + (steps if several else plain) + imitated
        return adapting + len(MODES) * conditions + 1

    def split(
        self,
        method: Method,
        state: MethodState,
        tasks: Task,
        key: Key[Array, ""],
        *,
        untrained: Policy,
        controller: Controller | None,
        known: Levels | None,
        plain: PlainControl | None,
        imitated: ImitatedLatent | None = None,
    ) -> SplitResult:
        """Run every condition on the stacked tasks.

        `imitated` is the control without an outer loop: see `gmps.methods.best_episode`.

        The expert's level is the controller's own return, or `known` where there is none. The
        demonstrators' is always that of `known`.

        Raises:
            GmpsError: fewer than two tasks (there is no wrong task to adapt to), or neither a
                controller nor a known level.
        """
        n = task_count(tasks)
        if n < 2:
            raise GmpsError(
                f"The evaluation got {n} task; the wrong-task control needs at least 2: "
                "choose more tasks."
            )
        if controller is None and known is None:
            raise GmpsError("The evaluation needs an expert or its level on each task.")
        make = functools.partial(
            make_repeats,
            method,
            state,
            untrained=untrained,
            controller=controller,
            plain=plain,
            imitated=imitated,
        )
        parts, spent, done, most = [], 0, 0, self.config.repeats
        while True:
            count = min(AT_ONCE, most - done)
            batch = Repeats(self.world, self.config, tasks, count)
            # Folded in beyond what `jax.random.split` makes of the same key.
            own = jax.random.fold_in(key, _BATCHES + done) if done else key
            parts.append(make(batch, key=own))
            done, spent = done + count, spent + batch.env_steps
            conditions, zero = joined(parts)
            levels = _levels(conditions, zero, controller is not None, known)
            if done == most or enough(conditions, levels, most):
                break
        self.env_steps += spent
        return SplitResult(tasks, levels, conditions, spent)


def _levels(
    conditions: dict[Mode, dict[str, Measured]], zero: Measured, live: bool, known: Levels | None
) -> Levels:
    """What scales normalised returns; `live` says whether an expert was run."""
    if live:
        expert = conditions["deterministic"]["expert"].figures["return"].mean(1)
        source = "the expert's own episodes in the same tasks, without action noise"
    else:
        assert known is not None
        expert, source = known.expert, known.source
    shown = None if known is None else known.demonstrators
    return Levels(zero.figures["return"].mean(1), expert, source, shown)


def enough(conditions: dict[Mode, dict[str, Measured]], levels: Levels, most: int) -> bool:
    """Whether these repeats are: `most` would move no end of an interval by over `PRECISION`."""
    return all(
        narrowing(_normalised(measured, levels), most) <= PRECISION
        for rows in conditions.values()
        for measured in rows.values()
    )


def narrowing(figures: Float[np.ndarray, "task repeat"], most: int) -> float:
    """By how much `most` repeats would move each end of the 95 % interval over tasks.

    The interval is Student's t on the variance of the tasks' means, and the part of it that
    repeats bring falls with their number. Infinite for a single repeat, which tells nothing of it.

    Example:
        >>> narrowing(np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]]), 4)
        0.0
    """
    n, done = figures.shape
    if done < 2:
        return np.inf
    now = figures.mean(1).var(ddof=1) / n
    repeats = figures.var(1, ddof=1).mean() / (n * done)
    then = max(now - repeats * (1 - done / most), 0.0)
    return float(scipy.special.stdtrit(n - 1, 0.975) * (np.sqrt(now) - np.sqrt(then)))


def _normalised(measured: Measured, levels: Levels) -> Float[np.ndarray, "task repeat"]:
    """0 = untrained, 1 = expert, for each task."""
    span = levels.expert - levels.untrained
    return (measured.figures["return"] - levels.untrained[:, None]) / span[:, None]


def task_rows(result: SplitResult, split: Judged, words: list[str]) -> list[TaskRow]:
    """The rows of a split's tasks, which are called `words`."""
    return [_task_row(result, split, i, text) for i, text in enumerate(words)]


def _task_row(result: SplitResult, split: Judged, i: int, text: str) -> TaskRow:
    levels = result.levels
    modes, scores = {}, {}
    for mode, conditions in result.conditions.items():
        modes[mode] = {
            name: {
                **{k: float(x[i].mean()) for k, x in measured.figures.items()},
                "normalised": float(_normalised(measured, levels)[i].mean()),
            }
            for name, measured in conditions.items()
        }
        scores[mode] = task_score(modes[mode])
    return TaskRow(
        split=split,
        index=i,
        task=text,
        levels=TaskLevels(
            float(levels.untrained[i]),
            float(levels.expert[i]),
            None if levels.demonstrators is None else float(levels.demonstrators[i]),
        ),
        **modes,
        adaptation_score=scores,
        repeats=next(iter(result.conditions["deterministic"].values())).figures["return"].shape[1],
    )
