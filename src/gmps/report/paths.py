"""Pictures of the paths in held-out tasks, before and after the update, as plain SVG."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from gmps.core.types import evenly
from gmps.errors import GmpsError
from gmps.evaluation.conditions import condition_label
from gmps.report.text import escape

#: Conditions drawn, in drawing order, where `paths.npz` has them.
DRAWN = ("expert", "before", "after_1")
#: Side of a picture's canvas, in SVG units.
SIZE = 200
MARGIN = 14
#: Largest number of points drawn per path; more cannot be told apart.
POINTS = 100


def path_names(arrays: Mapping[str, np.ndarray]) -> list[str]:
    """Names of what moves, such as `hand` and `block`; the last one is drawn boldest."""
    found = (name.split("/", 1) for name in arrays if "/" in name)
    return list(dict.fromkeys(name for condition, name in found if condition in DRAWN))


def draw_tasks(arrays: Mapping[str, np.ndarray]) -> list[tuple[str, str]]:
    """One picture for each task of `paths.npz`.

    Args:
        arrays: `goal (task, 2)` and `<condition>/<name>` `(task, t + 1, 2)`, or with several
            episodes `(task, ep, t + 1, 2)`, in m, and `task_names`.

    Returns:
        Names of the tasks, each with an SVG element. All pictures have the same scale.

    Raises:
        GmpsError: if the arrays do not have these shapes.
    """
    goals = np.asarray(arrays["goal"], np.float64)
    names = path_names(arrays)
    drawn = {
        (condition, name): _with_episodes(arrays[f"{condition}/{name}"])
        for condition in DRAWN
        for name in names
        if f"{condition}/{name}" in arrays
    }
    for (condition, name), path in drawn.items():
        if path.ndim != 4 or path.shape[0] != len(goals) or path.shape[-1] != 2:
            raise GmpsError(
                f"The paths {condition}/{name} have shape {path.shape}, but need the axes (task, "
                f"ep, t + 1, 2) or (task, t + 1, 2) for {len(goals)} tasks."
            )
    origin, scale = _frame(goals, list(drawn.values()))
    titles = [str(x) for x in arrays["task_names"]] if "task_names" in arrays else []
    pictures = []
    for i, goal in enumerate(goals):
        title = titles[i] if i < len(titles) else f"Task {i}"
        parts = [_goal((goal - origin) * scale)]
        for (condition, name), path in drawn.items():
            weight = "main" if name == names[-1] else "side"
            parts += [
                _line((episode - origin) * scale, f"path {condition} {weight}")
                for episode in path[i]
            ]
        first = next(iter(drawn.values()), None)
        if first is not None:
            parts.append(_start((first[i, 0, 0] - origin) * scale))
        parts.append(_scale_bar(scale))
        label = escape(f"Paths in the task {title}, before and after the update")
        pictures.append(
            (
                title,
                f'<svg viewBox="0 0 {SIZE} {SIZE}" role="img" '
                f'aria-label="{label}">{"".join(parts)}</svg>',
            )
        )
    return pictures


def _with_episodes(path: np.ndarray) -> np.ndarray:
    path = np.asarray(path, np.float64)
    return path[:, None] if path.ndim == 3 else path


def legend(arrays: Mapping[str, np.ndarray]) -> list[tuple[str, str]]:
    """CSS class and words of each kind of line."""
    present = {name.split("/")[0] for name in arrays if "/" in name}
    order = [name for name in ("before", "after_1", "expert") if name in present]
    return [(name, condition_label(name)) for name in order]


def _frame(
    goals: Float[np.ndarray, "task 2"], paths: list[Float[np.ndarray, "task ep t1 2"]]
) -> tuple[np.ndarray, float]:
    """Lower left corner in m and SVG units per m, so that all tasks fit at one scale."""
    points = np.concatenate([goals, *(path.reshape(-1, 2) for path in paths)])
    points = points[np.isfinite(points).all(-1)]
    low, high = points.min(0), points.max(0)
    side = max(float((high - low).max()), 1e-6)
    scale = (SIZE - 2 * MARGIN) / side
    return (low + high) / 2 - SIZE / 2 / scale, scale


def _xy(point: np.ndarray) -> tuple[str, str]:
    """SVG coordinates; y points down there."""
    return f"{point[0]:.1f}", f"{SIZE - point[1]:.1f}"


def _line(points: Float[np.ndarray, "t1 2"], style: str) -> str:
    points = points[np.isfinite(points).all(-1)]
    if len(points) == 0:
        return ""
    shown = points[evenly(len(points), POINTS)]
    text = " ".join(",".join(_xy(point)) for point in shown)
    x, y = _xy(points[-1])
    return (
        f'<polyline class="{style}" points="{text}"/><circle class="{style} end" cx="{x}" '
        f'cy="{y}" r="3"/>'
    )


def _goal(point: np.ndarray) -> str:
    x, y = _xy(point)
    return (
        f'<g class="goal"><circle cx="{x}" cy="{y}" r="7.5"/><circle class="dot" cx="{x}" '
        f'cy="{y}" r="2.2"/></g>'
    )


def _start(point: np.ndarray) -> str:
    x, y = _xy(point)
    return f'<circle class="start" cx="{x}" cy="{y}" r="2.6"/>'


def _scale_bar(scale: float) -> str:
    """A bar of a round length, at most a third of the picture."""
    longest = SIZE / 3 / scale
    power = 10.0 ** np.floor(np.log10(longest))
    length = power * max(k for k in (1, 2, 5) if k * power <= longest)
    text = f"{length:g} m" if length >= 1 else f"{100 * length:g} cm"
    end = MARGIN / 2 + length * scale
    return (
        f'<g class="bar"><line x1="{MARGIN / 2}" x2="{end:.1f}" y1="{SIZE - 5}" y2="{SIZE - 5}"/>'
        f'<text x="{MARGIN / 2}" y="{SIZE - 9}">{text}</text></g>'
    )
