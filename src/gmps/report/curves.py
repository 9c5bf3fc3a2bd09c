"""Learning curves over environment steps, as SVG that follows the page's colours."""

import hashlib
import io
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from gmps.evaluation.conditions import condition_label, is_condition
from gmps.report.runs import Group
from gmps.report.text import details, escape, words

#: Columns that the x-axis adds up; evaluation is not among them.
COUNTED = ("meta", "expert", "demonstration")
X_LABEL = "environment steps: meta-learner + expert + demonstrations"

# Matplotlib wants real colours; these stand for the page's, which differ in light and dark.
_COLOURS = {
    "#010101": "var(--ink)",
    "#010102": "var(--muted)",
    "#010103": "var(--line)",
    **{f"#0102{i:02x}": f"var(--series{i})" for i in range(1, 7)},
}
_INK, _MUTED, _LINE = list(_COLOURS)[:3]
SERIES = 6


class Curve(NamedTuple):
    """One line: a metric of one group of seeds."""

    metric: str
    group: str
    #: Number of its colour, from 1.
    colour: int
    dashed: bool
    #: One array per seed.
    x: list[Float[np.ndarray, " round"]]
    y: list[Float[np.ndarray, " round"]]


class Panel(NamedTuple):
    """One picture of curves."""

    title: str
    curves: list[Curve]

    def legend(self) -> list[tuple[str, str, bool]]:
        """Words, colour and whether dashed, of each entry of the legend."""
        groups = {curve.group: curve.colour for curve in self.curves}
        metrics = {curve.metric: curve.dashed for curve in self.curves}
        if len(groups) == 1:
            keys = [(c.metric, f"var(--series{c.colour})", c.dashed) for c in self.curves]
            return keys if len(metrics) > 1 else []
        keys = [(group, f"var(--series{colour})", False) for group, colour in groups.items()]
        if len(metrics) > 1:
            keys += [(metric, "var(--ink)", dashed) for metric, dashed in metrics.items()]
        return keys


def series(
    metrics: Sequence[dict[str, Any]], name: str
) -> tuple[Float[np.ndarray, " round"], Float[np.ndarray, " round"]]:
    """Environment steps so far and values of one metric, over the rounds that have it."""
    rows = [row for row in metrics if row.get(name) is not None]
    x = [sum(row.get(f"steps/{column}") or 0 for column in COUNTED) for row in rows]
    return np.asarray(x, np.float64), np.asarray([row[name] for row in rows], np.float64)


def mean_curve(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Mean over seeds, on the steps of the first seed that all seeds reached."""
    start, end = max(x[0] for x in curve.x), min(x[-1] for x in curve.x)
    grid = curve.x[0][(curve.x[0] >= start) & (curve.x[0] <= end)]
    values = [np.interp(grid, x, y) for x, y in zip(curve.x, curve.y, strict=True)]
    return grid, np.mean(values, axis=0)


def draw(panel: Panel) -> str:
    """An SVG element of a panel, without its title and legend."""
    # Imported late: it costs a second that commands without a report need not pay.
    import matplotlib as mpl  # noqa: PLC0415 - 0.4 s
    from matplotlib.backends.backend_svg import FigureCanvasSVG  # noqa: PLC0415 - 0.4 s
    from matplotlib.figure import Figure  # noqa: PLC0415 - 0.4 s
    from matplotlib.ticker import EngFormatter, MaxNLocator  # noqa: PLC0415 - 0.4 s

    settings: Any = {
        "svg.fonttype": "none",
        # Identifiers differ between the pictures of one page and repeat between reports.
        "svg.hashsalt": hashlib.sha256(repr(panel.title).encode()).hexdigest(),
        "font.family": "sans-serif",
        "font.size": 9,
        "axes.unicode_minus": True,
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=(4.3, 2.7), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        for curve in panel.curves:
            _draw_curve(axes, curve)
        _style(axes)
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.xaxis.set_major_locator(MaxNLocator(5))
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return _embed(buffer.getvalue(), panel)


def _draw_curve(axes: Any, curve: Curve) -> None:
    colour = f"#0102{curve.colour:02x}"
    style = {"color": colour, "solid_capstyle": "round", "linestyle": "--" if curve.dashed else "-"}
    x, y = mean_curve(curve) if len(curve.x) > 1 else (curve.x[0], curve.y[0])
    if len(curve.x) > 1:
        for one_x, one_y in zip(curve.x, curve.y, strict=True):
            axes.plot(one_x, one_y, **style, linewidth=0.7, alpha=0.45)
    marker = "o" if len(x) == 1 else None
    axes.plot(x, y, **style, linewidth=1.8, marker=marker, markersize=4)


def _style(axes: Any) -> None:
    axes.set_xlabel(X_LABEL, color=_MUTED, fontsize=8)
    axes.grid(axis="y", color=_LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_MUTED, length=0, labelsize=8.5)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(_LINE)
    axes.margins(x=0.02)


def _embed(svg: str, panel: Panel) -> str:
    svg = svg[svg.index("<svg") :]
    head, rest = svg.split(">", 1)
    label = ", ".join([f"{panel.title} over environment steps", *(k for k, _, _ in panel.legend())])
    view = head[head.index("viewBox=") :].split('"')[1]
    for sentinel, colour in _COLOURS.items():
        rest = rest.replace(sentinel, colour)
    # The page's font; styles and identifiers of one picture must not reach the others.
    rest = re.sub(r" ?font-family: [^;]*;", "", rest)
    rest = re.sub(r"<(style|metadata).*?</\1>", "", rest, flags=re.DOTALL)
    rest = re.sub(r'<g id="[^"]*"', "<g", rest)
    return f'<svg viewBox="{view}" role="img" aria-label="{escape(label)}">{rest}'


def curves_section(groups: Sequence[Group]) -> str:
    """Pictures of all metrics but the step counts, as HTML; the return and the loss come first."""
    rows = (row for group in groups for run in group.runs for row in run.metrics)
    names = [n for n in dict.fromkeys(name for row in rows for name in row) if n != "round"]
    panels = [_panel(groups, *part) for part in _parts(names)]
    panels = [panel for panel in panels if panel.curves]
    if not panels:
        return ""
    order = ["Return", "Loss: imitation", "Loss"]
    panels.sort(key=lambda panel: order.index(panel.title) if panel.title in order else len(order))
    first, more = panels[:2], panels[2:]
    several = any(len(group.runs) > 1 for group in groups)
    note = "Thin lines are seeds, the thick one their mean. " if several else ""
    return (
        "<h2>Learning curves</h2>"
        f'<p class="note">{note}Measured on the training tasks in each round. Steps of the '
        f"evaluation are not counted.</p>{_grid(first)}"
        + (details("More curves", _grid(more)) if more else "")
    )


def _parts(names: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Titles and metrics of pictures: together what differs in the condition alone."""
    parts: dict[str, list[str]] = {}
    for name in names:
        section, _, short = name.partition("/")
        if section == "steps":
            continue
        shared = is_condition(short)
        title = words(section) + (f": {words(short).lower()}" if short and not shared else "")
        parts.setdefault(title, []).append(name)
    return list(parts.items())


def _panel(groups: Sequence[Group], title: str, names: Sequence[str]) -> Panel:
    """Of one group, every metric has a colour; of several, every group has one."""
    curves = []
    single = len(groups) == 1
    for i, group in enumerate(groups):
        for j, name in enumerate(names if single else names[:2]):
            found = [series(run.metrics, name) for run in group.runs]
            found = [(x, y) for x, y in found if len(x)]
            if not found:
                continue
            short = name.partition("/")[2]
            curves.append(
                Curve(
                    metric=condition_label(short) if is_condition(short) else title,
                    group=group.label,
                    colour=_colour(short, j) if single else i % SERIES + 1,
                    dashed=not single and j == 0 and len(names) > 1,
                    x=[x for x, _ in found],
                    y=[y for _, y in found],
                )
            )
    return Panel(title, curves)


def _grid(panels: Sequence[Panel]) -> str:
    return f'<div class="grid curves">{"".join(_figure(panel) for panel in panels)}</div>'


def _colour(name: str, position: int) -> int:
    """Before and after have the colours of the tables."""
    fixed = {"before": 5, "after": 1, "after_1": 1, "after_2": 3, "after_3": 4}
    return fixed.get(name, position % SERIES + 1)


def _figure(panel: Panel) -> str:
    keys = ""
    for label, colour, dashed in panel.legend():
        dashes = ' stroke-dasharray="4 5"' if dashed else ""
        keys += (
            '<li><svg viewBox="0 0 26 10"><line x1="2" x2="24" y1="5" y2="5" '
            f'style="stroke:{colour}"{dashes}/></svg>{escape(label)}</li>'
        )
    legend = f'<ul class="legend">{keys}</ul>' if keys else ""
    return f"<figure><h3>{escape(panel.title)}</h3>{legend}{draw(panel)}</figure>"
