"""Judges of picking something up and placing it; see `gmps.metaworld.judges`."""

import numpy as np

from gmps.metaworld.judges.scalars import Scalars
from gmps.metaworld.judges.scene import Judge, Judged, Look, Scene, Thing
from gmps.metaworld.judges.terms import (
    RADIUS,
    above,
    between_pads,
    both,
    caged,
    floor_around,
    grasped,
    held,
    length,
    level,
    more,
    near,
    open_effort,
    ten_where,
    to_goal,
    touched,
    upright,
)


def pick_place(scene: Scene) -> Judged:
    """Bring the puck to the goal, which may lie in the air."""
    distance, at_start = to_goal(scene)
    in_place = near(distance, RADIUS, at_start)
    caging = both(between_pads(scene, 0.015), level(scene, 0.005))
    gripped = both(caging, scene.closing().where(caging > 0.97, 0.0))
    reward = both((gripped + caging) / 2, in_place)
    reward = more(reward, held(scene, 0.02), 1.0 + 5.0 * in_place)
    return ten_where(distance < RADIUS, reward), distance <= 0.07


def pick_place_wall(scene: Scene) -> Judged:
    """The same over a wall: first above it."""
    thing, goal, tall = scene.object, scene.goal, np.array([1.0, 1.0, 3.0])
    top = np.column_stack([goal[:, 0], np.full((len(goal), 2), [0.77, 0.25])])
    part1 = near(length((thing - top) * tall), RADIUS, length((scene.object_start - top) * tall))
    distance, at_start = to_goal(scene)
    part2 = near(distance, RADIUS, at_start)
    grip = both(caged(scene, thing, 0.015, 0.05, 0.005)[1], part1)
    past = grip + 1.0 + 4.0 + 3.0 * part2
    carried = past.where(thing[:, 1] > 0.75, grip + 1.0 + 4.0 * part1)
    reward = carried.where(held(scene, 0.02, 0.015), grip)
    return ten_where(distance < RADIUS, reward), distance <= 0.07


def basketball(scene: Scene) -> Judged:
    """Drop the ball into the basket."""
    basket, scale = scene["basket"] * [1.0, 1.0, 0.0] + [0.0, 0.0, 0.3], np.array([1.0, 1.0, 2.0])
    distance = length((scene.object - basket) * scale)
    in_place = near(distance, 0.08, length((scene.object_start - basket) * scale))
    lifted = held(scene, 0.035)
    grip = grasped(scene, scene.object, 0.025, 0.06, 0.005).where(~lifted, 1.0)
    reward = more(both(grip, in_place), lifted, 1.0 + 5.0 * in_place)
    return ten_where(distance < 0.08, reward), distance <= 0.08


def bin_picking(scene: Scene) -> Judged:
    """Carry the cube to the other bin, high between the two."""
    thing, hand = scene.object, scene.hand
    distance = length(thing - scene.goal)
    in_place = near(distance, RADIUS, length(scene.object_first - scene.goal))
    floors = [
        floor_around(length(hand[:, :2] - bin[:, :2]), 0.03, 0.02, 0.2)
        for bin in (scene.object_start, scene.goal)
    ]
    high = above(hand[:, 2], np.minimum(*floors), 0.05)
    reward = both(grasped(scene, thing, 0.015, 0.05, 0.01, effort=0.7), in_place)
    lifted = thing[:, 2] - 0.02 > scene.object_start[:, 2]
    carried = (length(thing - hand) < 0.04) & lifted & ~(scene.opening < 0.43)
    reward = more(reward, carried, 1.0 + 5.0 * both(high, in_place))
    return ten_where(distance < RADIUS, reward), distance <= RADIUS


def pick_out_of_hole(scene: Scene) -> Judged:
    """Lift the puck out of its hole, straight up."""
    thing, tcp = scene.object, scene.tcp
    distance, at_start = to_goal(scene)
    away = length(tcp[:, :2] - scene.object_start[:, :2])
    high = above(tcp[:, 2], floor_around(away, 0.03, 0.015, 0.15), 0.02)
    in_place = near(distance, 0.02, at_start)
    reward = both(grasped(scene, thing, 0.015, 0.02, 0.03, effort=0.1), in_place)
    lifted = thing[:, 2] - 0.02 > scene.object_start[:, 2]
    carried = (length(thing - tcp) < 0.04) & lifted & ~(scene.opening < 0.33)
    reward = more(reward, carried, 1.0 + 5.0 * both(in_place, high))
    return ten_where(distance < RADIUS, reward), distance <= 0.07


def hand_insert(scene: Scene) -> Judged:
    """Put the block, and the hand with it, into the hole."""
    distance, at_start = to_goal(scene)
    in_place = near(distance, RADIUS, at_start)
    reward = both(grasped(scene, scene.object, 0.015, 0.05, 0.005), in_place)
    reward = more(reward, touched(scene, 0.02), 1.0 + 7.0 * in_place)
    return ten_where(distance < RADIUS, reward), distance <= RADIUS


def shelf_place(scene: Scene) -> Judged:
    """Put the block on the shelf, from above: in front of the shelf there is less, behind none."""
    (x, y, z), (goal_x, goal_y, _) = scene.object.T, scene.goal.T
    distance, at_start = to_goal(scene)
    in_place = near(distance, RADIUS, at_start)
    reward = both(caged(scene, scene.object, 0.02, 0.05, 0.01)[1], in_place)
    low = (z > 0.0) & (z < 0.24) & (goal_x - 0.15 < x) & (x < goal_x + 0.15)
    front = goal_y - 3 * RADIUS
    before = low & (front < y) & (y < goal_y)
    # Elsewhere this may not be a share at all.
    under = np.where(before, (0.24 - z) / 0.24, 0.0), np.where(before, y - front, 0.0)
    less = np.clip(in_place - both(under[1] / (3 * RADIUS), under[0]), 0.0, 1.0)
    everywhere = np.ones(len(less), bool)
    worth = Scalars(less, double=everywhere).where(before, in_place)
    worth = worth.where(~(low & (y > goal_y)), 0.0)
    reward = more(reward, held(scene, 0.025), 1.0 + 5.0 * worth)
    return ten_where(distance < RADIUS, reward), distance <= 0.07


def box_close(scene: Scene) -> Judged:
    """Go to the lid from above, and carry it, as it lies, onto the box."""
    lid, hand = scene.object + np.array([0.0, 0.0, 0.02]), scene.hand
    floor = floor_around(length(hand[:, :2] - lid[:, :2]), 0.02, 0.04, 0.4)
    there = near(length(hand - lid), 0.02, 0.5)
    ready = both(above(hand[:, 2], floor, floor / 2.0), there)
    missing = length((scene.goal - lid) * np.array([1.0, 1.0, 3.0]))
    lifted = 0.2 * (lid[:, 2] > 0.04) + 0.8 * near(missing, 0.05, 0.25)
    reward = 2.0 * both(open_effort(scene.act), ready) + 8.0 * lifted
    done = length(scene.object - scene.goal) < 0.08
    return ten_where(done, reward) * upright(scene.turn, (0.707, 0, 0, 0.707), 0.2), done


_PUCK = Thing(Look("body", "obj"), Look("geom turn", "objGeom"))
_BODY = Thing(Look("body", "obj"), Look("quaternion", "obj"))
_GEOM = Thing(Look("geom", "objGeom"), Look("geom turn", "objGeom"))
_BALL = Thing(Look("body", "bsktball"), Look("quaternion", "bsktball"))
_LID = Thing(Look("body", "top_link"), Look("quaternion", "top_link"))

JUDGES = {
    "pick-place-v3": Judge(pick_place, _PUCK),
    "pick-place-wall-v3": Judge(pick_place_wall, _GEOM),
    # Where the basket hangs Meta-World looks anew after each step.
    "basketball-v3": Judge(basketball, _BALL, looks={"basket": Look("site", "goal")}),
    "bin-picking-v3": Judge(bin_picking, _BODY),
    "pick-out-of-hole-v3": Judge(pick_out_of_hole, _BODY),
    "hand-insert-v3": Judge(hand_insert, _BODY),
    "shelf-place-v3": Judge(shelf_place, _PUCK),
    "box-close-v3": Judge(box_close, _LID),
}
