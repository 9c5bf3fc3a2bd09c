"""Judges of reaching, pushing, sweeping and sliding; see `gmps.metaworld.judges`."""

import numpy as np

from gmps.metaworld.judges.scene import Judge, Judged, Look, Scene, Thing
from gmps.metaworld.judges.terms import (
    RADIUS,
    both,
    grasped,
    grasped_near,
    length,
    more,
    near,
    pinched,
    ten_where,
    to_goal,
    touched,
)


def reach(scene: Scene) -> Judged:
    """Bring the fingertips to the goal."""
    distance = length(scene.tcp - scene.goal)
    margin = length(scene["hand_init_pos"] - scene.goal)
    return 10 * near(distance, RADIUS, margin), distance <= RADIUS


def push(scene: Scene) -> Judged:
    """Bring the puck to the goal, best by gripping it."""
    distance, at_start = to_goal(scene)
    in_place = near(distance, RADIUS, at_start)
    reward = 2 * grasped(scene, scene.object, 0.015, 0.05, 0.005)
    reward = more(reward, touched(scene, 0.02), 1.0 + reward + 5.0 * in_place)
    return ten_where(distance < RADIUS, reward), distance <= RADIUS


def push_wall(scene: Scene) -> Judged:
    """The same around a wall: first to its side."""
    thing = scene.object
    corner = np.column_stack([np.full((len(thing), 2), [-0.05, 0.77]), thing[:, 2]])
    wide = np.array([3.0, 1.0, 1.0])
    aside = length((scene.object_start - corner) * wide)
    part1 = near(length((thing - corner) * wide), RADIUS, aside)
    distance, at_start = to_goal(scene)
    part2 = near(distance, RADIUS, at_start)
    grip = 2 * grasped(scene, thing, 0.015, 0.05, 0.005)
    past = grip + 1.0 + 4.0 + 3.0 * part2
    pushed = past.where(thing[:, 1] > 0.75, grip + 1.0 + 4.0 * part1)
    reward = pushed.where(touched(scene, 0.02), grip)
    return ten_where(distance < RADIUS, reward), distance <= 0.07


def push_back(scene: Scene) -> Judged:
    """Pinch the puck and bring it back."""
    distance, at_start = to_goal(scene)
    in_place = near(distance, RADIUS, at_start)
    reward = both(pinched(scene, 0.007, 0.003, 0.01), in_place)
    pulled = touched(scene, 0.01) & (scene.opening < 0.55) & (at_start - distance > 0.01)
    reward = more(reward, pulled, 1.0 + 5.0 * in_place)
    return ten_where(distance < RADIUS, reward), distance <= 0.07


def move_mug(scene: Scene) -> Judged:
    """Bring the mug under the machine, or away from it."""
    distance, at_start = to_goal(scene, [2.0, 2.0, 1.0])
    in_place = near(distance, RADIUS, at_start)
    grip = grasped_near(scene, scene.object, 0.04, 0.02, 0.05, 0.05, effort=0.7)
    reward = more(both(grip, in_place), touched(scene, 0.04), 1.0 + 5.0 * in_place)
    return ten_where(distance < RADIUS, reward), length(scene.object - scene.goal) <= 0.07


def soccer(scene: Scene) -> Judged:
    """Bring the ball into the goal; behind the goal line beside it there is little."""
    ball, goal, wide = scene.object, scene.goal, [3.0, 1.0, 1.0]
    distance = to_goal(scene, wide)[0]
    in_place = near(distance, 0.07, length((ball - scene.object_start) * wide))
    line = goal[:, 1] - 0.1
    missed = (ball[:, 1] > line) & (np.abs(ball[:, 0] - goal[:, 0]) > 0.1)
    less = np.clip(in_place - 2 * ((ball[:, 1] - line) / (1 - line)), 0.0, 1.0)
    in_place = np.where(missed, less, in_place)
    reward = 3 * pinched(scene, 0.013, 0.01, 0.005) + 6.5 * in_place
    return ten_where(distance < 0.07, reward), length(ball - goal) <= 0.07


def sweep(scene: Scene) -> Judged:
    """Bring the block off the table."""
    distance, at_start = to_goal(scene)
    in_place = near(distance, RADIUS, at_start)
    grip = pinched(scene, 0.02, 0.01, 0.005)
    reward = 2 * grip + 6 * both(grip, in_place)
    return ten_where(distance < RADIUS, reward), distance <= RADIUS


def sweep_into(scene: Scene) -> Judged:
    """Bring the block over the hole."""
    hole = np.column_stack([scene.goal[:, :2], scene.object[:, 2]])
    distance = length(scene.object - hole)
    in_place = near(distance, RADIUS, length(scene.object_start - hole))
    grip = pinched(scene, 0.02, 0.005, 0.01)
    reward = 2 * grip + 6 * both(grip, in_place)
    return ten_where(distance < RADIUS, reward), distance <= RADIUS


def plate_slide(scene: Scene) -> Judged:
    """Slide the plate into the goal."""
    distance, at_start = to_goal(scene)
    in_place = near(distance, RADIUS, at_start)
    margin = length(scene.tcp_start - scene.object_start)
    there = near(length(scene.tcp - scene.object), RADIUS, margin)
    return ten_where(distance < RADIUS, 8 * both(there, in_place)), distance <= 0.07


def plate_slide_back(scene: Scene) -> Judged:
    """Slide the plate from the side or out of the goal, with the hand down beside it."""
    distance, at_start = to_goal(scene)
    in_place = near(distance, RADIUS, at_start - RADIUS)
    apart = length(scene.tcp - scene.object)
    margin = length(scene.tcp_start - scene.object_start) - RADIUS
    beside = (scene.tcp[:, 2] <= 0.03) & (apart < 0.07)
    reward = np.where(beside, 2 + 7 * in_place, 1.5 * near(apart, RADIUS, margin))
    return ten_where(distance < RADIUS, reward), distance <= 0.07


_PUCK = Thing(Look("body", "obj"), Look("geom turn", "objGeom"))
_PUCK_GEOM = Thing(Look("geom", "objGeom"), Look("geom turn", "objGeom"))
_MUG = Thing(Look("body", "obj"), Look("geom turn", "mug"))
_BALL = Thing(Look("body", "soccer_ball"), Look("body turn", "soccer_ball"))
_BLOCK = Thing(Look("body", "obj"), Look("quaternion", "obj"))
_PLATE = Thing(Look("geom", "puck"), Look("geom turn", "puck"))

JUDGES = {
    "reach-v3": Judge(reach, _PUCK),
    "reach-wall-v3": Judge(reach, _PUCK),
    "push-v3": Judge(push, _PUCK),
    "push-wall-v3": Judge(push_wall, _PUCK_GEOM),
    "push-back-v3": Judge(push_back, _PUCK_GEOM),
    "coffee-push-v3": Judge(move_mug, _MUG),
    "coffee-pull-v3": Judge(move_mug, _MUG),
    "soccer-v3": Judge(soccer, _BALL),
    "sweep-v3": Judge(sweep, _BLOCK),
    "sweep-into-v3": Judge(sweep_into, _PUCK),
    "plate-slide-v3": Judge(plate_slide, _PLATE),
    "plate-slide-side-v3": Judge(plate_slide_back, _PLATE),
    "plate-slide-back-v3": Judge(plate_slide_back, _PLATE),
    "plate-slide-back-side-v3": Judge(plate_slide_back, _PLATE),
}
