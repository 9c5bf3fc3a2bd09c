"""Judges of doors, drawers and windows; see `gmps.metaworld.judges`."""

from typing import Any

import numpy as np

from gmps.metaworld.judges.scene import Judge, Judged, Look, Scene, Thing
from gmps.metaworld.judges.terms import (
    RADIUS,
    above,
    both,
    floor_around,
    length,
    near,
    near_bell,
    open_effort,
    ten_where,
    to_goal,
)

#: The shoulder of the gripper that pushes, from the hand, m; how much each axis of it counts.
_SHOULDER, _SHOULDER_SCALE = np.array([0.0, 0.055, 0.07]), np.array([0.25, 1.0, 0.5])


def door_open(scene: Scene) -> Judged:
    """Go to the handle from above, then open the door to 120 degrees."""
    handle, hand = scene.object + np.array([-0.05, 0, 0]), scene.hand
    floor = floor_around(length(hand[:, :2] - handle[:, :2]), 0.12, 0.04, 0.4)
    offset = hand - handle - np.array([0.05, 0.03, -0.01])
    there = near(length(offset), 0.12 / 2.0, 0.5)
    ready = both(above(hand[:, 2], floor, floor / 2.0), there)
    angle = scene["hinge"][:, 0]
    missing = np.pi / 2.0 + np.pi / 6 + angle
    opened = 0.2 * (angle < -np.pi / 90.0) + 0.8 * near(missing, 0.5, np.pi / 3.0)
    done = np.abs(scene.object[:, 0] - scene.goal[:, 0]) <= 0.08
    reward = 2.0 * both(ready, open_effort(scene.act)) + 8.0 * opened
    return ten_where(done, reward), done


def door_close(scene: Scene) -> Judged:
    """Bring hand and handle to the goal."""
    distance, at_start = to_goal(scene)
    in_place = near_bell(distance, RADIUS, at_start)
    margin = length(scene["hand_init_pos"] - scene.object) + 0.1
    hand_in_place = near_bell(length(scene.tcp - scene.goal), 0.25 * RADIUS, margin)
    reward = 3 * hand_in_place + 6 * in_place
    return ten_where(distance < RADIUS, reward), distance <= 0.08


def door_lock(scene: Scene) -> Judged:
    """Press the lock down with the left pad."""
    away = length((scene.object - scene["leftpad"]) * _SHOULDER_SCALE)
    gap = np.abs(scene.goal[:, 2] - scene.object[:, 2])
    # Meta-World means the pad at the start for the margin, but looks at it where it is.
    reward = 2 * both(scene.opening, near(away, 0.01, away))
    return reward + 8 * near(gap, 0.005, 0.1), gap <= 0.02


def door_unlock(scene: Scene) -> Judged:
    """Push the lock aside with the gripper's shoulder."""
    away = (scene.hand + _SHOULDER - scene.object) * _SHOULDER_SCALE
    # The lock of the start is meant here, too.
    at_start = (scene.tcp_start + _SHOULDER - scene["lock"]) * _SHOULDER_SCALE
    ready = near(length(away), 0.02, length(at_start))
    gap = np.abs(scene.goal[:, 0] - scene.object[:, 0])
    return 2 * ready + 8 * near(gap, 0.005, 0.1), gap <= 0.02


def drawer_open(scene: Scene) -> Judged:
    """Bring the hand to the handle, and the handle to the goal."""
    distance, scale = length(scene.object - scene.goal), np.array([3.0, 3.0, 1.0])
    closed = scene.goal + np.array([0.0, 0.2, 0.0])
    margin = length((closed - scene.tcp_start) * scale)
    there = near(length((scene.object - scene.hand) * scale), 0.01, margin)
    return (there + near(distance, 0.02, 0.2)) * 5.0, distance <= 0.03


def drawer_close(scene: Scene) -> Judged:
    """Push the drawer with a closed gripper."""
    distance, at_start = to_goal(scene)
    in_place = near(distance, RADIUS, np.abs(at_start - RADIUS))
    margin = np.abs(length(scene.object_start - scene.tcp_start) - 0.005)
    there = near_bell(length(scene.object - scene.tcp), 0.005, margin)
    reward = both(both(there, scene.closing()), in_place)
    done = distance <= RADIUS + 0.015
    return ten_where(done, reward * 10), done


def window_open(scene: Scene) -> Judged:
    """Push the handle to the goal."""
    start, margin = scene.object_start, _handle_margin(scene)
    return _window(scene, start, near(length(scene.object - scene.tcp), 0.02, margin))


def window_close(scene: Scene) -> Judged:
    """Push it back."""
    start, margin = scene["window_handle_pos_init"], _handle_margin(scene)
    return _window(scene, start, near_bell(length(scene.object - scene.tcp), 0.02, margin))


def _handle_margin(scene: Scene) -> Any:
    return np.abs(length(scene["window_handle_pos_init"] - scene.tcp_start) - 0.02)


def _window(scene: Scene, start: Any, there: Any) -> Judged:
    gap = np.abs(scene.object[:, 0] - scene.goal[:, 0])
    margin = np.abs(np.abs(start[:, 0] - scene.goal[:, 0]) - RADIUS)
    return 10 * both(there, near(gap, RADIUS, margin)), gap <= RADIUS


_NONE = (0.0, 0.0, 0.0, 0.0)
_DOOR = Thing(Look("geom", "handle"), Look("geom turn", "handle"))


def _site(name: str) -> Thing:
    return Thing(Look("site", name), Look("quaternion", "door_link"))


def _pane(name: str) -> Thing:
    return Thing(Look("site", name), _NONE)


_DRAWER = Look("body", "drawer_link")
_SHUT = Thing(_DRAWER, _NONE, (0.0, -0.16, 0.05))
_OPEN = Thing(_DRAWER, Look("quaternion", "drawer_link"), (0.0, -0.16, 0.0))
_KEEPS = ("window_handle_pos_init",)

JUDGES = {
    "door-open-v3": Judge(door_open, _DOOR, looks={"hinge": Look("joint", "doorjoint")}),
    "door-close-v3": Judge(door_close, _DOOR),
    "door-lock-v3": Judge(door_lock, _site("lockStartLock")),
    "door-unlock-v3": Judge(
        door_unlock, _site("lockStartUnlock"), looks={"lock": Look("body", "lock_link")}
    ),
    "drawer-open-v3": Judge(drawer_open, _OPEN),
    "drawer-close-v3": Judge(drawer_close, _SHUT),
    "window-open-v3": Judge(window_open, _pane("handleOpenStart"), keeps=_KEEPS),
    "window-close-v3": Judge(window_close, _pane("handleCloseStart"), keeps=_KEEPS),
}
