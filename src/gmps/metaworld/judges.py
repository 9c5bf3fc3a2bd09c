"""Observations and rewards of some of Meta-World's tasks for a whole batch at once.

Each judge computes what Meta-World's environment of that kind computes (package `metaworld`,
reward v2, the classes named below), in the same order of operations, so that the numbers are equal
bit for bit. Leading axis of every array: one world each.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

#: Within this distance of its goal a thing has arrived, m.
RADIUS = 0.05


class Constants(NamedTuple):
    """What a task's reset leaves for its rewards, m."""

    goal: Float[np.ndarray, "n 3"]
    object_start: Float[np.ndarray, "n 3"]
    #: Between the fingertips.
    tcp_start: Float[np.ndarray, "n 3"]
    hand_start: Float[np.ndarray, "n 3"]


class Places(NamedTuple):
    """Where things are, m: `(n, 3)` each."""

    hand: Float[np.ndarray, "n 3"]
    right_claw: Float[np.ndarray, "n 3"]
    left_claw: Float[np.ndarray, "n 3"]
    right_pad: Float[np.ndarray, "n 3"]
    left_pad: Float[np.ndarray, "n 3"]
    right_tip: Float[np.ndarray, "n 3"]
    left_tip: Float[np.ndarray, "n 3"]
    object: Float[np.ndarray, "n 3"]
    #: Rotation matrix of the object.
    turn: Float[np.ndarray, "n 3 3"]
    #: Angle of the joint that a judge names, rad; 0 without one.
    angle: Float[np.ndarray, " n"]

    @property
    def tcp(self) -> Float[np.ndarray, "n 3"]:
        """Between the fingertips."""
        return (self.right_tip + self.left_tip) / 2.0


#: Places, constants, the hand as observed, actions (float32) -> reward and success (0 or 1).
Reward = Callable[[Places, Constants, Any, Any], tuple[Any, Any]]


class Judge(NamedTuple):
    """How one kind of task is observed and rewarded."""

    reward: Reward
    #: Whose position is the object's: a body or a geom; and the geom whose rotation is.
    object: tuple[mujoco.mjtObj, str]
    turn: str = "objGeom"
    #: A joint that the reward looks at.
    joint: str | None = None
    #: A body that the task puts somewhere else in the model.
    moved: str | None = None


def observation(places: Places) -> Float[np.ndarray, "n 18"]:
    """Hand, gripper opening, object and its quaternion; room for a second object stays zero."""
    apart = _length(places.right_claw - places.left_claw)
    opening = np.clip(apart / 0.1, 0.0, 1.0)
    quaternion = Rotation.from_matrix(places.turn).as_quat()
    empty = np.zeros((len(opening), 7))
    return np.hstack([places.hand, opening[:, None], places.object, quaternion, empty])


def reach(places: Places, constants: Constants, hand: Any, act: Any) -> tuple[Any, Any]:
    """`SawyerReachEnvV3`: bring the fingertips to the goal."""
    del hand, act
    distance = _length(places.tcp - constants.goal)
    margin = _length(constants.hand_start - constants.goal)
    return 10 * _closeness(distance, RADIUS, margin), distance <= RADIUS


def push(places: Places, constants: Constants, hand: Any, act: Any) -> tuple[Any, Any]:
    """`SawyerPushEnvV3`: bring the puck to the goal, best by gripping it."""
    del hand
    to_goal = _length(places.object - constants.goal)
    at_start = _length(constants.object_start - constants.goal)
    in_place = _closeness(to_goal, RADIUS, at_start)
    caging, gripping = _caging(places, constants, act, 0.015, 0.05, 0.005)
    grasped = (_hamacher(caging, gripping) + caging) / 2
    # Where the gripper closes Meta-World goes on in single precision, as its actions are.
    single = (gripping > 0) & (caging > 0.97)
    caging32, gripping32 = caging.astype(np.float32), gripping.astype(np.float32)
    grasped32 = (_hamacher(caging32, gripping32) + caging32) / 2
    touching = _length(places.object - places.tcp) < 0.02
    opening = _length(places.right_claw - places.left_claw) > 0
    with_it = touching & opening
    reward = 2 * grasped
    reward = np.where(with_it, reward + (1.0 + reward + 5.0 * in_place), reward)
    one, five = np.float32(1), (5.0 * in_place).astype(np.float32)
    reward32 = 2 * grasped32
    reward32 = np.where(with_it, reward32 + (one + reward32 + five), reward32)
    reward = np.where(single, reward32, reward)
    return np.where(to_goal < RADIUS, 10.0, reward), to_goal <= RADIUS


def door_open(places: Places, constants: Constants, hand: Any, act: Any) -> tuple[Any, Any]:
    """`SawyerDoorEnvV3`: go to the handle from above, then open the door to 120 degrees."""
    handle = places.object + np.array([-0.05, 0, 0])
    radius = _length(hand[:, :2] - handle[:, :2])
    away = radius > 0.12
    floor = np.where(away, 0.04 * np.log(np.where(away, radius - 0.12, 1.0)) + 0.4, 0.0)
    above = hand[:, 2] >= floor
    low = _closeness(floor - hand[:, 2], 0.01, np.where(above, 1.0, floor / 2.0))
    offset = hand - handle - np.array([0.05, 0.03, -0.01])
    near = _closeness(_length(offset), 0.12 / 2.0, 0.5)
    ready = _hamacher(np.where(above, 1.0, low), near)
    missing = np.pi / 2.0 + np.pi / 6 + places.angle
    started = 0.2 * (places.angle < -np.pi / 90.0)
    opened = started + 0.8 * _closeness(missing, 0.5, np.pi / 3.0)
    effort = ((np.clip(act[:, 3], -1, 1) + np.float32(1)) / np.float32(2)).astype(float)
    done = np.abs(places.object[:, 0] - constants.goal[:, 0]) <= 0.08
    return np.where(done, 10.0, 2.0 * _hamacher(ready, effort) + 8.0 * opened), done


def _length(vectors: Float[np.ndarray, "n axis"]) -> Float[np.ndarray, " n"]:
    """What `np.linalg.norm` gives for each vector alone, by the same dot product: with an axis it
    adds the squares up otherwise, and the last bit may differ."""
    return np.sqrt(np.vecdot(vectors, vectors))


def _closeness(x: Any, upper: float, margin: Any) -> Any:
    """1 for `x` in [0, upper], falling to 0.1 at `margin` beyond either end, with a long tail."""
    beyond = np.where(x < 0, 0 - x, x - upper) / margin
    # Meta-World squares by `pow`, whose last bit may differ from a product's.
    tail = 1 / (np.float_power(beyond * np.sqrt(1 / 0.1 - 1), 2) + 1)
    return np.where((x >= 0) & (x <= upper), 1.0, tail)


def _hamacher(a: Any, b: Any) -> Any:
    """The t-norm ab / (a + b - ab), 0 where both are 0."""
    below = a + b - a * b
    return np.where(below > 0, (a * b) / np.where(below > 0, below, 1), 0)


def _caging(
    places: Places, constants: Constants, act: Any, radius: float, reach: float, xz_reach: float
) -> tuple[Any, Any]:
    """How well the object lies between the pads, and how tightly the gripper closes on it.

    `radius` is the object's, `reach` and `xz_reach` the distances that count as there, m.
    """
    sides = []
    for pad in (places.left_pad, places.right_pad):
        distance = np.abs(pad[:, 1] - places.object[:, 1])
        margin = np.abs(np.abs(pad[:, 1] - constants.object_start[:, 1]) - reach)
        sides.append(_between(distance, radius, reach, margin))
    across = _hamacher(*sides)
    xz = [0, 2]
    start, now = (a[:, xz] - b[:, xz] for a, b in _pairs(places, constants))
    margin = _length(start) - xz_reach
    caging = _hamacher(across, _closeness(_length(now), xz_reach, margin))
    closing = np.minimum(np.maximum(0, act[:, 3]), 1.0).astype(float)
    return caging, np.where(caging > 0.97, closing, 0.0)


def _pairs(places: Places, constants: Constants) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
    return (constants.object_start, constants.tcp_start), (places.tcp, places.object)


def _between(x: Any, lower: float, upper: float, margin: Any) -> Any:
    """1 for `x` in [lower, upper], falling to 0.1 at `margin` beyond either end."""
    beyond = np.where(x < lower, lower - x, x - upper) / margin
    tail = 1 / (np.float_power(beyond * np.sqrt(1 / 0.1 - 1), 2) + 1)
    return np.where((x >= lower) & (x <= upper), 1.0, tail)


_BODY, _GEOM = mujoco.mjtObj.mjOBJ_BODY, mujoco.mjtObj.mjOBJ_GEOM
#: The kinds of task whose rewards are known in batch.
JUDGES = {
    "reach-v3": Judge(reach, (_BODY, "obj")),
    "push-v3": Judge(push, (_BODY, "obj")),
    "door-open-v3": Judge(
        door_open, (_GEOM, "handle"), turn="handle", joint="doorjoint", moved="door"
    ),
}
