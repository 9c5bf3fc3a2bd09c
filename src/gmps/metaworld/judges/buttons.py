"""Judges of buttons; see `gmps.metaworld.judges`."""

from typing import Any

import numpy as np

from gmps.metaworld.judges.scene import Judge, Judged, Look, Scene, Thing
from gmps.metaworld.judges.terms import both, length, near


def _button(scene: Scene, axis: int, reach: float, margin: Any) -> tuple[Any, Any, Any, Any]:
    """How far the fingertips are, how far the button has to go, and how good both are."""
    away = length(scene.object - scene.tcp)
    gap = np.abs(scene.goal[:, axis] - scene.object[:, axis])
    there = near(away, reach, length(scene.object - scene.tcp_start))
    return away, gap, there, near(gap, 0.005, margin)


def topdown(scene: Scene) -> Judged:
    """Press the button from above, with an open gripper."""
    return _from_above(scene, 1 - scene.opening)


def topdown_wall(scene: Scene) -> Judged:
    """The same behind a wall, with a closed one."""
    return _from_above(scene, scene.opening)


def _from_above(scene: Scene, gripper: Any) -> Judged:
    away, gap, there, pressed = _button(scene, 2, 0.01, scene["_obj_to_target_init"])
    reward = 5 * both(gripper, there)
    return np.where(away <= 0.03, reward + 5 * pressed, reward), gap <= 0.024


def press(scene: Scene) -> Judged:
    """Press the button from the front."""
    return _from_front(scene, scene["_obj_to_target_init"])


def coffee(scene: Scene) -> Judged:
    """The button of the coffee machine."""
    return _from_front(scene, 0.03)


def _from_front(scene: Scene, margin: Any) -> Judged:
    away, gap, there, pressed = _button(scene, 1, 0.05, margin)
    reward = 2 * both(scene.opening, there)
    return np.where(away <= 0.05, reward + 8 * pressed, reward), gap <= 0.02


def press_wall(scene: Scene) -> Judged:
    """Press the button over a wall: first come, then close the gripper and press."""
    away, gap, there, pressed = _button(scene, 1, 0.01, scene["_obj_to_target_init"])
    coming = 2 * both((1 - scene.opening) / 2.0, there)
    at_it = 2 + 2 * (1 + scene.opening) + 4 * np.float_power(pressed, 2)
    return np.where(away > 0.07, coming, at_it), gap <= 0.03


def _thing(*offset: float) -> Thing:
    x, y, z = offset
    return Thing(Look("body", "button"), Look("quaternion", "button"), (x, y, z))


_FRONT, _TOP, _KEEPS = _thing(0.0, -0.193, 0.0), _thing(0.0, 0.0, 0.193), ("_obj_to_target_init",)
_COFFEE = Thing(Look("site", "buttonStart"), (1.0, 0.0, 0.0, 0.0))

JUDGES = {
    "button-press-topdown-v3": Judge(topdown, _TOP, keeps=_KEEPS),
    "button-press-topdown-wall-v3": Judge(topdown_wall, _TOP, keeps=_KEEPS),
    "button-press-v3": Judge(press, _FRONT, keeps=_KEEPS),
    "button-press-wall-v3": Judge(press_wall, _FRONT, keeps=_KEEPS),
    "coffee-button-v3": Judge(coffee, _COFFEE),
}
