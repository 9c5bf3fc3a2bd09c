"""Words and numbers of the report."""

import html
import math
import re
from typing import Any

#: Conditions of the evaluation in the order of the tables, with what they mean.
CONDITIONS = {
    "before": "The meta-trained policy, before any update.",
    "after": "After gradient steps on its own experience in the task.",
    "wrong_task": "The same update, computed from another task's experience.",
    "random_update": "A random update of the same size.",
    "zero_step": "A step of size zero, on fresh episodes: shows the noise of the evaluation.",
    "plain_before": "Plain imitation of all experts, without meta-learning, before its update.",
    "plain": "Plain imitation, then one plain policy-gradient step whose size was tuned on "
    "training tasks.",
    "expert": "The expert, which knows the task.",
}
#: Measures that are no outcome of the family's own.
_SCALES = ("return", "normalised", "success", "adaptation")
_LABELS = {
    "before": "Before the update",
    "after": "After the update",
    "wrong_task": "Another task's update",
    "random_update": "Random update, same size",
    "zero_step": "Step of size zero",
    "plain_before": "Plain imitation",
    "plain": "Plain imitation + 1 step",
    "expert": "Expert",
}


def condition_label(name: str) -> str:
    """A condition in words."""
    steps = re.fullmatch(r"after_(\d+)", name)
    if steps:
        return "After 1 update" if steps[1] == "1" else f"After {steps[1]} updates"
    return _LABELS.get(name, words(name))


def is_condition(name: str) -> bool:
    """Whether a name is one of the evaluation's conditions."""
    return name in CONDITIONS or name in _LABELS or re.fullmatch(r"after_\d+", name) is not None


def condition_kind(name: str) -> str:
    """The class of a condition, which decides its colour."""
    if name == "after" or name.startswith("after_"):
        return "after"
    kinds = {"wrong_task": "control", "random_update": "control", "plain_before": "plain"}
    return kinds.get(name, name if name in ("before", "plain", "expert") else "other")


def condition_order(name: str) -> tuple[int, str]:
    """Sort key of conditions."""
    kinds = list(CONDITIONS)
    kind = "after" if name.startswith("after_") else name
    return (kinds.index(kind) if kind in kinds else len(kinds), name)


def words(name: str) -> str:
    """`final_error` as `Final error`."""
    text = name.replace("_", " ").replace("/", " ")
    return text[:1].upper() + text[1:]


def number(x: Any, measure: str = "") -> str:
    """A figure with three significant digits; success rates as per cent; a dash for None."""
    if x is None or (isinstance(x, float) and not math.isfinite(x)):
        return "–"
    if measure == "success":
        return f"{100 * x:.0f} %"
    if measure in ("normalised", "adaptation"):
        return f"{x:.2f}".replace("-", "−")
    digits = 0 if x == 0 else max(0, 2 - math.floor(math.log10(abs(x))))
    return f"{x:,.{min(digits, 4)}f}".replace("-", "−")


def interval(figure: dict[str, Any] | None, measure: str = "") -> str:
    """A figure with its 95 % interval, as HTML; outcomes in their own unit with their median."""
    if figure is None or figure.get("iqm") is None:
        return '<span class="none">–</span>'
    text = number(figure["iqm"], measure)
    low, high = number(figure["ci_low"], measure), number(figure["ci_high"], measure)
    low = low.removesuffix(" %")
    more = ""
    if measure not in _SCALES and figure.get("median") is not None:
        more = f' <span class="ci">median {number(figure["median"], measure)}</span>'
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
    """Text for HTML."""
    return html.escape(str(x))


def details(title: str, content: str) -> str:
    """A part of the page that opens on a click; `content` is HTML."""
    return f"<details><summary>{escape(title)}</summary>{content}</details>"
