"""Judges of pegs, nuts, sticks and the hammer; see `gmps.metaworld.judges`."""

from typing import Any

import numpy as np
from jaxtyping import Float

from gmps.metaworld.judges.scalars import Scalars
from gmps.metaworld.judges.scene import Judge, Judged, Look, Scene, Thing
from gmps.metaworld.judges.terms import (
    RADIUS,
    both,
    floor_around,
    grasped,
    grasped_near,
    held,
    length,
    more,
    near,
    ten_where,
    to_goal,
    upright,
)

#: Quaternion of a nut that lies flat.
_FLAT = (0.707, 0, 0, 0.707)


def _at_handle(scene: Scene, handle: float) -> Float[np.ndarray, "n 3"]:
    """The point of a handle of that length (m) where the hand is, or its middle."""
    point = scene.object.copy()
    beside = np.abs(point[:, 0] - scene.hand[:, 0]) < handle / 2.0
    point[:, 0] = np.where(beside, scene.hand[:, 0], point[:, 0])
    return point


def hammer(scene: Scene) -> Judged:
    """Lift the hammer and drive the nail in with its head."""
    head = scene.object + np.array([0.16, 0.06, 0.0])
    grip = grasped(scene, _at_handle(scene, 0.14), 0.015, 0.02, 0.01)
    in_place = 0.1 * (head[:, 2] > 0.02) + 0.9 * near(length(scene.goal - head), 0.02, 0.2)
    reward = (2.0 * grip + 6.0 * in_place) * upright(scene.turn, (1.0, 0.0, 0.0, 0.0), 0.4)
    done = scene["nail"][:, 0] > 0.09
    return ten_where(done & (reward.value > 5.0), reward), done


def assembly(scene: Scene) -> Judged:
    """Bring the nut over the peg and down."""
    centre = scene["nut"]
    error = scene.goal - centre
    radius = length(error[:, :2])
    done = (radius < 0.02) & (error[:, 2] > 0.0)
    inside = np.where(done, 0.02, 0.01)
    error[:, 2] = floor_around(radius, inside, 0.02, 0.2) - centre[:, 2]
    lifted = (centre[:, 2] > 0.02) | (radius < inside)
    in_place = 0.1 * lifted + 0.9 * near(length(error * np.array([1.0, 1.0, 3.0])), 0.02, 0.4)
    grip = grasped_near(scene, _at_handle(scene, 0.02), 0.01, 0.015, 0.02, 0.01)
    reward = (2.0 * grip + 6.0 * in_place) * upright(scene.turn, _FLAT, 0.4)
    return ten_where(done, reward), done


def disassemble(scene: Scene) -> Judged:
    """Lift the nut off the peg."""
    centre = scene["nut"]
    error = scene.goal + np.array([0.0, 0.0, 0.1]) - centre
    in_place = 0.1 * (centre[:, 2] > 0.02) + 0.9 * near(length(error), 0.02, 0.2)
    grip = grasped(scene, _at_handle(scene, 0.02), 0.015, 0.02, 0.01)
    reward = (2.0 * grip + 6.0 * in_place) * upright(scene.turn, _FLAT, 0.4)
    done = scene.object[:, 2] > scene.goal[:, 2]
    return ten_where(done, reward), done


def peg_insert(scene: Scene) -> Judged:
    """Put the peg's head into the hole, not into what is beside it."""
    head, scale = scene["head"], np.array([1.0, 2.0, 2.0])
    distance = length((head - scene.goal) * scale)
    margin = length((scene["peg_head_pos_init"] - scene.goal) * scale)
    walls = [_in_box(head, scene[f"from {i}"], scene[f"to {i}"]) for i in (2, 1)]
    in_place = both(near(distance, 0.07, margin), both(*walls))
    lifted = held(scene, 0.08)
    grip = grasped(scene, scene.object, 0.0075, 0.03, 0.005).where(~lifted, 1.0)
    reward = more(both(grip, in_place), lifted, 1.0 + 5 * in_place)
    return ten_where(distance <= 0.07, reward), distance <= 0.07


def _in_box(point: Any, start: Any, end: Any) -> Scalars:
    """Within a box the product of the shares of the way from one corner to the other, else 1."""
    within = (np.minimum(start, end) <= point) & (point <= np.maximum(start, end))
    inside, sides = within.all(1), end - start
    x, y, z = ((point - start) / np.where(sides == 0, 1, sides)).T
    return Scalars(x * y * z, double=np.ones(len(x), bool)).where(inside, 1.0)


def peg_unplug(scene: Scene) -> Judged:
    """Pull the peg out."""
    distance, at_start = to_goal(scene)
    in_place = near(distance, 0.05, at_start)
    grip = grasped(scene, scene.object, 0.025, 0.05, 0.005, effort=0.8)
    moved = scene.object[:, 0] - scene.object_start[:, 0] > 0.015
    pulled = (scene.opening > 0.5) & moved & (length(scene.object - scene.tcp) < 0.035)
    reward = (1 + 2 * grip + 5 * in_place).where(pulled, 2 * grip)
    return ten_where(distance <= 0.05, reward), distance <= 0.07


def stick_push(scene: Scene) -> Judged:
    """Push the thermos with the stick."""
    start, goal = scene["stick_init_pos"], scene.goal
    stick = scene.object + np.array([0.015, 0.0, 0.0])
    near_stick = near(length(stick - goal), 0.12, length(start - goal) - 0.12)
    distance = length(scene.second - goal)
    in_place = near(distance, 0.12, length(scene.object_start - goal) - 0.12)
    grip = grasped(scene, stick, 0.04, 0.05, 0.01, start=start)
    lifted = _holds_stick(scene, stick)
    reward = np.where(lifted, 2.0 + 5.0 * near_stick + 3.0 * in_place, grip.value)
    gripped = scene["pressed"] & (scene.opening > 0)
    gripped &= scene.object[:, 2] - 0.01 > start[:, 2]
    done = distance <= 0.12
    return ten_where(lifted & done, reward), done & gripped


def stick_pull(scene: Scene) -> Judged:
    """Put the stick through the thermos' handle and pull."""
    start, stick, goal = scene["stick_init_pos"], scene.object, scene.goal
    aside, tall = np.array([0.05, 0.0, 0.0]), np.array([1.0, 1.0, 2.0])
    handle, end, first = scene.second, scene["end"], scene.object_start
    thermos = handle + aside
    margin = length((start - (first + aside)) * tall)
    there = near(length((stick - thermos) * tall), RADIUS, margin)
    stick_in_place = near(length(stick - goal), RADIUS, length(start - goal))
    in_place = near(length(thermos - goal), RADIUS, length(first - goal))
    lifted = _holds_stick(scene, stick)
    grip = grasped(scene, stick, 0.014, 0.05, 0.01).where(~lifted, 1.0)
    both_there = both(grip, there)
    beside, over = np.abs(end[:, 1] - handle[:, 1]), np.abs(end[:, 2] - handle[:, 2])
    inserted = (end[:, 0] >= handle[:, 0]) & (beside <= 0.04) & (over <= 0.06)
    through = 1.0 + both_there + 5.0 + 2.0 * stick_in_place + 1.0 * in_place
    carried = through.where(inserted, 1.0 + both_there + 5.0 * there)
    done = inserted & (length(handle - goal) <= 0.12)
    return ten_where(lifted & done, carried.where(lifted, both_there)), done


def _holds_stick(scene: Scene, stick: Any) -> Any:
    lifted = stick[:, 2] - 0.01 > scene["stick_init_pos"][:, 2]
    return (length(stick - scene.tcp) < 0.02) & (scene.opening > 0) & lifted


_NONE = (0.0, 0.0, 0.0, 0.0)
_NUT = Thing(Look("site", "RoundNut-8"), Look("quaternion", "RoundNut"))
_CENTRE = {"nut": Look("site", "RoundNut")}
_STICK = Thing(Look("body", "stick"), Look("body turn", "stick"))
_HANDLE = Look("site", "insertion")
_BOXES = {
    f"{end} {i}": Look("site", f"{corner}_corner_collision_box_{i}")
    for i in (1, 2)
    for end, corner in (("from", "bottom_right"), ("to", "top_left"))
}

JUDGES = {
    "hammer-v3": Judge(
        hammer,
        Thing(Look("body", "hammer"), Look("quaternion", "hammer")),
        Thing(Look("body", "nail_link"), Look("quaternion", "nail_link")),
        looks={"nail": Look("joint", "NailSlideJoint")},
    ),
    "assembly-v3": Judge(assembly, _NUT, looks=_CENTRE),
    "disassemble-v3": Judge(disassemble, _NUT, looks=_CENTRE),
    "peg-insert-side-v3": Judge(
        peg_insert,
        Thing(Look("site", "pegGrasp"), Look("site turn", "pegGrasp")),
        looks={"head": Look("site", "pegHead"), **_BOXES},
        keeps=("peg_head_pos_init",),
    ),
    "peg-unplug-side-v3": Judge(
        peg_unplug, Thing(Look("site", "pegEnd"), Look("quaternion", "plug1"))
    ),
    "stick-push-v3": Judge(
        stick_push,
        _STICK,
        Thing(_HANDLE, _NONE, (0.0, 0.09, 0.0)),
        keeps=("stick_init_pos",),
        pressed="objGeom",
    ),
    "stick-pull-v3": Judge(
        stick_pull,
        _STICK,
        Thing(_HANDLE, _NONE),
        looks={"end": Look("site", "stick_end")},
        keeps=("stick_init_pos",),
    ),
}
