"""Where the copies of a stage stand, and from where they are looked at."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from gmps.view.stage import Stage

#: Vertical angle of view, rad: that of MuJoCo's cameras.
FOV = np.pi / 4
#: Room between copies, as a share of a copy's size.
_GAP = 0.12
#: Room around all of them.
_MARGIN = 1.1


class Layout(NamedTuple):
    """Offsets of copies, and a camera that sees them all. Lengths are in m."""

    offsets: Float[np.ndarray, "copy 3"]
    lookat: Float[np.ndarray, " 3"]
    #: Of the camera.
    position: Float[np.ndarray, " 3"]


def layout(stage: Stage, rows: Sequence[int], aspect: float, free: float = 1.0) -> Layout:
    """Copies side by side, or one below the other where there is more height than width.

    Args:
        stage: what the copies are of.
        rows: copies of each learner.
        aspect: width of the picture over its height.
        free: the share of its height, from above, in which copies are to be seen.
    """
    right, near = stage.view.right, stage.view.near
    across, along = _size(stage, right) * (1 + _GAP), _size(stage, near) * (1 + _GAP)
    # The first of a row stands left, or at the back.
    step, next_row = (right * across, near * along)
    if aspect < free:
        step, next_row = near * along, right * across
    offsets = np.array(
        [i * next_row + j * step for i, count in enumerate(rows) for j in range(count)]
    )
    lookat = stage.view.lookat + (offsets.max(0) + offsets.min(0)) / 2
    towards = stage.view.towards
    up = np.cross(towards, right)
    shown = (_corners(stage)[None] + offsets[:, None]).reshape(-1, 3) - lookat
    tangent = np.tan(FOV / 2) / _MARGIN
    wide = np.abs(shown @ right) / (tangent * max(aspect, 0.1))
    high = np.abs(shown @ up) / (tangent * free)
    # A point is seen if it lies within the angle of view at its own distance.
    distance = float((np.maximum(wide, high) + shown @ towards).max())
    lookat = lookat - up * distance * np.tan(FOV / 2) * (1 - free)
    return Layout(offsets, lookat, lookat + towards * distance)


def _corners(stage: Stage) -> Float[np.ndarray, "8 3"]:
    """Of the box that holds what is shown above the floor."""
    (x0, y0), (x1, y1) = stage.low, stage.high
    return np.array(
        [[x, y, z] for x in (x0, x1) for y in (y0, y1) for z in (stage.floor, stage.top)]
    )


def _size(stage: Stage, along: Float[np.ndarray, " 3"]) -> float:
    """Size of what is shown in a direction of the plane."""
    (x0, y0), (x1, y1) = stage.low, stage.high
    corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]) @ along[:2]
    return float(np.ptp(corners))


def pick(
    stage: Stage,
    offsets: Float[np.ndarray, "copy 3"],
    origin: Float[np.ndarray, " 3"],
    direction: Float[np.ndarray, " 3"],
) -> Float[np.ndarray, " 2"] | None:
    """The point of the plane of goals, in the frame of the copy that it lies in, where a ray meets
    it; None where it meets no copy."""
    if abs(direction[2]) < 1e-9:
        return None
    far = (stage.height - origin[2]) / direction[2]
    if far <= 0:
        return None
    point = (np.asarray(origin) + far * np.asarray(direction))[:2]
    for offset in offsets:
        own = point - offset[:2]
        if (own >= stage.low).all() and (own <= stage.high).all():
            return own
    return None
