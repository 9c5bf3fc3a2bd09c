"""Contacts of two boxes in JAX, as MuJoCo 3.3 to 3.11 finds them, its peculiarities included.

Parity needs the peculiarities, because each contact is one more spring:

- Before 3.4, the distance reported of faces is half of the depth; of edges, and of boxes that are
  apart, all.
- Aligned boxes that are apart by less than the margin count as touching at edges, because the axis
  across two of their edges is as good as the normal of a face.
- The other box's lowest corner over a face is a contact wherever it lies, if it lies in one box.

The algorithm: the axis of least overlap among the 6 normals and the 9 axes across pairs of edges
names two faces, or two edges and the faces beside them. Contacts are the corners of the two faces'
common area, seen along that axis. Differences: 8 contacts are kept, and MuJoCo keeps up to 9.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

#: Contacts of a pair of boxes.
COUNT = 8
#: A distance, m, at which nothing touches.
_APART = 1.0
#: What MuJoCo takes for zero.
_TINY = 1e-15
#: Relative advantage that an axis across edges must have over the best one so far.
_ADVANTAGE = 1e-12
#: Another box's axis lies in a face if the cosine of its angle to the normal is below this.
_FLAT = 0.5
#: A contact further outside a box than this factor of its size must lie inside the other one.
_OUTSIDE = 1.01
#: By axis and then by side, +++ and ---: rows are the axes of a frame in which that face is on top.
_FACE_FRAMES = np.array(
    [
        [[0, 0, -1], [0, 1, 0], [1, 0, 0]],
        [[1, 0, 0], [0, 0, -1], [0, 1, 0]],
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0, 0, 1], [0, 1, 0], [-1, 0, 0]],
        [[1, 0, 0], [0, 0, 1], [0, -1, 0]],
        [[-1, 0, 0], [0, 1, 0], [0, 0, -1]],
    ],
    float,
)
#: The other two axes of each axis, in the order in which MuJoCo prefers them.
_OTHERS = np.array([[1, 2], [0, 2], [1, 0]])


class Candidates(NamedTuple):
    """Possible contacts in the frame of a face: z is its normal, the origin its centre."""

    point: Float[Array, "n 3"]
    distance: Float[Array, " n"]
    valid: Bool[Array, " n"]


class _Edges(NamedTuple):
    """The best axis across an edge of each box; all in the first box's frame."""

    #: Which edge direction of each box.
    first: Int[Array, ""]
    second: Int[Array, ""]
    #: Unit axis, and whether the second box lies on its negative side.
    axis: Float[Array, " 3"]
    flipped: Bool[Array, ""]
    #: On which side of each box its edge is, +-1 by axis; meaningless along the edge itself.
    side_first: Float[Array, " 3"]
    side_second: Float[Array, " 3"]


def box_box(
    one: Any, two: Any, margin: Float[Array, ""], halved: bool
) -> tuple[Float[Array, " n"], Float[Array, "n 3"], Float[Array, "n 3 3"]]:
    """Distances (m), points (m) and frames of up to `COUNT` contacts of two boxes.

    Args:
        one, two: boxes with `pos` (m), `mat` and `size` (half extents, m), as MJX's `GeomInfo`.
        margin: contacts at a greater distance are left out, m.
        halved: whether faces report half of their depth, as before 3.4.
    """
    from mujoco.mjx._src.math import make_frame  # noqa: PLC0415 - an extra

    rotation = one.mat.T @ two.mat
    offset, back = one.mat.T @ (two.pos - one.pos), two.mat.T @ (one.pos - two.pos)
    reach = jnp.abs(rotation)
    overlaps = jnp.stack(
        [
            -jnp.abs(offset) + one.size + reach @ two.size,
            -jnp.abs(back) + two.size + reach.T @ one.size,
        ],
        1,
    ).ravel()  # of each axis, the first box's and the second's
    best = jnp.argmin(overlaps)
    edges, edge_overlap, edge_lowest = _best_edges(one.size, two.size, rotation, offset, overlaps)
    by_edge = edge_overlap < jnp.inf
    touching = jnp.minimum(overlaps.min(), edge_lowest) >= -margin

    # A face of one box, the other box above it.
    axis, second = best // 2, best % 2 == 1
    base, other = (
        jax.tree.map(lambda x, y: jnp.where(second, x, y), *pair)
        for pair in ((two, one), (one, two))
    )
    to_other = jnp.where(second, back, offset)
    frame = jnp.asarray(_FACE_FRAMES)[axis + 3 * (to_other[axis] < 0)]
    half = jnp.abs(frame @ base.size)
    place = frame @ to_other - jnp.array([0.0, 0.0, 1.0]) * half[2]
    spin = frame @ jnp.where(second, rotation.T, rotation)
    faces = _on_face(half, other.size, spin, place, margin, halved)
    face_to_world = base.mat @ frame.T
    normal = face_to_world[:, 2] * jnp.where(second, -1.0, 1.0)

    # Or a face beside the first box's edge.
    edge_frame, edge_half, crossing = _at_edges(edges, one.size, two.size, rotation, offset, margin)
    edge_to_world = one.mat @ edge_frame.T
    edge_normal = one.mat @ edges.axis * jnp.where(edges.flipped, -1.0, 1.0)

    def choose(x: Array, y: Array) -> Array:
        return jnp.where(by_edge, x, y)

    local, distance, valid = jax.tree.map(choose, crossing, faces)
    local = local + jnp.array([0.0, 0.0, 1.0]) * choose(edge_half[2], half[2])
    points = choose(one.pos, base.pos) + local @ choose(edge_to_world, face_to_world).T
    valid &= touching & ~_astray(points, one, two, margin)
    valid &= ~_repeated(points, valid)
    chosen = jnp.argsort(~valid, stable=True)[:COUNT]
    distance = jnp.where(valid, distance, _APART)[chosen]
    contact_frame = make_frame(choose(edge_normal, normal))
    return distance, points[chosen], jnp.broadcast_to(contact_frame, (COUNT, 3, 3))


def _best_edges(
    size: Float[Array, " 3"],
    other_size: Float[Array, " 3"],
    rotation: Float[Array, "3 3"],
    offset: Float[Array, " 3"],
    overlaps: Float[Array, " 6"],
) -> tuple[_Edges, Float[Array, ""], Float[Array, ""]]:
    """The axis across edges with less overlap than the faces' least, its overlap (m; inf: none)
    and the least overlap along any such axis (m)."""
    first, second = np.repeat(np.arange(3), 3), np.tile(np.arange(3), 3)
    across = jnp.cross(jnp.eye(3)[first], rotation.T[second])
    length = jnp.linalg.norm(across, axis=1)
    crosses = length >= _TINY
    length = jnp.where(crosses, length, 1.0)
    across = across / length[:, None]
    along = across @ offset
    # The other box's extent in one direction along the axis is given by its third direction.
    mine, theirs = _OTHERS[first], _OTHERS[second]
    overlap = (size[mine] * jnp.abs(jnp.take_along_axis(across, mine, 1))).sum(1)
    extent = jnp.abs(rotation[first[:, None], theirs[:, ::-1]]) / length[:, None]
    overlap += (other_size[theirs] * extent).sum(1) - jnp.abs(along)
    overlap = jnp.where(crosses, overlap, jnp.inf)

    def compare(best: Any, new: Any) -> Any:
        better = new[0] < best[0] * (1 - _ADVANTAGE)
        return jax.tree.map(lambda x, y: jnp.where(better, y, x), best, new), None

    (least, k), _ = jax.lax.scan(compare, (overlaps.min(), jnp.array(-1)), (overlap, jnp.arange(9)))
    i, j, flipped = k // 3 % 3, k % 3, along[k] < 0
    rows = jnp.arange(3)
    turned = (rotation[i, (3 - rows - j) % 3] > 0) ^ flipped ^ ((rows - j) % 3 == 1)
    edges = _Edges(
        i,
        j,
        across[k],
        flipped,
        jnp.where((across[k] > 0) ^ flipped, 1.0, -1.0),
        jnp.where(turned, 1.0, -1.0),
    )
    return edges, jnp.where(k < 0, jnp.inf, least), overlap.min()


def _on_face(
    half: Float[Array, " 3"],
    other_size: Float[Array, " 3"],
    spin: Float[Array, "3 3"],
    place: Float[Array, " 3"],
    margin: Float[Array, ""],
    halved: bool,
) -> Candidates:
    """Where the other box's lowest face, edge or corner meets a face of half extents `half`."""
    up = spin[2]
    corner = place + spin @ (other_size * jnp.where(up < 0, 1.0, -1.0))
    flat = jnp.abs(up) < _FLAT
    spans = 2 * spin * other_size * jnp.where(up < 0, -1.0, 1.0)
    order = jnp.argsort(~flat, stable=True)
    one, two = (jnp.where(flat[order[i]], spans[:, order[i]], 0.0) for i in range(2))
    is_edge, is_face = flat.sum() > 0, flat.sum() > 1
    quad = jnp.stack([corner, corner + one, corner + two, corner + one + two])

    start, way = quad[jnp.array([0, 0, 1, 2])], jnp.stack([one, two, two, one])
    t, cross = _crossings(start[:, :2], way[:, :2], half[:2])
    cross &= jnp.stack([is_edge, is_face, is_face, is_face])[:, None, None]
    on_lines = start[:, None, None] + t[..., None] * way[:, None, None]

    ends = half[:2] * _SIGNS
    shares = _shares(ends - corner[:2], one, two, _determinant(one, two))
    over = corner[2] + shares @ jnp.stack([one[2], two[2]])
    within = is_face & ((shares > 0) & (shares < 1)).all(1)

    inside = (jnp.abs(quad[:, :2]) < half[:2]).all(1)
    inside &= jnp.stack([True, is_edge, is_face, is_face])
    inside = inside.at[0].set(True)
    points = jnp.concatenate(
        [on_lines.reshape(-1, 3), jnp.concatenate([ends, over[:, None]], 1), quad]
    )
    valid = jnp.concatenate([cross.ravel(), within, inside]) & (points[:, 2] <= margin)
    middle = points * jnp.array([1.0, 1.0, 0.5])
    return Candidates(middle, (middle if halved else points)[:, 2], valid)


def _at_edges(
    edges: _Edges,
    size: Float[Array, " 3"],
    other_size: Float[Array, " 3"],
    rotation: Float[Array, "3 3"],
    offset: Float[Array, " 3"],
    margin: Float[Array, ""],
) -> tuple[Float[Array, "3 3"], Float[Array, " 3"], Candidates]:
    """The face of the first box beside its edge, half extents in that frame, and contacts there.

    The second box's face beside its edge is projected onto it along the axis.
    """
    others, mine = jnp.asarray(_OTHERS)[edges.second], jnp.asarray(_OTHERS)[edges.first]
    reach = jnp.abs(rotation)
    swap = reach[edges.first, others[0]] < reach[edges.first, others[1]]
    along, facing = (jnp.where(swap, others[1 - i], others[i]) for i in range(2))
    swap = reach[mine[0], edges.second] < reach[mine[1], edges.second]
    top = jnp.where(swap, mine[0], mine[1])
    frame = jnp.asarray(_FACE_FRAMES)[top + 3 * (edges.side_first[top] < 0)]
    half = jnp.abs(frame @ size)
    axis, spin = frame @ edges.axis, frame @ rotation
    sign = jnp.where(edges.flipped, -1.0, 1.0)
    climb = sign / axis[2]

    def reaching(k: Array) -> Float[Array, " 3"]:
        return spin[:, k] * other_size[k]

    centre = frame @ offset - jnp.array([0.0, 0.0, 1.0]) * half[2]
    level = centre + reaching(facing) * edges.side_second[facing]
    near, far = (level + s * reaching(along) * edges.side_second[along] for s in (1, -1))
    lengthwise = reaching(edges.second)
    quad = jnp.stack([near + lengthwise, near - lengthwise, far + lengthwise, far - lengthwise])
    flat = (quad - quad[:, 2:] / axis[2] * axis)[:, :2]

    pick, to = jnp.array([0, 0, 1, 2]), jnp.array([1, 2, 2, 1])
    start, way = flat[pick], (flat - flat[0])[to]
    t, cross = _crossings(start, way, half[:2])
    touched = start[:, None, None] + t[..., None] * way[:, None, None]
    above = quad[pick][:, None, None] + t[..., None] * (quad - quad[0])[to][:, None, None]
    line_distance = above[..., 2] * climb
    cross &= line_distance <= margin
    on_lines = 0.5 * (above + jnp.concatenate([touched, jnp.zeros((4, 2, 2, 1))], -1))
    any_line = cross.any()

    one, two = flat[1] - flat[0], flat[2] - flat[0]

    def at_corner(determinant: Array, end: Array) -> Any:
        share = _shares((end - flat[0])[None], one, two, determinant)[0]
        beyond = (share < 0) | (share > 1)
        skipped = jnp.where(any_line, beyond.any(), beyond.all())
        share = jnp.clip(share, 0, 1)
        over = quad[0] + share @ (quad[1:3] - quad[0])
        gap = jnp.append(end, 0.0) - over
        squared = gap @ gap
        near_enough = (over[2] <= 0) | (squared <= margin**2)
        distance = jnp.sqrt(squared) * jnp.where(over[2] < 0, -1.0, 1.0)
        # MuJoCo keeps the square where the determinant was.
        determinant = jnp.where(skipped, determinant, squared)
        return determinant, Candidates(over + 0.5 * gap, distance, ~skipped & near_enough)

    _, corner = jax.lax.scan(at_corner, _determinant(one, two), half[:2] * _SIGNS)
    beyond = jnp.abs(flat) > half[:2]
    skipped = jnp.where(any_line, beyond.any(1), beyond.all(1) & corner.valid.any())
    clamped = jnp.clip(flat, -half[:2], half[:2])
    squared = ((flat - clamped) ** 2).sum(1) + (quad[:, 2] * climb) ** 2
    near_enough = (quad[:, 2] <= 0) | (squared <= margin**2)
    ends_distance = jnp.sqrt(squared) * jnp.where(quad[:, 2] < 0, -1.0, 1.0)
    ends_point = 0.5 * (quad + jnp.concatenate([clamped, jnp.zeros((4, 1))], 1))
    return (
        frame,
        half,
        Candidates(
            jnp.concatenate([on_lines.reshape(-1, 3), corner.point, ends_point]),
            jnp.concatenate([line_distance.ravel(), corner.distance, ends_distance]),
            jnp.concatenate([cross.ravel(), corner.valid, ~skipped & near_enough]),
        ),
    )


#: The corners of a face.
_SIGNS = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])


def _crossings(
    start: Float[Array, "line 2"], way: Float[Array, "line 2"], half: Float[Array, " 2"]
) -> tuple[Float[Array, "line 2 2"], Bool[Array, "line 2 2"]]:
    """Where each line crosses the left and the right, and the lower and the upper side of a
    rectangle, as a share of its way, and whether it does within both."""
    still = jnp.abs(way) <= _TINY
    sides = jnp.array([-1.0, 1.0]) * half[:, None]
    t = (sides - start[..., None]) / jnp.where(still, 1.0, way)[..., None]
    elsewhere = start[:, ::-1, None] + way[:, ::-1, None] * t
    hits = ~still[..., None] & (t >= 0) & (t <= 1) & (jnp.abs(elsewhere) <= half[::-1, None])
    return t, hits


def _determinant(one: Float[Array, " _"], two: Float[Array, " _"]) -> Float[Array, ""]:
    return one[0] * two[1] - two[0] * one[1]


def _shares(
    points: Float[Array, "n 2"],
    one: Float[Array, " _"],
    two: Float[Array, " _"],
    determinant: Float[Array, ""],
) -> Float[Array, "n 2"]:
    """The points as combinations of the vectors one and two."""
    x, y = points.T
    scale = 1 / jnp.where(determinant == 0, jnp.inf, determinant)
    return jnp.stack([x * two[1] - y * two[0], y * one[0] - x * one[1]], 1) * scale


def _astray(
    points: Float[Array, "n 3"], one: Any, two: Any, margin: Float[Array, ""]
) -> Bool[Array, " n"]:
    """Which points lie outside one box without lying inside the other."""
    outside, inside = [], []
    for box in (one, two):
        local, size = jnp.abs((points - box.pos) @ box.mat), box.size + margin
        outside.append((local > size * _OUTSIDE).any(1))
        inside.append((local < size / _OUTSIDE).all(1))
    return (outside[0] & ~inside[1]) | (outside[1] & ~inside[0])


def _repeated(points: Float[Array, "n 3"], valid: Bool[Array, " n"]) -> Bool[Array, " n"]:
    """Which points come again."""
    same = (points[:, None] == points[None]).all(-1) & valid[None]
    return jnp.triu(same, 1).any(1)
