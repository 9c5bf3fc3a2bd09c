"""Contacts that MJX finds otherwise than MuJoCo by more than rounding, as MuJoCo 3.3 finds them.

- A plane and a capsule: MJX turns the tangents away from a steep capsule's axis, which changes the
  friction of a pyramidal cone (0.1 m/s in the ant's velocities after one step). MuJoCo's first
  tangent is always the axis, projected onto the plane.
- Two boxes: MJX knows no margin and reports the depth of overlapping faces; MuJoCo reports half of
  it (1 cm after five steps of pushing a block). The points are the corners of the common area of
  the two closest faces, of which MuJoCo keeps all and MJX, and this, the four furthest apart.
"""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

#: A part of a capsule's axis along the plane that is shorter has no direction.
_UPRIGHT = 1e-7
#: Edges of two boxes touch, and not faces, where the cosine of the angle between the normals of
#: both cases is below this.
_ALIGNED = 0.99
#: Relative slack for corners on an edge.
_SLACK = 1e-5
#: A distance, m, at which nothing touches.
_APART = 1.0

Contact = tuple[Float[Array, " n"], Float[Array, "n 3"], Float[Array, "n 3 3"]]


@contextlib.contextmanager
def mujoco_contacts() -> Iterator[None]:
    """While JAX traces MJX in here, it uses the contacts of this module."""
    from mujoco.mjx._src import collision_driver
    from mujoco.mjx._src.types import GeomType

    # MJX has no public place for a collision function of one's own.
    table = collision_driver._COLLISION_FUNC
    ours = {
        (GeomType.PLANE, GeomType.CAPSULE): _collider(2, plane_capsule),
        (GeomType.BOX, GeomType.BOX): _collider(4, box_box),
    }
    original = {pair: table[pair] for pair in ours}
    table.update(ours)
    try:
        yield
    finally:
        table.update(original)


@functools.cache
def _collider(count: int, function: Any) -> Any:
    from mujoco.mjx._src.collision_primitive import collider

    return collider(ncon=count)(function)


def plane_capsule(plane: Any, capsule: Any) -> Contact:
    """Distances (m), points (m) and frames of the capsule's two ends."""
    normal, axis = plane.mat[:, 2], capsule.mat[:, 2]
    ends = capsule.pos + jnp.outer(jnp.array([1.0, -1.0]), axis * capsule.size[1])
    radius = capsule.size[0]
    distance = (ends - plane.pos) @ normal - radius
    points = ends - jnp.outer(radius + 0.5 * distance, normal)
    along = axis - normal * (normal @ axis)
    length = jnp.linalg.norm(along)
    y, z = jnp.eye(3)[1:]
    other = jnp.where(jnp.abs(normal[1]) < 0.5, y, z)
    other = other - normal * (normal @ other)
    tangent = jnp.where(length < _UPRIGHT, other / jnp.linalg.norm(other), along / length)
    frame = jnp.stack([normal, tangent, jnp.cross(normal, tangent)])
    return distance, points, jnp.stack([frame, frame])


def box_box(one: Any, two: Any) -> Contact:
    """Distances (m), points (m) and frames of up to four contacts of two boxes."""
    from mujoco.mjx._src.collision_convex import _manifold_points
    from mujoco.mjx._src.math import make_frame

    rotation, offset = one.mat.T @ two.mat, one.mat.T @ (two.pos - one.pos)
    reach = jnp.abs(rotation)
    overlaps = jnp.concatenate(
        [
            one.size + reach @ two.size - jnp.abs(offset),
            two.size + reach.T @ one.size - jnp.abs(rotation.T @ offset),
        ]
    )
    # The face with the least overlap; its box is the one in whose frame we look at the other.
    best = jnp.argmin(overlaps)
    second = best >= 3
    base, other = (
        jax.tree.map(lambda x, y: jnp.where(second, x, y), *pair)
        for pair in ((two, one), (one, two))
    )
    rotation = jnp.where(second, rotation.T, rotation)
    offset = base.mat.T @ (other.pos - base.pos)
    face = best % 3
    side = jnp.where(offset[face] < 0, -1.0, 1.0)
    normal = side * jnp.eye(3)[face]
    flat, height, valid = _common_area(base.size, other.size, rotation, offset, face, side)
    edge, edge_overlap = _edges(base.size, other.size, rotation, offset)
    by_edge = (edge_overlap < overlaps[best]) & (jnp.abs(edge @ normal) < _ALIGNED)

    axes = jnp.eye(3)[(face + jnp.arange(1, 3)) % 3]
    middle = normal * (base.size[face] + 0.5 * height[:, None])
    points = base.pos + (flat @ axes + middle) @ base.mat.T
    direction = base.mat @ jnp.where(by_edge, edge, normal)
    chosen = _manifold_points(points, valid, direction)
    height, valid, points = height[chosen], valid[chosen], points[chosen]
    distance = jnp.where(overlaps[best] > 0, 0.5 * height, height)
    distance = jnp.where(valid, distance, _APART)
    deepest = jnp.argmin(distance)
    alone = jnp.where(jnp.arange(4) == 0, -edge_overlap, _APART)
    distance = jnp.where(by_edge, jnp.where(valid.any(), alone, _APART), distance)
    points = jnp.where(by_edge, points[deepest], points)
    frame = make_frame(jnp.where(second, -direction, direction))
    return distance, points, jnp.broadcast_to(frame, (4, 3, 3))


def _common_area(
    size: Float[Array, " 3"],
    other_size: Float[Array, " 3"],
    rotation: Float[Array, "3 3"],
    offset: Float[Array, " 3"],
    face: Array,
    side: Array,
) -> tuple[Float[Array, "12 2"], Float[Array, " 12"], Bool[Array, " 12"]]:
    """Corners of the common area of a face and the other box's nearest face, seen along the normal.

    Returns the corners in the face's plane, m; the heights of the other box's face over them, m;
    and which of them are there.
    """
    plane = (face + jnp.arange(1, 3)) % 3
    facing = rotation[face] * side
    near = jnp.argmax(jnp.abs(facing))
    centre = offset - jnp.sign(facing[near]) * other_size[near] * rotation[:, near]
    spans = (rotation * other_size)[:, (near + jnp.arange(1, 3)) % 3].T
    signs = jnp.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
    half, flat_spans = size[plane], spans[:, plane]
    rise, level = side * spans[:, face], side * centre[face] - size[face]

    # The ends of the other face's edges within this one.
    start = centre[plane] + signs @ flat_spans
    way = jnp.roll(start, -1, 0) - start
    still = jnp.abs(way) < 1e-9
    to = (jnp.array([-1.0, 1.0])[:, None, None] * half - start) / jnp.where(still, 1.0, way)
    outside = jnp.where(jnp.abs(start) <= half * (1 + _SLACK), 1.0, -1.0)
    enter = jnp.where(still, -outside, to.min(0)).max(1).clip(0, None)
    leave = jnp.where(still, outside, to.max(0)).min(1).clip(None, 1)
    ends = [start + t[:, None] * way for t in (enter, leave)]
    there = enter <= leave
    heights = level + signs @ rise
    climb = jnp.roll(heights, -1) - heights
    end_heights = [heights + t * climb for t in (enter, leave)]

    # The corners of this face within the other one.
    corners = signs * half
    shares = jnp.linalg.solve(flat_spans.T, (corners - centre[plane]).T).T
    within = (jnp.abs(shares) <= 1 + _SLACK).all(1)
    return (
        jnp.concatenate([*ends, corners]),
        jnp.concatenate([*end_heights, level + shares @ rise]),
        jnp.concatenate([there, there, within]),
    )


def _edges(
    size: Float[Array, " 3"],
    other_size: Float[Array, " 3"],
    rotation: Float[Array, "3 3"],
    offset: Float[Array, " 3"],
) -> tuple[Float[Array, " 3"], Float[Array, ""]]:
    """The axis across an edge of each box along which they overlap least, and by how much, m."""
    axes = jnp.cross(jnp.eye(3)[:, None], rotation.T[None]).reshape(9, 3)
    length = jnp.linalg.norm(axes, axis=1)
    parallel = length < 1e-3
    axes = axes / jnp.where(parallel, 1.0, length)[:, None]
    reach = jnp.abs(axes) @ size + jnp.abs(axes @ rotation) @ other_size
    along = axes @ offset
    overlap = jnp.where(parallel, jnp.inf, reach - jnp.abs(along))
    best = jnp.argmin(overlap)
    return axes[best] * jnp.where(along[best] < 0, -1.0, 1.0), overlap[best]
