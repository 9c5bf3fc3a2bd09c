"""The terms that Meta-World's rewards are made of.

In Meta-World's order of operations, so that the numbers are equal bit for bit. Leading axis of
every array: one world each.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from gmps.metaworld.judges.scalars import Scalars
from gmps.metaworld.judges.scene import Scene

#: Within this distance of its goal a thing has arrived, m.
RADIUS = 0.05


def length(vectors: Float[np.ndarray, "n axis"]) -> Float[np.ndarray, " n"]:
    """What `np.linalg.norm` gives for each vector alone, by the same dot product: with an axis it
    adds the squares up otherwise, and the last bit may differ."""
    return np.sqrt(np.vecdot(vectors, vectors))


def near(x: Any, upper: float, margin: Any, lower: float = 0.0) -> Float[np.ndarray, " n"]:
    """1 for `x` in [lower, upper], falling to 0.1 at `margin` beyond, with a long tail."""
    # Meta-World squares by `pow`, whose last bit may differ from a product's.
    beyond = np.float_power(_beyond(x, lower, upper, margin) * np.sqrt(1 / 0.1 - 1), 2)
    return np.where(_within(x, lower, upper), 1.0, 1 / (beyond + 1))


def near_bell(x: Any, upper: float, margin: Any) -> Float[np.ndarray, " n"]:
    """The same, falling like a bell."""
    beyond = np.float_power(_beyond(x, 0.0, upper, margin) * np.sqrt(-2 * np.log(0.1)), 2)
    return np.where(_within(x, 0.0, upper), 1.0, np.exp(-0.5 * beyond))


def _within(x: Any, lower: float, upper: float) -> Bool[np.ndarray, " n"]:
    return (lower <= x) & (x <= upper)


def _beyond(x: Any, lower: float, upper: float, margin: Any) -> Float[np.ndarray, " n"]:
    # Without a margin whatever lies outside counts 0, as it does infinitely far away.
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(x < lower, lower - x, x - upper) / margin


def both(a: Any, b: Any) -> Any:
    """The Hamacher t-norm ab / (a + b - ab), 0 where both are 0."""
    product = a * b
    below = a + b - product
    if not isinstance(below, Scalars):
        return np.where(below > 0, product / np.where(below > 0, below, 1), 0)
    some = below.value > 0
    return (product / below.where(some, 1.0)).where(some, 0.0)


def caged(
    scene: Scene,
    thing: Float[np.ndarray, "n 3"],
    radius: float,
    reach: float,
    xz_reach: float,
    effort: float = 1.0,
    start: Float[np.ndarray, "n 3"] | None = None,
) -> tuple[Float[np.ndarray, " n"], Scalars]:
    """How well a thing lies between the pads, and that times how tightly the gripper closes on it.

    `radius` is the thing's, `reach` and `xz_reach` are the distances that count as there, m; of
    `effort` in closing there is enough. `start` is where the thing was, by default the object.
    """
    start = scene.object_start if start is None else start
    sides = []
    for pad in (scene["leftpad"], scene["rightpad"]):
        margin = np.abs(np.abs(pad[:, 1] - start[:, 1]) - reach)
        sides.append(near(np.abs(pad[:, 1] - thing[:, 1]), reach, margin, radius))
    xz = [0, 2]
    margin = length(start[:, xz] - scene.tcp_start[:, xz]) - xz_reach
    level = near(length(scene.tcp[:, xz] - thing[:, xz]), xz_reach, margin)
    caging = both(both(*sides), level)
    return caging, both(caging, scene.closing(effort).where(caging > 0.97, 0.0))


def grasped(scene: Scene, thing: Any, *sizes: Any, **options: Any) -> Scalars:
    """Half of `caged` for lying between the pads, half for the grip."""
    caging, gripped = caged(scene, thing, *sizes, **options)
    return (gripped + caging) / 2


def grasped_near(scene: Scene, thing: Any, radius: float, *sizes: Any, **options: Any) -> Scalars:
    """Half for the grip of `caged`, half for fingertips within `radius` of the thing."""
    margin = np.abs(length(scene.object_start - scene.tcp_start) - radius)
    there = near(length(thing - scene.tcp), radius, margin)
    return (caged(scene, thing, *sizes, **options)[1] + there) / 2


def between_pads(scene: Scene, radius: float, upper: float = RADIUS) -> Float[np.ndarray, " n"]:
    """How well both pads lie between `radius` and `upper` from the middle of the object, m."""
    y, right, left = scene.object[:, 1], scene["rightpad"][:, 1], scene["leftpad"][:, 1]
    # Meta-World means the pad at the start, but looks at it where it is.
    sides = [
        near(gap, upper, np.abs(np.abs(y - pad) - RADIUS), radius)
        for pad, gap in ((right, y - right), (left, left - y))
    ]
    return both(*sides)


def level(scene: Scene, reach: float) -> Float[np.ndarray, " n"]:
    """How well the fingertips lie at the object, seen from the side."""
    margin = length(_flat(scene.object_start) - _flat(scene.tcp_start)) - reach
    return near(length(_flat(scene.tcp) - _flat(scene.object)), reach, margin)


def pinched(scene: Scene, radius: float, spare: float, reach: float) -> Float[np.ndarray, " n"]:
    """Half for lying between the pads, half for pads that are closed but for `spare`, m."""
    caging = both(between_pads(scene, radius), level(scene, reach))
    closed = between_pads(scene, radius, radius + spare)
    return (caging + np.where(caging > 0.95, closed, 0.0)) / 2


def _flat(points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
    return points * [1.0, 0.0, 1.0]


def floor_around(
    away: Float[np.ndarray, " n"], radius: Any, slope: float, height: float
) -> Float[np.ndarray, " n"]:
    """Height that rises with the distance `away` from a thing, m; 0 within the radius."""
    out = away > radius
    return np.where(out, slope * np.log(np.where(out, away - radius, 1.0)) + height, 0.0)


def above(z: Any, floor: Any, margin: Any) -> Float[np.ndarray, " n"]:
    """1 above a floor, less below."""
    high = z >= floor
    return np.where(high, 1.0, near(floor - z, 0.01, np.where(high, 1.0, margin)))


def upright(
    turn: Float[np.ndarray, "n 4"], ideal: tuple[float, ...], off: float
) -> Float[np.ndarray, " n"]:
    """1 for a turn as it should be, 0 for one that is `off` or farther."""
    return np.maximum(1.0 - length(turn - ideal) / off, 0.0)


def open_effort(act: Any) -> Float[np.ndarray, " n"]:
    """How much the action closes the gripper: 0 for wide open, 1 for shut."""
    half = (np.clip(act[:, 3], -1, 1) + np.float32(1)) / np.float32(2)
    return np.clip(half, 0, 1).astype(float)


def ten_where(arrived: Bool[np.ndarray, " n"], reward: Any) -> Float[np.ndarray, " n"]:
    """The reward, and 10 for those that have arrived."""
    return np.where(arrived, 10.0, reward.value if isinstance(reward, Scalars) else reward)


def more(reward: Any, where: Bool[np.ndarray, " n"], extra: Any) -> Any:
    """The reward, and in some worlds more."""
    if isinstance(reward, Scalars):
        return (reward + extra).where(where, reward)
    return np.where(where, reward + extra, reward)


def held(scene: Scene, radius: float, lift: float = 0.01) -> Bool[np.ndarray, " n"]:
    """Where the fingertips are at the object, not shut, and the object has been lifted."""
    return touched(scene, radius) & (scene.object[:, 2] - lift > scene.object_start[:, 2])


def touched(scene: Scene, radius: float) -> Bool[np.ndarray, " n"]:
    """Where the fingertips are at the object, not shut."""
    return (length(scene.object - scene.tcp) < radius) & (scene.opening > 0)


def to_goal(scene: Scene, scale: Any = 1.0) -> tuple[Any, Any]:
    """How far the object is from the goal, and was at the start, axes scaled."""
    now, start = scene.object - scene.goal, scene.object_start - scene.goal
    return length(now * scale), length(start * scale)
