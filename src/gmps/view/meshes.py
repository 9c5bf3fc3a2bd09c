"""MuJoCo's geometric primitives as triangles."""

from collections.abc import Callable

import mujoco
import numpy as np
from jaxtyping import Float, UInt32

#: Vertices around a round shape.
ROUND = 20
#: Rows of vertices over a hemisphere.
_ROWS = 6
_KINDS = mujoco.mjtGeom

Triangles = tuple[Float[np.ndarray, "vertex 3"], UInt32[np.ndarray, "face 3"]]


def geom_triangles(model: mujoco.MjModel, geom: int) -> Triangles | None:
    """Vertices and faces of a geom in its own frame, m; None for what has no end (planes) and for
    height fields.

    Args:
        model: the model.
        geom: the geom's number.
    """
    make = _MAKERS.get(int(model.geom_type[geom]))
    return None if make is None else make(model, geom)


def box(half: Float[np.ndarray, " 3"]) -> Triangles:
    """A box with these half edges; each side has vertices of its own, so that edges are sharp."""
    vertices, faces = [], []
    for axis in range(3):
        u, v = (axis + 1) % 3, (axis + 2) % 3
        for sign in (-1.0, 1.0):
            start = len(vertices)
            for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
                corner = np.zeros(3)
                corner[axis], corner[u], corner[v] = sign, a, b
                vertices.append(corner * half)
            ring = (0, 1, 2, 3) if sign > 0 else (0, 3, 2, 1)
            faces += [[start + ring[i] for i in (0, 1, 2)], [start + ring[i] for i in (0, 2, 3)]]
    return np.array(vertices, np.float32), np.array(faces, np.uint32)


def capsule(radius: float, half: float) -> Triangles:
    """A cylinder along z of this half length with hemispheres; a sphere for half length 0."""
    quarter = np.linspace(0, np.pi / 2, _ROWS)
    angles = np.concatenate([-quarter[::-1], quarter])
    heights = radius * np.sin(angles) + np.repeat([-half, half], _ROWS)
    return _revolved(radius * np.cos(angles), heights)


def cylinder(radius: float, half: float) -> Triangles:
    """A cylinder along z; the rims are doubled, so that they are sharp."""
    radii = np.array([0.0, radius, radius, radius, radius, 0.0])
    return _revolved(radii, half * np.array([-1.0, -1.0, -1.0, 1.0, 1.0, 1.0]))


def _revolved(radii: Float[np.ndarray, " row"], heights: Float[np.ndarray, " row"]) -> Triangles:
    """The surface that a profile sweeps around the z axis."""
    turns = np.linspace(0, 2 * np.pi, ROUND, endpoint=False)
    circle = np.stack([np.cos(turns), np.sin(turns)], -1)
    rows = [
        np.column_stack([r * circle, np.full(ROUND, z)])
        for r, z in zip(radii, heights, strict=True)
    ]
    faces = []
    for row in range(len(rows) - 1):
        for i in range(ROUND):
            a, b = row * ROUND + i, row * ROUND + (i + 1) % ROUND
            faces += [[a, b, b + ROUND], [a, b + ROUND, a + ROUND]]
    return np.concatenate(rows).astype(np.float32), np.array(faces, np.uint32)


def _ellipsoid(half: Float[np.ndarray, " 3"]) -> Triangles:
    vertices, faces = capsule(1.0, 0.0)
    return vertices * half.astype(np.float32), faces


def _mesh(model: mujoco.MjModel, mesh: int) -> Triangles:
    first, count = model.mesh_vertadr[mesh], model.mesh_vertnum[mesh]
    face, faces = model.mesh_faceadr[mesh], model.mesh_facenum[mesh]
    return (
        model.mesh_vert[first : first + count].astype(np.float32),
        model.mesh_face[face : face + faces].astype(np.uint32),
    )


#: Of a model and a geom's number, by its type.
_MAKERS: dict[int, Callable[[mujoco.MjModel, int], Triangles]] = {
    int(_KINDS.mjGEOM_BOX): lambda m, g: box(m.geom_size[g]),
    int(_KINDS.mjGEOM_SPHERE): lambda m, g: capsule(m.geom_size[g, 0], 0.0),
    int(_KINDS.mjGEOM_CAPSULE): lambda m, g: capsule(*m.geom_size[g, :2]),
    int(_KINDS.mjGEOM_CYLINDER): lambda m, g: cylinder(*m.geom_size[g, :2]),
    int(_KINDS.mjGEOM_ELLIPSOID): lambda m, g: _ellipsoid(m.geom_size[g]),
    int(_KINDS.mjGEOM_MESH): lambda m, g: _mesh(m, int(m.geom_dataid[g])),
}
