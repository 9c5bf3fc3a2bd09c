"""Words and numbers of the report."""

import html
import math
from typing import Any

from gmps.evaluation.scores import AdaptationScore, Difference, Figure, is_rate
from gmps.printable import printable

#: Measures that are no outcome of the family's own.
_SCALES = ("return", "normalised", "success", "adaptation")


def words(name: str) -> str:
    """`final_error` as `Final error`."""
    text = name.replace("_", " ").replace("/", " ")
    return text[:1].upper() + text[1:]


def number(x: Any, measure: str = "") -> str:
    """A figure with three significant digits; rates as per cent; a dash for None."""
    if x is None or (isinstance(x, float) and not math.isfinite(x)):
        return "–"
    if is_rate(measure):
        return f"{100 * x:.0f} %".replace("-", "−")
    if measure in ("normalised", "adaptation"):
        return f"{x:.2f}".replace("-", "−")
    digits = 0 if x == 0 else max(0, 2 - math.floor(math.log10(abs(x))))
    return f"{x:,.{min(digits, 4)}f}".replace("-", "−")


def interval(figure: Figure | Difference | AdaptationScore | None, measure: str = "") -> str:
    """A figure with its 95 % interval, as HTML; outcomes in their own unit with their median."""
    if figure is None:
        return '<span class="none">–</span>'
    value = figure.value if isinstance(figure, AdaptationScore) else figure.mean
    if value is None:
        return '<span class="none">–</span>'
    text = number(value, measure)
    low, high = number(figure.ci_low, measure), number(figure.ci_high, measure)
    low = low.removesuffix(" %")
    more = ""
    if not (measure in _SCALES or is_rate(measure)) and isinstance(figure, Figure):
        more = f' <span class="ci">median {number(figure.median, measure)}</span>'
    return f'<b>{text}</b> <span class="ci">{low} to {high}</span>{more}'


def steps(x: float) -> str:
    """A count of environment steps."""
    return f"{x:,.0f}".replace(",", "\u202f")


def duration(seconds: float) -> str:
    """Seconds in words."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def escape(x: Any) -> str:
    """Text for HTML: what controls a terminal or the direction of writing is spelled out."""
    return html.escape(printable(str(x)))


def details(title: str, content: str) -> str:
    """A part of the page that opens on a click; `content` is HTML."""
    return f"<details><summary>{escape(title)}</summary>{content}</details>"
