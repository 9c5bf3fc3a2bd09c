"""Summaries of rows of tasks: figures over tasks and seeds, differences, adaptation scores.

Everything that `scores.json` says about a split follows from its rows, so that an interval can be
computed anew from a stored result.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from gmps.evaluation.conditions import COMPARED, CONTROLS, after_steps, condition_order
from gmps.evaluation.scores import (
    MODES,
    AdaptationScore,
    Difference,
    Differences,
    Figure,
    Mode,
    ModeScores,
    SplitScores,
    TaskRow,
    is_rate,
)
from gmps.evaluation.stats import difference_interval, rate_interval, seed_task_interval

#: By condition and measure.
Table = dict[str, dict[str, Float[np.ndarray, "seed task"]]]


def markdown_table(rows: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The lines of a table of conditions, with a column for each measure that one of them has.

    Example:
        `markdown_table({"after_1": {"return": 3.0}})` ends in `"| after 1 | 3 |"`.
    """
    measures = list(dict.fromkeys(name for row in rows.values() for name in row))
    lines = [f"| | {' | '.join(measures)} |", f"|---|{'---|' * len(measures)}"]
    for name, row in rows.items():
        cells = [f"{row[m]:.3g}" if m in row else "-" for m in measures]
        lines.append(f"| {name.replace('_', ' ')} | {' | '.join(cells)} |")
    return lines


def summarise(seeds: Sequence[Sequence[TaskRow]]) -> SplitScores:
    """The scores of one split.

    Args:
        seeds: of each seed the rows of its tasks, as many for each seed, at least two tasks. Rows
            in the same place are taken for the same task.
    """
    deterministic, stochastic = (_mode(seeds, mode) for mode in MODES)
    return SplitScores(deterministic, stochastic)


def task_score(row: dict[str, dict[str, float]]) -> float | None:
    """The adaptation score of one task after one step; None where there is no room to adapt in."""
    values = {name: measures["normalised"] for name, measures in row.items()}
    control = max(values[name] for name in CONTROLS)
    room = values.get("expert", 1.0) - control
    return (values["after_1"] - control) / room if room > 0 else None


def _mode(seeds: Sequence[Sequence[TaskRow]], mode: Mode) -> ModeScores:
    table = _table(seeds, mode)
    adapted = [name for name in table if after_steps(name) is not None]
    expert = table.get("expert", table.get("demonstrators"))
    assert expert is not None
    shown = table.get("demonstrators") if "expert" in table else None
    return ModeScores(
        conditions={
            name: {measure: figure(x, measure) for measure, x in measures.items()}
            for name, measures in table.items()
        },
        differences={
            name: {
                other: _differences(table[name], table[other])
                for other in COMPARED
                if other in table
            }
            for name in adapted
        },
        adaptation_score={name: _score(table, name, expert["normalised"]) for name in adapted},
        demonstrator_score=(
            {}
            if shown is None
            else {name: _score(table, name, shown["normalised"]) for name in adapted}
        ),
    )


def _table(seeds: Sequence[Sequence[TaskRow]], mode: Mode) -> Table:
    """Figures that all rows have, and levels without episodes of their own."""
    rows = [row for tasks in seeds for row in tasks]
    shape = (len(seeds), -1)
    names = [x for x in rows[0][mode] if all(x in row[mode] for row in rows)]
    table: Table = {
        name: {
            measure: np.array([row[mode][name][measure] for row in rows]).reshape(shape)
            for measure in rows[0][mode][name]
            if all(measure in row[mode][name] for row in rows)
        }
        for name in names
    }
    low = np.array([row.levels.untrained for row in rows]).reshape(shape)
    high = np.array([row.levels.expert for row in rows]).reshape(shape)
    shown = [row.levels.demonstrators for row in rows]
    if all(x is not None for x in shown):
        level = np.array(shown, np.float64).reshape(shape)
        table["demonstrators"] = {"return": level, "normalised": (level - low) / (high - low)}
    elif "expert" not in table:
        table["expert"] = {"return": high, "normalised": np.ones_like(high)}
    return {name: table[name] for name in sorted(table, key=condition_order)}


def figure(x: Float[np.ndarray, "seed task"], measure: str) -> Figure:
    """The mean over seeds and tasks, with the interval that suits the measure."""
    low, high = rate_interval(x) if is_rate(measure) else seed_task_interval(np.mean, x)
    return Figure(float(x.mean()), low, high, float(np.median(x)))


def _differences(
    after: dict[str, Float[np.ndarray, "seed task"]],
    before: dict[str, Float[np.ndarray, "seed task"]],
) -> Differences:
    found = {}
    for measure, x in after.items():
        y = before.get(measure)
        if y is not None:
            low, high = difference_interval(x, y, rates=is_rate(measure))
            found[measure] = Difference(float((x - y).mean()), low, high)
    return found


def _score(table: Table, name: str, top: Float[np.ndarray, "seed task"]) -> AdaptationScore:
    levels = {x: table[x]["normalised"] for x in CONTROLS if x in table}
    control = max(levels, key=lambda x: levels[x].mean())
    arrays = (table[name]["normalised"], levels[control], top)
    rooms = []

    def ratio(reached: np.ndarray, base: np.ndarray, top: np.ndarray) -> float:
        rooms.append(room := float(top.mean() - base.mean()))
        return float(reached.mean() - base.mean()) / room if room > 0 else np.nan

    value = ratio(*arrays)
    if np.isnan(value):
        return AdaptationScore(None, None, None, control)
    low, high = seed_task_interval(ratio, *arrays)
    if min(rooms) <= 0:
        return AdaptationScore(value, None, None, control)
    return AdaptationScore(value, low, high, control)
