"""Scores as tables of a terminal: figures, what a step brings, adaptation scores."""

from collections.abc import Sequence

from rich.table import Table

from gmps.commands.cli import console
from gmps.evaluation.conditions import after, condition_order, condition_short
from gmps.evaluation.scores import (
    MODES,
    AdaptationScore,
    Difference,
    Figure,
    Measures,
    Mode,
    ModeScores,
    Scores,
    TaskRow,
    is_rate,
)
from gmps.evaluation.summaries import summarise


def print_scores(scores: Scores) -> None:
    """The held-out tasks: figures of each noise mode, then what the update is worth.

    A terminal that is too narrow for intervals (80 columns hold them) gets means, and is told so.
    """
    tasks = len(scores.rows("heldout"))
    seeds = "several seeds" if scores.seed is None else f"one seed ({scores.seed})"
    levels = [scores.heldout[mode] for mode in MODES]
    full = [_figures(level, mode, True) for level, mode in zip(levels, MODES, strict=True)]
    wide = max(map(console.needed, full)) <= console.width
    what = "means with 95 % intervals" if wide else "means"
    console.print(f"{scores.family}: {what}, {tasks} held-out tasks, {seeds}")
    for table, level, mode in zip(full, levels, MODES, strict=True):
        console.print(table if wide else _figures(level, mode, False))
    if not wide:
        console.print("(Intervals need a wider terminal; they are in scores.json too.)")
    _print_differences(levels)
    top = "the expert" if "expert" in levels[0].conditions else "the demonstrators"
    _print_adaptation([level.adaptation_score for level in levels], top)
    _print_adaptation([level.demonstrator_score for level in levels], "the demonstrators")
    steps = ", ".join(f"{name} {n:,}" for name, n in scores.steps.items())
    console.print(f"\nenvironment steps: {steps}", soft_wrap=True)
    console.print(f"experts' labels: {_labels(scores)}", soft_wrap=True)


def _labels(scores: Scores) -> str:
    """What experts were asked, in words."""
    taken, asked = scores.expert_labels, scores.expert_queries
    if not taken and not asked:
        return "not counted" if taken is None else "none"
    known = "not counted" if taken is None else f"{taken:,.0f}"
    return f"{known} in their own episodes, {asked:,.0f} asked for in visited states"


def print_first(rows: Sequence[TaskRow]) -> None:
    """The held-out tasks without action noise, while the other tasks are still to be judged."""
    console.print(f"first figures, of {len(rows)} held-out tasks (means):")
    console.print(_figures(summarise([rows])["deterministic"], "deterministic", False))


def _figures(level: ModeScores, mode: Mode, intervals: bool) -> Table:
    """One noise mode, a row for each condition."""
    rows = level.conditions
    others = [f for f in rows["before"] if f not in ("return", "normalised")]
    columns = ["return", "normalised", *sorted(others, key=is_rate)]
    table = _table(mode, *(figure.replace("_", " ") for figure in columns))
    table.collapse_padding = not intervals
    for name in sorted(rows, key=condition_order):
        cells = (_cell(rows[name], figure, intervals) for figure in columns)
        table.add_row(condition_short(name), *cells)
    return table


def _print_differences(levels: Sequence[ModeScores]) -> None:
    """What one step brings, task by task."""
    name = after(1)
    console.print(
        f"\nWhat one step brings: normalised return {condition_short(name)}, minus that of"
    )
    table = _table("", *MODES)
    for other in levels[0].differences[name]:
        found = (level.differences[name][other]["normalised"] for level in levels)
        cells = (interval(x, "+.2f") for x in found)
        table.add_row(condition_short(other).strip("+ "), *cells)
    console.print(table)


def _print_adaptation(scores: Sequence[dict[str, AdaptationScore]], top: str) -> None:
    """Adaptation scores of both noise modes, a row for each number of steps."""
    if not scores[0]:
        return
    console.print(f"\nAdaptation score: 0 at the best control, 1 at {top}")
    table = _table("", *MODES)
    for name in scores[0]:
        table.add_row(condition_short(name), *(interval(x[name], ".2f") for x in scores))
    controls = [next(iter(x.values())).control for x in scores]
    table.add_row("best control", *(condition_short(x) if x else "-" for x in controls))
    console.print(table)


def _table(title: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(title, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _cell(row: Measures, figure: str, intervals: bool) -> str:
    if figure not in row:
        return "-"
    if figure == "return":
        return f"{row[figure].mean:.1f}"
    if is_rate(figure):
        return f"{row[figure].mean:.0%}"
    spec = ".2f" if figure == "normalised" else ".3f"
    return interval(row[figure], spec) if intervals else format(row[figure].mean, spec)


def interval(figure: Figure | Difference | AdaptationScore | None, spec: str) -> str:
    """A value and its interval, as far as they are known."""
    if figure is None:
        return "-"
    value = figure.value if isinstance(figure, AdaptationScore) else figure.mean
    if value is None:
        return "-"
    if figure.ci_low is None:
        return format(value, spec)
    low, high = (format(x, spec) for x in (figure.ci_low, figure.ci_high))
    return f"{format(value, spec)} [{low}, {high}]"
