"""Scores of several seeds as one, from the per-task rows of each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gmps.errors import GmpsError
from gmps.evaluation.conditions import CONTROLS
from gmps.evaluation.scores import (
    MODES,
    SPLITS,
    AdaptationScore,
    Figure,
    Mode,
    ModeScores,
    Scores,
    SplitScores,
    TaskLevels,
    TaskRow,
)
from gmps.evaluation.stats import stratified_bootstrap, summarise, task_iqm
from gmps.tasks.base import Split


def combine_scores(named: Mapping[str, Scores]) -> Scores:
    """The scores of several seeds as one.

    Figures are interquartile means over seeds and tasks; their intervals resample seeds. Rows of
    tasks and step counts are means over seeds; training tasks that each seed drew for itself have
    no rows. A single one is returned as it is.

    Args:
        named: folder names to scores, of runs that differ in their seed alone.

    Raises:
        GmpsError: if they were evaluated on different held-out tasks, or on unequally many.
    """
    names, scores = list(named), list(named.values())
    first = scores[0]
    if len(scores) == 1:
        return first
    listed = set()
    for split in SPLITS:
        tasks = [[row.task for row in s.rows(split)] for s in scores]
        if all(x == tasks[0] for x in tasks):
            listed.add(split)
        for name, other in zip(names, tasks, strict=True):
            if len(other) != len(tasks[0]) or (split == "heldout" and other != tasks[0]):
                raise GmpsError(
                    f"{names[0]} and {name} have equal settings but were evaluated on different "
                    "tasks; evaluate them on the same."
                )
    rows = zip(*(s.tasks for s in scores), strict=True)
    return replace(
        first,
        # What belongs to one seed alone.
        seed=None,
        checkpoint_round=None,
        plain_control=None,
        heldout=_combine_split(scores, "heldout"),
        train=_combine_split(scores, "train"),
        tasks=tuple(_mean_row(same) for same in rows if same[0].split in listed),
        steps={name: float(np.mean([s.steps[name] for s in scores])) for name in first.steps},
    )


def _combine_split(scores: list[Scores], split: Split) -> SplitScores:
    deterministic, stochastic = (_combine_mode(scores, split, mode) for mode in MODES)
    return SplitScores(deterministic, stochastic)


def _combine_mode(scores: list[Scores], split: Split, mode: Mode) -> ModeScores:
    first, combined = scores[0][split][mode], {}
    for condition, measures in first.conditions.items():
        combined[condition] = {}
        for measure, single in measures.items():
            values = _values(scores, split, mode, condition, measure)
            # Levels without episodes of their own, such as a demonstrator's, have no rows.
            figure = single if values is None else Figure(*summarise(values))
            combined[condition][measure] = figure
    steps = first.adaptation_score
    return ModeScores(combined, {name: _adaptation(scores, split, mode, name) for name in steps})


def _values(
    scores: list[Scores], split: Split, mode: Mode, condition: str, measure: str
) -> np.ndarray | None:
    """`(seed, task, 1)` of the per-task rows, or None where a row lacks the figure."""
    values = [[row[mode].get(condition, {}).get(measure) for row in s.rows(split)] for s in scores]
    if any(x is None for row in values for x in row):
        return None
    return np.asarray(values, np.float64)[..., None]


def _adaptation(scores: list[Scores], split: Split, mode: Mode, name: str) -> AdaptationScore:
    def normalised(condition: str) -> np.ndarray | None:
        return _values(scores, split, mode, condition, "normalised")

    candidates = {name: normalised(name) for name in CONTROLS}
    present = {name: x for name, x in candidates.items() if x is not None}
    reached, expert = normalised(name), normalised("expert")
    if reached is None or not present:
        return AdaptationScore(None, None, None, None)
    control = max(present, key=lambda name: task_iqm(present[name], 3))
    arrays = (reached, present[control], np.ones_like(reached) if expert is None else expert)

    def ratio(x: np.ndarray, base: np.ndarray, top: np.ndarray) -> Any:
        low = task_iqm(base, 3)
        return (task_iqm(x, 3) - low) / (task_iqm(top, 3) - low)

    if task_iqm(arrays[2], 3) <= task_iqm(arrays[1], 3):
        return AdaptationScore(None, None, None, control)
    low, high = stratified_bootstrap(ratio, *arrays)
    return AdaptationScore(float(ratio(*arrays)), low, high, control)


def _mean_row(rows: Sequence[TaskRow]) -> TaskRow:
    """One task over the seeds; figures that some seeds lack are left out."""
    levels = [row.levels for row in rows]
    return replace(
        rows[0],
        levels=TaskLevels(
            float(np.mean([x.untrained for x in levels])),
            float(np.mean([x.expert for x in levels])),
        ),
        deterministic=_means([row.deterministic for row in rows]),
        stochastic=_means([row.stochastic for row in rows]),
        adaptation_score={
            mode: _mean([row.adaptation_score[mode] for row in rows]) for mode in MODES
        },
    )


def _means(rows: Sequence[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Means of figures by condition and measure, of those that all rows have."""
    conditions = [name for name in rows[0] if all(name in row for row in rows)]
    return {
        name: {
            measure: float(np.mean([row[name][measure] for row in rows]))
            for measure in rows[0][name]
            if all(measure in row[name] for row in rows)
        }
        for name in conditions
    }


def _mean(values: Sequence[float | None]) -> float | None:
    """None where any is None."""
    known = [x for x in values if x is not None]
    return float(np.mean(known)) if len(known) == len(values) else None
