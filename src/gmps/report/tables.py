"""Tables of the report, as HTML."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gmps.evaluation.conditions import (
    Kind,
    after,
    condition_kind,
    condition_label,
    condition_order,
)
from gmps.evaluation.scores import Differences, Figure, Measures, Mode, ModeScores, Scores
from gmps.report.runs import Group
from gmps.report.text import escape, interval, number, words
from gmps.tasks.choices import Split


class Dot(NamedTuple):
    """One figure of a strip, in normalised units, with its interval."""

    kind: Kind
    figure: Figure


def score_table(conditions: dict[str, Measures]) -> str:
    """One noise mode: a row per condition with every figure and its interval."""
    rows = sorted(conditions, key=condition_order)
    measures = _measures(conditions, rows)
    domain = strip_domain([conditions[name].get("normalised") for name in rows])
    head = "".join(f"<th>{escape(words(measure))}</th>" for measure in measures)
    body = []
    for name in rows:
        figures = conditions[name]
        kind = condition_kind(name)
        dots = [Dot(kind, figures["normalised"])] if "normalised" in figures else []
        cells = "".join(
            f'<td{" class=first" if i == 0 else ""} data-label="{escape(words(m))}">'
            f"{interval(figures.get(m), m)}</td>"
            for i, m in enumerate(measures)
        )
        body.append(
            f'<tr class="{kind}"><th scope="row"><i class="key {kind}"></i>'
            f'{escape(condition_label(name))}</th><td class="strip">{strip(dots, domain)}</td>'
            f"{cells}</tr>"
        )
    return (
        f'<table class="scores"><thead><tr><th></th><th class="strip">{_strip_head(domain)}</th>'
        f"{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
    )


def difference_table(level: ModeScores) -> str:
    """What adapting brings, task by task: differences to other conditions, with intervals."""
    rows = [
        (f"{condition_label(name)} − {condition_label(other).lower()}", found)
        for name, others in level.differences.items()
        for other, found in others.items()
    ]
    measures = _measures({name: found for name, found in rows}, [name for name, _ in rows])
    head = "".join(f"<th>{escape(words(measure))}</th>" for measure in measures)
    body = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(
            f'<td data-label="{escape(words(m))}">{interval(found.get(m), m)}</td>'
            for m in measures
        )
        + "</tr>"
        for name, found in rows
    )
    return (
        f'<table class="scores"><thead><tr><th>Difference</th>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def comparison_table(groups: Sequence[Group], split: Split, mode: Mode) -> str:
    """Groups side by side: one strip and the main figures of each."""
    shown = ("before", after(1), "wrong_task", "plain", "expert")
    levels = [(group, group.scores[split][mode]) for group in groups if group.scores is not None]
    if not levels:
        return ""
    columns = [name for name in shown if any(name in x.conditions for _, x in levels)]
    scales = [
        {name: x.conditions[name]["normalised"] for name in columns if name in x.conditions}
        for _, x in levels
    ]
    domain = strip_domain([figure for scale in scales for figure in scale.values()])
    body = []
    for (group, level), scale in zip(levels, scales, strict=True):
        dots = [Dot(condition_kind(n), figure) for n, figure in scale.items()]
        cells = "".join(
            f'<td data-label="{escape(condition_label(n))}">'
            f"{interval(scale.get(n), 'normalised')}</td>"
            for n in columns
        )
        score = interval(level.adaptation_score.get(after(1)), "adaptation")
        seeds = f'<span class="sub">{_seeds(group)}</span>'
        body.append(
            f'<tr><th scope="row">{escape(group.label)}{seeds}</th>'
            f'<td class="strip">{strip(dots, domain)}</td>{cells}'
            f'<td data-label="Adaptation score">{score}</td></tr>'
        )
    head = "".join(
        f'<th><i class="key {condition_kind(n)}"></i>{escape(condition_label(n))}</th>'
        for n in columns
    )
    return (
        '<table class="scores compare"><thead><tr><th></th>'
        f'<th class="strip">{_strip_head(domain)}</th>'
        f"{head}<th>Adaptation score</th></tr></thead><tbody>{''.join(body)}</tbody></table>"
    )


def task_table(scores: Scores, split: Split, mode: Mode) -> str:
    """One row per task: normalised scores of every condition, and the adaptation score."""
    rows = scores.rows(split)
    if not rows:
        return ""
    names = sorted({name for row in rows for name in row[mode]}, key=condition_order)
    head = "<th>Adaptation score</th>"
    head += "".join(f"<th>{escape(condition_label(n))}</th>" for n in names)
    outcomes = [
        m for m in rows[0][mode].get(after(1), {}) if m not in ("return", "normalised", "success")
    ]
    head += "".join(
        f"<th>{escape(words(m))}, {which}</th>" for m in outcomes for which in ("before", "after 1")
    )
    body = []
    for row in rows:
        cells = "".join(_shaded(row[mode].get(n, {}).get("normalised")) for n in names)
        cells += "".join(
            f"<td>{number(row[mode].get(which, {}).get(m), m)}</td>"
            for m in outcomes
            for which in ("before", after(1))
        )
        body.append(
            f'<tr><th scope="row">{escape(row.task)}</th>'
            f"<td><b>{number(row.adaptation_score[mode], 'adaptation')}</b></td>{cells}</tr>"
        )
    return (
        f'<div class="scroll"><table class="tasks"><thead><tr><th>Task</th>{head}'
        f"</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def facts_table(rows: Sequence[tuple[str, str]]) -> str:
    """Names and values; the values are HTML."""
    body = "".join(f'<tr><th scope="row">{escape(k)}</th><td>{v}</td></tr>' for k, v in rows)
    return f'<table class="facts"><tbody>{body}</tbody></table>'


def strip_domain(figures: Sequence[Figure | None]) -> tuple[float, float]:
    """Ends of the strips' scale: 0 to 1, and further where an interval reaches."""
    values = [0.0, 1.0]
    for figure in figures:
        if figure is not None:
            values += [figure.ci_low, figure.ci_high, figure.mean]
    return max(min(values), -1.0), min(max(values), 2.0)


def strip(dots: Sequence[Dot], domain: tuple[float, float]) -> str:
    """Figures with intervals on a line from 0 (untrained) to 1 (expert)."""
    marks = '<line class="base" x1="4%" x2="96%" y1="11" y2="11"/>' + "".join(
        f'<line class="tick" x1="{at}" x2="{at}" y1="0" y2="22"/>'
        for at in (_at(0, domain), _at(1, domain))
    )
    for kind, figure in dots:
        low, high = _at(figure.ci_low, domain), _at(figure.ci_high, domain)
        marks += (
            f'<line class="span {kind}" x1="{low}" x2="{high}" y1="11" y2="11"/>'
            f'<circle class="{kind}" cx="{_at(figure.mean, domain)}" cy="11" r="4.5"/>'
        )
    return f'<svg class="strip" aria-hidden="true">{marks}</svg>'


def _at(value: float, domain: tuple[float, float]) -> str:
    low, high = domain
    share = (min(max(value, low), high) - low) / (high - low)
    return f"{4 + 92 * share:.2f}%"


def _strip_head(domain: tuple[float, float]) -> str:
    zero, one = _at(0, domain), _at(1, domain)
    return (
        f'<span class="ends"><span style="left:{zero}">untrained</span>'
        f'<span style="left:{one}">expert</span></span>'
    )


def _measures(conditions: Mapping[str, Measures | Differences], rows: Sequence[str]) -> list[str]:
    found = list(dict.fromkeys(m for name in rows for m in conditions[name]))
    first = [m for m in ("normalised", "return", "success") if m in found]
    return first + [m for m in found if m not in first]


def _shaded(value: float | None) -> str:
    share = 0 if value is None else round(100 * min(max(value, 0), 1))
    return f'<td class="shade" style="--share:{share}%">{number(value, "normalised")}</td>'


def _seeds(group: Group) -> str:
    seeds = [str(run.seed) for run in group.evaluated]
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"{len(seeds)} seeds: {', '.join(seeds)}"
