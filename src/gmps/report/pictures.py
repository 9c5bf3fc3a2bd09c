"""What a policy that sees looked at, before and after the update, with the points it found."""

import base64
import io
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from gmps.evaluation.conditions import condition_label
from gmps.evaluation.evaluate import SHOWN
from gmps.report.text import escape


def draw_frames(arrays: Mapping[str, np.ndarray]) -> list[tuple[str, str]]:
    """One figure for each task of `paths.npz`; none for a policy that does not see.

    Args:
        arrays: `frames/<condition>` `(task, k, height, width, 3)` and `points/<condition>`
            `(task, k, point, 2)`, rows and columns in [-1, 1], of the conditions in `SHOWN`;
            `frames/step (k,)`; `task_names`.

    Returns:
        Names of the tasks, each with HTML: a strip of pictures for each condition, every point in
        its own colour.
    """
    shown = [name for name in SHOWN if f"frames/{name}" in arrays]
    if not shown:
        return []
    steps = ", ".join(str(int(x)) for x in arrays["frames/step"])
    figures = []
    for i, title in enumerate(map(str, arrays["task_names"])):
        strips = [
            f"<figcaption>{escape(condition_label(name))}, steps {steps}</figcaption>"
            + strip(arrays[f"frames/{name}"][i], arrays[f"points/{name}"][i])
            for name in shown
        ]
        figures.append((title, "".join(strips)))
    return figures


def strip(
    frames: UInt8[np.ndarray, "k height width 3"], points: Float[np.ndarray, "k point 2"]
) -> str:
    """Pictures in a row, as SVG: pixels stay sharp, points are drawn at any scale."""
    count, height, width, _ = frames.shape
    gap = 2
    parts = []
    for i, (frame, found) in enumerate(zip(frames, points, strict=True)):
        left = i * (width + gap)
        parts.append(
            f'<image x="{left}" width="{width}" height="{height}" '
            f'style="image-rendering:pixelated" href="{_png(frame)}"/>'
        )
        # -1 and 1 are the middles of the first and the last cell of the last layer; to the eye, the
        # picture's edges.
        rows, columns = (found.T + 1) / 2 * np.array([[height], [width]])
        for k, (row, column) in enumerate(zip(rows, columns, strict=True)):
            hue = 360 * k / len(found)
            parts.append(
                f'<circle cx="{left + column:.1f}" cy="{row:.1f}" r="1" '
                f'fill="hsl({hue:.0f} 90% 55%)" stroke="#fff" stroke-width=".25"/>'
            )
    total = count * (width + gap) - gap
    return f'<svg viewBox="0 0 {total} {height}" role="img">{"".join(parts)}</svg>'


def _png(frame: UInt8[np.ndarray, "height width 3"]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(frame).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
