"""Scores of several seeds as one, from the per-task rows of each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from gmps.errors import GmpsError
from gmps.evaluation.scores import (
    JUDGED,
    MODES,
    SPLITS,
    Judged,
    LevelWords,
    Scores,
    TaskLevels,
    TaskRow,
)
from gmps.evaluation.summaries import summarise


def combine_scores(named: Mapping[str, Scores]) -> Scores:
    """The scores of several seeds as one.

    Figures are means over seeds and tasks; their intervals are over other seeds and other tasks.
    Rows of tasks and counts of steps and labels are means over seeds; training tasks that each seed
    drew for itself have no rows. A single one is returned as it is.

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
    common: list[Judged] = [x for x in JUDGED if all(s.rows(x) for s in scores)]
    common.sort(key=lambda x: first.tasks.index(first.rows(x)[0]))
    rows = zip(*([r for x in common for r in s.rows(x)] for s in scores), strict=True)
    listed |= {"validation"}
    return replace(
        first,
        # What belongs to one seed alone.
        seed=None,
        checkpoint_round=None,
        plain_control=None,
        expert=None,
        levels=_level_words(scores),
        heldout=summarise([s.rows("heldout") for s in scores]),
        train=summarise([s.rows("train") for s in scores]),
        validation=(
            summarise([s.rows("validation") for s in scores]) if "validation" in common else None
        ),
        tasks=tuple(_mean_row(same) for same in rows if same[0].split in listed),
        steps={name: float(np.mean([s.steps[name] for s in scores])) for name in first.steps},
        expert_labels=_mean([s.expert_labels for s in scores]),
        expert_queries=float(np.mean([s.expert_queries for s in scores])),
    )


def _level_words(scores: Sequence[Scores]) -> LevelWords:
    """The levels in held-out tasks, means over the seeds, which each have an expert of their own
    or the same one."""
    levels = [row.levels for s in scores for row in s.rows("heldout")]
    untrained, expert = np.mean([(x.untrained, x.expert) for x in levels], 0).tolist()
    return LevelWords.of(untrained, expert, scores[0].levels.source)


def _mean_row(rows: Sequence[TaskRow]) -> TaskRow:
    """One task over the seeds; figures that some seeds lack are left out."""
    levels = [row.levels for row in rows]
    return replace(
        rows[0],
        levels=TaskLevels(
            float(np.mean([x.untrained for x in levels])),
            float(np.mean([x.expert for x in levels])),
            _mean([x.demonstrators for x in levels]),
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
