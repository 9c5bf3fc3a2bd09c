"""Judges of handles, levers, faucets and the dial; see `gmps.metaworld.judges`."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from gmps.metaworld.judges.scene import Judge, Judged, Look, Scene, Thing
from gmps.metaworld.judges.terms import (
    RADIUS,
    both,
    grasped,
    held,
    length,
    more,
    near,
    near_bell,
    ten_where,
    to_goal,
    touched,
)


def handle_press(scene: Scene) -> Judged:
    """Press the handle down."""
    start, goal = scene["_handle_init_pos"], scene.goal
    gap = np.abs(scene.object[:, 2] - goal[:, 2])
    in_place = near(gap, 0.02, np.abs(np.abs(start[:, 2] - goal[:, 2]) - 0.02))
    margin = np.abs(length(start - scene.tcp_start) - 0.02)
    there = near(length(scene.object - scene.tcp), 0.02, margin)
    done = gap <= 0.02
    return ten_where(done, both(there, in_place) * 10), done


def handle_pull(scene: Scene) -> Judged:
    """Grip the handle and pull it up."""
    gap = np.abs(scene.goal[:, 2] - scene.object[:, 2])
    in_place = near(gap, RADIUS, np.abs(scene.goal[:, 2] - scene.object_start[:, 2]))
    reward = both(grasped(scene, scene.object, 0.022, 0.05, 0.01), in_place)
    # Meta-World compares two axes here.
    lifted = scene.object[:, 1] - 0.01 > scene.object_start[:, 2]
    reward = more(reward, touched(scene, 0.035) & lifted, 1.0 + 5.0 * in_place)
    return ten_where(gap < RADIUS, reward), gap <= RADIUS


def handle_pull_side(scene: Scene) -> Judged:
    """The same from the side."""
    distance, at_start = to_goal(scene)
    in_place = near(distance, RADIUS, at_start)
    reward = both(grasped(scene, scene.object, 0.032, 0.06, 0.01), in_place)
    reward = more(reward, held(scene, 0.035), 1.0 + 5.0 * in_place)
    return ten_where(distance < RADIUS, reward), distance <= 0.08


def lever_pull(scene: Scene) -> Judged:
    """Lift the lever with the gripper's shoulder until it stands."""
    offset, scale = np.array([0.0, 0.055, 0.07]), np.array([4.0, 1.0, 4.0])
    start, lever = scene["_lever_pos_init"], scene.object
    margin = length((scene.tcp_start + offset - start) * scale)
    ready = near(length((scene.hand + offset - lever) * scale), 0.02, margin)
    in_place = near(length(lever - scene.goal), 0.04, length(start - scene.goal))
    missing = np.abs(-scene["axis"][:, 0] - np.pi / 2.0)
    return 10.0 * both(ready, in_place), missing <= np.pi / 24


def faucet_close(scene: Scene) -> Judged:
    """Turn the handle to the left."""
    return _faucet(scene, scene.object)


def faucet_open(scene: Scene) -> Judged:
    """Turn it to the right."""
    return _faucet(scene, scene.object + np.array([-0.04, 0.0, 0.03]))


def _faucet(scene: Scene, handle: Float[np.ndarray, "n 3"]) -> Judged:
    distance, start = length(handle - scene.goal), scene.object_start
    in_place = near(distance, 0.07, np.abs(length(start - scene.goal) - 0.07))
    margin = np.abs(length(start - scene.tcp_start) - 0.01)
    there = near_bell(length(handle - scene.tcp), 0.01, margin)
    done = distance <= 0.07
    return ten_where(done, (2 * there + 3 * in_place) * 2), done


def dial_turn(scene: Scene) -> Judged:
    """Push the dial's knob round, with a closed gripper."""
    start, distance = scene["dial_push_position"], length(scene.object - scene.goal)
    in_place = near(distance, 0.07, np.abs(length(start - scene.goal) - 0.07))
    push_at = scene.object + np.array([0.05, 0.02, 0.09])
    margin = np.abs(length(start - scene.tcp_start) - 0.005)
    there = both(near_bell(length(push_at - scene.tcp), 0.005, margin), scene.closing())
    return (10 * both(there, in_place)).value, distance <= 0.07


def _knob(seen: Mapping[str, np.ndarray]) -> Any:
    angle = seen["knob"][:, 0]
    return np.column_stack([np.sin(angle), -np.cos(angle), np.zeros_like(angle)]) * 0.05


_NONE = (0.0, 0.0, 0.0, 0.0)
_LEVER = Thing(Look("site", "leverStart"), Look("geom turn", "objGeom"))
_DIAL = Thing(Look("body", "dial"), Look("quaternion", "dial"), _knob)


def _site(name: str) -> Thing:
    return Thing(Look("site", name), _NONE)


def _tap(name: str) -> Thing:
    return Thing(Look("site", name), Look("quaternion", "faucetBase"), (0.0, 0.0, -0.01))


_PRESS = Judge(handle_press, _site("handleStart"), keeps=("_handle_init_pos",))

JUDGES = {
    "handle-press-v3": _PRESS,
    "handle-press-side-v3": _PRESS,
    "handle-pull-v3": Judge(handle_pull, _site("handleRight")),
    "handle-pull-side-v3": Judge(handle_pull_side, _site("handleCenter")),
    "lever-pull-v3": Judge(
        lever_pull, _LEVER, looks={"axis": Look("joint", "LeverAxis")}, keeps=("_lever_pos_init",)
    ),
    "faucet-close-v3": Judge(faucet_close, _tap("handleStartClose")),
    "faucet-open-v3": Judge(faucet_open, _tap("handleStartOpen")),
    "dial-turn-v3": Judge(
        dial_turn,
        _DIAL,
        looks={"knob": Look("joint", "knob_Joint_1")},
        keeps=("dial_push_position",),
    ),
}
