"""Scores of several seeds as one, from the per-task rows of each."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gmps.errors import GmpsError
from gmps.evaluation.evaluate import CONTROLS, MODES
from gmps.evaluation.stats import stratified_bootstrap, summarise, task_iqm

SPLITS = ("heldout", "train")

Scores = Mapping[str, Any]


def combine_scores(named: Mapping[str, Scores]) -> dict[str, Any]:
    """One `scores.json` content from those of several seeds.

    Figures are interquartile means over seeds and tasks; their intervals resample seeds. Rows of
    tasks and step counts are means over seeds; training tasks that each seed drew for itself have
    no rows. A single one is returned as it is.

    Args:
        named: folder names to scores, of runs that differ in their seed alone.

    Raises:
        GmpsError: if they were evaluated on different held-out tasks, or on unequally many.
    """
    names, scores = list(named), list(named.values())
    first = dict(scores[0])
    if len(scores) == 1:
        return first
    # What belongs to one seed alone.
    for single in ("seed", "checkpoint_round", "plain_control"):
        first.pop(single, None)
    listed = set()
    for split in SPLITS:
        tasks = [_tasks(s, split) for s in scores]
        if all(x == tasks[0] for x in tasks):
            listed.add(split)
        for name, other in zip(names, tasks, strict=True):
            if len(other) != len(tasks[0]) or (split == "heldout" and other != tasks[0]):
                raise GmpsError(
                    f"{names[0]} and {name} have equal settings but were evaluated on different "
                    "tasks; evaluate them on the same."
                )
    for split in SPLITS:
        if split in first:
            first[split] = {
                mode: _combine_mode(scores, split, mode) for mode in MODES if mode in first[split]
            }
    first["tasks"] = [
        _mean_row(rows)
        for rows in zip(*(s["tasks"] for s in scores), strict=True)
        if rows[0]["split"] in listed
    ]
    first["steps"] = {
        name: float(np.mean([s["steps"][name] for s in scores])) for name in first["steps"]
    }
    return first


def _tasks(scores: Scores, split: str) -> list[str]:
    return [row["task"] for row in scores["tasks"] if row["split"] == split]


def _combine_mode(scores: list[Scores], split: str, mode: str) -> dict[str, Any]:
    combined: dict[str, Any] = {}
    for condition, measures in scores[0][split][mode].items():
        if condition == "adaptation_score":
            continue
        combined[condition] = {}
        for measure, single in measures.items():
            values = _values(scores, split, mode, condition, measure)
            # Levels without episodes of their own, such as a demonstrator's, have no rows.
            combined[condition][measure] = single if values is None else summarise(values)._asdict()
    steps = scores[0][split][mode].get("adaptation_score", {})
    combined["adaptation_score"] = {
        after: _adaptation(scores, split, mode, after) for after in steps
    }
    return combined


def _values(
    scores: list[Scores], split: str, mode: str, condition: str, measure: str
) -> np.ndarray | None:
    """`(seed, task, 1)` of the per-task rows, or None where a row lacks the figure."""
    values = [
        [row[mode].get(condition, {}).get(measure) for row in s["tasks"] if row["split"] == split]
        for s in scores
    ]
    if any(x is None for row in values for x in row):
        return None
    return np.asarray(values, np.float64)[..., None]


def _adaptation(scores: list[Scores], split: str, mode: str, after: str) -> dict[str, Any]:
    def normalised(condition: str) -> np.ndarray | None:
        return _values(scores, split, mode, condition, "normalised")

    candidates = {name: normalised(name) for name in CONTROLS}
    present = {name: x for name, x in candidates.items() if x is not None}
    reached, expert = normalised(after), normalised("expert")
    if reached is None or not present:
        return {"iqm": None, "ci_low": None, "ci_high": None, "control": None}
    control = max(present, key=lambda name: task_iqm(present[name], 3))
    arrays = (reached, present[control], np.ones_like(reached) if expert is None else expert)

    def ratio(x: np.ndarray, base: np.ndarray, top: np.ndarray) -> Any:
        low = task_iqm(base, 3)
        return (task_iqm(x, 3) - low) / (task_iqm(top, 3) - low)

    if task_iqm(arrays[2], 3) <= task_iqm(arrays[1], 3):
        return {"iqm": None, "ci_low": None, "ci_high": None, "control": control}
    low, high = stratified_bootstrap(ratio, *arrays)
    return {"iqm": float(ratio(*arrays)), "ci_low": low, "ci_high": high, "control": control}


def _mean_row(rows: Sequence[Any]) -> Any:
    """Means of equal nested dicts; None where any is None, the first of what is no number."""
    if isinstance(rows[0], Mapping):
        names = [name for name in rows[0] if all(name in row for row in rows)]
        return {name: _mean_row([row[name] for row in rows]) for name in names}
    if any(row is None for row in rows):
        return None
    if isinstance(rows[0], int | float) and not isinstance(rows[0], bool):
        return float(np.mean(rows))
    return rows[0]
