"""Contacts of two boxes in JAX, as MuJoCo finds them from 3.12 on.

The axis of greatest separation among the 6 normals and the 9 axes across pairs of edges decides. A
face of one box: the other box's face that looks at it most is clipped at its sides, and what is
left of that polygon within the margin are the contacts. An axis across two edges: one contact,
midway between the closest points of the two. MuJoCo prefers faces where they are nearly as good,
because several contacts hold better than one. See `mjx_boxes` for older versions.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

#: A quadrilateral clipped at four sides has at most as many corners.
COUNT = 8
#: A distance, m, at which nothing touches.
_APART = 1.0
#: What rounding may add to a separation, in sums of the boxes' half extents.
_ROUNDING = 1e-13
#: Edges whose squared sine is below this are parallel.
_PARALLEL = 1e-16
#: Relative advantage that an axis across edges must have over the best one so far.
_ADVANTAGE = 1e-6
#: An axis this close to the best face's normal, as a cosine, gives way to it ...
_ALIKE = 0.99
#: ... unless it is better by this share of the face's separation.
_MUCH_BETTER = 0.05
#: MuJoCo's smallest number, m.
_TINY = 1e-15
#: A component of an axis that is smaller does not say which of two edges is meant.
_AMBIGUOUS = 1e-9
#: Corners closer than this share of the face's size are one.
_REPEATED = 1e-7
#: The corners of a face, around it.
_AROUND = np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])

Found = tuple[Float[Array, " n"], Float[Array, "n 3"], Bool[Array, " n"], Float[Array, " 3"]]


def box_box(
    one: Any, two: Any, margin: Float[Array, ""]
) -> tuple[Float[Array, " n"], Float[Array, "n 3"], Float[Array, "n 3 3"]]:
    """Distances (m), points (m) and frames of up to `COUNT` contacts of two boxes.

    Args:
        one, two: boxes with `pos` (m), `mat` and `size` (half extents, m), as MJX's `GeomInfo`.
        margin: contacts at a greater distance are left out, m.
    """
    from mujoco.mjx._src.math import make_frame  # noqa: PLC0415 - an extra

    rotation = one.mat.T @ two.mat
    offset, back = one.mat.T @ (two.pos - one.pos), two.mat.T @ (one.pos - two.pos)
    reach = jnp.abs(rotation)
    faces = jnp.concatenate(
        [
            jnp.abs(offset) - one.size - reach @ two.size,
            jnp.abs(back) - two.size - reach.T @ one.size,
        ]
    )
    # Axes across edges, in the first box's frame; row 3 i + j is for its edge i and the other's j.
    across = jnp.cross(jnp.eye(3)[:, None], rotation.T[None]).reshape(9, 3)
    squared = (across**2).sum(1)
    crosses = squared >= _PARALLEL
    across = across / jnp.sqrt(jnp.where(crosses, squared, 1.0))[:, None]
    edges = jnp.abs(across @ offset)
    edges -= jnp.abs(across) @ one.size + jnp.abs(across @ rotation) @ two.size
    edges = jnp.where(crosses, edges, -jnp.inf)

    limit = margin + _ROUNDING * (one.size.sum() + two.size.sum())
    touching = jnp.maximum(faces.max(), edges.max()) <= limit
    face, edge = jnp.argmax(faces), _best_edge(edges, faces.max())
    face_normal = jnp.where(face < 3, jnp.eye(3)[face % 3], rotation[:, face % 3])
    alike = jnp.abs(across[edge] @ face_normal) > _ALIKE
    enough = faces.max() + _MUCH_BETTER * jnp.abs(faces.max()) + _TINY
    by_edge = (edge >= 0) & ~(alike & (edges[edge] < enough))

    found = jax.tree.map(
        lambda x, y: jnp.where(by_edge, x, y),
        _edge_contact(one, two, rotation, offset, across[edge], edge, limit),
        _face_contacts(one, two, rotation, offset, back, face, margin),
    )
    distance, points, valid, normal = found
    distance = jnp.where(valid & touching, distance, _APART)
    return distance, points, jnp.broadcast_to(make_frame(normal), (COUNT, 3, 3))


def _best_edge(edges: Float[Array, " 9"], best_face: Float[Array, ""]) -> Int[Array, ""]:
    """The axis across edges that MuJoCo prefers to all faces, or -1."""

    def compare(best: Any, new: Any) -> Any:
        better = new[0] * (1 - _ADVANTAGE * jnp.sign(new[0])) > best[0]
        better &= new[0] > best_face
        return jax.tree.map(lambda x, y: jnp.where(better, y, x), best, new), None

    return jax.lax.scan(compare, (best_face, jnp.array(-1)), (edges, jnp.arange(9)))[0][1]


def _edge_contact(
    one: Any,
    two: Any,
    rotation: Float[Array, "3 3"],
    offset: Float[Array, " 3"],
    axis: Float[Array, " 3"],
    edge: Int[Array, ""],
    limit: Float[Array, ""],
) -> Found:
    """Midway between the closest points of the two boxes' edges that face each other."""
    i, j = edge // 3, edge % 3
    axis = jnp.where(axis @ offset < 0, -axis, axis)
    along = rotation[:, j]
    turned = axis @ rotation

    def corners(way: Array, size: Array, edge: Array) -> Float[Array, "2 3"]:
        """Middles of the edge that lies furthest that way; of two if it cannot be told."""
        middle = jnp.where(way >= 0, size, -size) * (jnp.arange(3) != edge)
        unclear = (jnp.abs(way) < _AMBIGUOUS) & (jnp.arange(3) != edge)
        # At most one component is unclear; the first one in MuJoCo's cyclic order counts.
        order = (edge + 1 + jnp.arange(3)) % 3
        first = order[jnp.argmax(unclear[order])]
        flipped = jnp.where(unclear.any() & (jnp.arange(3) == first), -middle, middle)
        return jnp.stack([middle, flipped])

    starts = corners(axis, one.size, i)
    ends = corners(-turned, two.size, j) @ rotation.T + offset
    cosine = along[i]
    sine2 = 1 - cosine**2

    def closest(start: Array, end: Array) -> tuple[Array, Array, Array]:
        gap = end - start
        mine, theirs = gap[i], along @ gap
        s = jnp.where(sine2 < _TINY, 0.0, (mine - cosine * theirs) / sine2)
        s = jnp.clip(s, -one.size[i], one.size[i])
        t = jnp.clip(cosine * s - theirs, -two.size[j], two.size[j])
        s = jnp.clip(mine + cosine * t, -one.size[i], one.size[i])
        p, q = start + s * jnp.eye(3)[i], end + t * along
        return p, q, ((q - p) ** 2).sum()

    choices = [closest(start, end) for start in starts for end in ends]
    p, q, squared = (jnp.stack(x) for x in zip(*choices, strict=True))
    p, q = p[jnp.argmin(squared)], q[jnp.argmin(squared)]
    distance = (q - p) @ axis
    point = one.pos + one.mat @ (0.5 * (p + q))
    valid = (jnp.arange(COUNT) == 0) & (distance <= limit)
    return (
        jnp.full(COUNT, distance),
        jnp.broadcast_to(point, (COUNT, 3)),
        valid,
        one.mat @ axis,
    )


def _face_contacts(
    one: Any,
    two: Any,
    rotation: Float[Array, "3 3"],
    offset: Float[Array, " 3"],
    back: Float[Array, " 3"],
    face: Int[Array, ""],
    margin: Float[Array, ""],
) -> Found:
    """Corners of the other box's nearest face, clipped at the sides of a face of one box."""
    second = face >= 3
    base, other = (
        jax.tree.map(lambda x, y: jnp.where(second, x, y), *pair)
        for pair in ((two, one), (one, two))
    )
    spin, place = jnp.where(second, rotation.T, rotation), jnp.where(second, back, offset)
    # From here on in the face's axes: two along it, and the height above it.
    order = (face % 3 + jnp.array([1, 2, 0])) % 3
    up = jnp.where(place[order[2]] >= 0, 1.0, -1.0)
    signs = jnp.stack([jnp.ones(()), jnp.ones(()), up])
    half, place, spin = base.size[order], place[order] * signs, spin[order] * signs[:, None]

    k = jnp.argmax(jnp.abs(spin[2]))
    toward = jnp.where(spin[2, k] > 0, -1.0, 1.0)
    u, v = (k + 1) % 3, (k + 2) % 3
    centre = place + toward * other.size[k] * spin[:, k] - half * jnp.array([0.0, 0.0, 1.0])
    sides = jnp.stack([other.size[u] * spin[:, u], other.size[v] * spin[:, v]])
    polygon, count = centre + jnp.asarray(_AROUND) @ sides, jnp.array(4)
    for axis in (0, 1):
        for sign in (1.0, -1.0):
            polygon, count = _clip(polygon, count, sign * polygon[:, axis] - half[axis])

    valid = (jnp.arange(COUNT) < count) & (polygon[:, 2] <= margin)
    apart = ((polygon[:, None, :2] - polygon[None, :, :2]) ** 2).sum(-1)
    same = (apart < _REPEATED**2 * (half[:2] ** 2).sum()) & valid[None]
    valid &= ~jnp.tril(same, -1).any(1)
    # A contact lies midway between the two surfaces.
    local = polygon * jnp.array([1.0, 1.0, 0.5]) + half * jnp.array([0.0, 0.0, 1.0])
    to_world = base.mat[:, order] * signs
    normal = to_world[:, 2] * jnp.where(second, -1.0, 1.0)
    return polygon[:, 2], base.pos + local @ to_world.T, valid, normal


def _clip(
    polygon: Float[Array, "n 3"], count: Int[Array, ""], outside: Float[Array, " n"]
) -> tuple[Float[Array, "n1 3"], Int[Array, ""]]:
    """Cut off the part of a convex polygon, of `count` corners, that is `outside` by more than 0.

    Returns a polygon of one row more, as a cut adds at most one corner, and its number of corners.
    """
    size = len(polygon)
    present = jnp.arange(size) < count
    following = jnp.where(jnp.arange(size) + 1 == count, 0, (jnp.arange(size) + 1) % size)
    ahead = outside[following]
    crosses = present & (outside * ahead < 0)
    share = outside / jnp.where(crosses, outside - ahead, 1.0)
    cuts = polygon + share[:, None] * (polygon[following] - polygon)
    points = jnp.stack([polygon, cuts], 1).reshape(-1, 3)
    kept = jnp.stack([present & (outside <= 0), crosses], 1).ravel()
    chosen = jnp.argsort(~kept, stable=True)[: size + 1]
    return points[chosen], jnp.minimum(kept.sum(), size + 1)
