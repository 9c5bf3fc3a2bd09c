"""Pieces of HTML and colours that pages share. Words from files are text, never HTML."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from gmps.report.curves import series
from gmps.report.text import escape, number, words
from gmps.view.attempt import Played
from gmps.view.learner import Latents

#: Colours of the kinds of conditions, readable on light and on dark.
KINDS = {
    "before": (133, 140, 149),
    "after": (31, 135, 200),
    "control": (206, 104, 40),
    "plain": (150, 95, 185),
    "expert": (50, 145, 95),
    "other": (140, 135, 125),
}
#: From the worst return to the best.
_RAMP = np.array([(70, 80, 165), (45, 150, 150), (120, 190, 80), (245, 200, 45)], np.float64)


def ramp(values: Float[np.ndarray, " n"]) -> UInt8[np.ndarray, "n 3"]:
    """Colours of numbers: the least one dark blue, the largest one yellow."""
    low, high = float(np.min(values)), float(np.max(values))
    at = (np.asarray(values) - low) / max(high - low, 1e-12) * (len(_RAMP) - 1)
    ends = np.arange(len(_RAMP))
    return np.stack([np.interp(at, ends, channel) for channel in _RAMP.T], -1).astype(np.uint8)


def css(colour: Sequence[int]) -> str:
    """A colour for styles."""
    return "rgb({},{},{})".format(*(int(x) for x in colour))


def note(text: str, *, kind: str = "dim", mark: str = "") -> str:
    """A sentence. `kind` is dim, plain or warning; `mark` names it for tests."""
    styles = {
        "dim": "opacity:.7",
        "plain": "",
        "warning": "border-left:3px solid #d9822b;padding-left:.5em",
    }
    marked = f' data-gmps="{escape(mark)}"' if mark else ""
    return (
        f'<div{marked} style="font-size:.85em;line-height:1.35;padding:.15em .9em;">'
        f'<div style="{styles[kind]}">{escape(text)}</div></div>'
    )


def results(played: Sequence[Played]) -> str:
    """A table of the figures of the episodes that are played."""
    names = list(dict.fromkeys(name for episode in played for name in episode.figures))
    names.sort(key=lambda name: (name != "return", name == "success"))
    head = "".join(f'<th style="{_CELL}">{escape(words(n))}</th>' for n in names)
    body = ""
    for episode in played:
        cells = "".join(
            f'<td style="{_CELL}" data-figure="{escape(n)}">{figure(episode.figures.get(n), n)}'
            "</td>"
            for n in names
        )
        dot = (
            f'<i style="display:inline-block;width:.7em;height:.7em;border-radius:50%;'
            f'margin-right:.45em;background:{css(KINDS[episode.kind])}"></i>'
        )
        body += (
            f'<tr data-condition="{escape(episode.name)}"><th style="text-align:left;'
            f'font-weight:500;padding:.2em 0">{dot}{escape(episode.label)}</th>{cells}</tr>'
        )
    return (
        '<div data-gmps="results" style="padding:.3em .9em;overflow-x:auto"><table '
        'style="border-collapse:collapse;width:100%;font-size:.85em;'
        f'font-variant-numeric:tabular-nums"><tr><th></th>{head}</tr>{body}</table></div>'
    )


_CELL = "text-align:right;padding:.2em 0 .2em .7em;font-weight:inherit;white-space:nowrap"


def figure(value: float | None, name: str) -> str:
    """A figure of one episode in words: whether it succeeded, or a number."""
    if name == "success":
        return "–" if value is None else ("yes" if value > 0.5 else "no")
    return number(value, name)


def latent_plane(latents: Latents, returns: Float[np.ndarray, " ep"]) -> str:
    """The first two numbers of the latents that episodes drew, coloured by return, and where the
    step went: an arrow from the old mean to the new one."""
    size, reach = 150, 3.2
    drawn = np.pad(latents.drawn, ((0, 0), (0, 2)))[:, :2]
    ends = [np.pad(x, (0, 2))[:2] for x in (latents.before, latents.after)]
    reach = max(reach, float(np.abs(np.concatenate([drawn, *[x[None] for x in ends]])).max()) * 1.1)

    def xy(point: np.ndarray) -> tuple[float, float]:
        return size / 2 * (1 + point[0] / reach), size / 2 * (1 - point[1] / reach)

    dots = ""
    for point, colour in zip(drawn, ramp(returns), strict=True):
        x, y = xy(point)
        dots += f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{css(colour)}"/>'
    (x0, y0), (x1, y1) = map(xy, ends)
    middle, one = size / 2, size / 2 / reach
    more = latents.drawn.shape[1] - 2
    also = f" (2 of its {more + 2} numbers)" if more > 0 else ""
    return (
        '<div data-gmps="latents" style="padding:.3em .9em;display:flex;gap:.8em;'
        'align-items:center">'
        f'<svg viewBox="0 0 {size} {size}" width="{size}" height="{size}" role="img" '
        'aria-label="Latents of the exploring episodes" style="flex:none">'
        f'<circle cx="{middle}" cy="{middle}" r="{one:.1f}" fill="none" stroke="currentColor" '
        'opacity=".25"/><circle cx="{0}" cy="{0}" r="{1:.1f}" fill="none" stroke="currentColor" '
        'opacity=".15"/>'.format(middle, 2 * one)
        + dots
        + f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="#d63a55" '
        f'stroke-width="2"/><circle cx="{x1:.1f}" cy="{y1:.1f}" r="4.5" fill="none" '
        'stroke="#d63a55" stroke-width="2.5"/></svg>'
        f'<span style="font-size:.8em;opacity:.75;line-height:1.35">Each episode drew a latent'
        f"{escape(also)}. Yellow earned most. The red ring is where the step went.</span></div>"
    )


def curves(runs: Sequence[tuple[str, Sequence[dict[str, Any]]]]) -> str:
    """Return before and after the update over environment steps, of one run or several.

    Args:
        runs: names, and the rows of `metrics.jsonl`.
    """
    width, height, left = 300, 150, 34
    colours = [KINDS["after"], KINDS["control"], KINDS["expert"], KINDS["plain"]]
    lines = []
    for i, (name, rows) in enumerate(runs):
        for metric, dashes in (("return/before", "3 3"), ("return/after", "")):
            x, y = series(rows, metric)
            if len(x):
                lines.append((name, metric, dashes, colours[i % len(colours)], x, y))
    if not lines:
        return note("No round has ended yet.")
    low, high = (f([f(y) for *_, y in lines]) for f in (min, max))
    right = max(float(x[-1]) for *_, x, _ in lines)
    span = max(float(high - low), 1e-9)
    parts = ""
    for *_, dashes, colour, x, y in lines:
        points = " ".join(
            f"{left + (width - left - 6) * a / max(right, 1):.1f},"
            f"{8 + (height - 30) * (1 - (b - low) / span):.1f}"
            for a, b in zip(x, y, strict=True)
        )
        parts += (
            f'<polyline points="{points}" fill="none" stroke="{css(colour)}" stroke-width="1.8" '
            f'stroke-dasharray="{dashes}"/>'
        )
    for value, y in ((high, 12), (low, height - 20)):
        parts += f'<text x="{left - 4}" y="{y}" text-anchor="end">{number(float(value))}</text>'
    parts += (
        f'<text x="{width - 6}" y="{height - 5}" text-anchor="end">{right:,.0f} own steps</text>'
    )
    keys = "".join(
        f'<span style="margin-right:1em"><i style="display:inline-block;width:.7em;height:.7em;'
        f'border-radius:50%;background:{css(colours[i % len(colours)])}"></i> {escape(name)}</span>'
        for i, (name, _) in enumerate(runs)
    )
    return (
        f'<div data-gmps="curves" style="padding:.3em .9em"><svg viewBox="0 0 {width} {height}" '
        'style="width:100%" role="img" aria-label="Return over environment steps" '
        f'fill="currentColor" font-size="9">{parts}</svg><div style="font-size:.8em">{keys}'
        '<span style="opacity:.7">dashed before, solid after the update</span></div></div>'
    )
