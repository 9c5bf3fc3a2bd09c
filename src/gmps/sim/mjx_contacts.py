"""Contacts that MJX finds otherwise than MuJoCo by more than rounding, as the installed MuJoCo has
them.

- A plane and a capsule: MJX turns the tangents away from a steep capsule's axis, which changes the
  friction of a pyramidal cone (0.1 m/s in the ant's velocities after one step). MuJoCo's first
  tangent is always the axis, projected onto the plane.
- Two boxes: MJX knows no margin and keeps four contacts, and before 3.4 MuJoCo reports half of the
  depth of overlapping faces (1 cm after five steps of pushing a block). See `mjx_boxes`, and
  `mjx_box_clipping` for MuJoCo from 3.12 on.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from gmps.sim import mjx_box_clipping, mjx_boxes
from gmps.sim.native import mujoco_version

#: A part of a capsule's axis along the plane that is shorter has no direction.
_UPRIGHT = 1e-7
#: Contacts of a pair of boxes.
BOX_CONTACTS = mjx_boxes.COUNT

Contact = tuple[Float[Array, " n"], Float[Array, "n 3"], Float[Array, "n 3 3"]]


@contextlib.contextmanager
def mujoco_contacts() -> Iterator[None]:
    """While JAX traces MJX in here, it uses the contacts of this module.

    Models and data are put on the device in here too: the number of contacts is part of them.
    """
    from mujoco.mjx._src import collision_driver  # noqa: PLC0415 - an extra
    from mujoco.mjx._src.types import GeomType  # noqa: PLC0415 - an extra

    # MJX has no public place for a collision function of one's own.
    table = collision_driver._COLLISION_FUNC
    ours = {
        (GeomType.PLANE, GeomType.CAPSULE): _collider(2, plane_capsule),
        (GeomType.BOX, GeomType.BOX): _box_collider(),
    }
    original = {pair: table[pair] for pair in ours}
    table.update(ours)
    try:
        yield
    finally:
        table.update(original)


@functools.cache
def _collider(count: int, function: Any) -> Any:
    from mujoco.mjx._src.collision_primitive import collider  # noqa: PLC0415 - an extra

    return collider(ncon=count)(function)


@functools.cache
def _box_collider() -> Any:
    from mujoco.mjx._src.collision_types import GeomInfo  # noqa: PLC0415 - an extra

    def collide(model: Any, data: Any, _: Any, geoms: Int[Array, "pair 2"]) -> Contact:
        boxes = [
            GeomInfo(data.geom_xpos[i], data.geom_xmat[i], model.geom_size[i]) for i in geoms.T
        ]
        found = jax.vmap(box_box())(boxes[0], boxes[1], _margins(model, geoms))
        return jax.tree.map(jnp.concatenate, found)

    # MJX reads there how many contacts a pair has.
    collide.ncon = BOX_CONTACTS
    return collide


def box_box() -> Callable[[Any, Any, Float[Array, ""]], Contact]:
    """The contacts of two boxes and a margin (m), as the installed MuJoCo finds them."""
    if mujoco_version() >= (3, 12):
        return mjx_box_clipping.box_box
    return functools.partial(mjx_boxes.box_box, halved=mujoco_version() < (3, 4))


def _margins(model: Any, geoms: Int[Array, "pair 2"]) -> Float[Array, " pair"]:
    """The margin of each pair, m: that of a `<pair>` element, or the sum of the geoms' from
    MuJoCo 3.5 on and the larger one before."""
    margin = model.geom_margin[geoms]
    margin = margin.sum(1) if mujoco_version() >= (3, 5) else margin.max(1)
    named = jnp.sort(jnp.stack([model.pair_geom1, model.pair_geom2], 1), 1)
    for i in range(model.npair):
        margin = jnp.where((jnp.sort(geoms, 1) == named[i]).all(1), model.pair_margin[i], margin)
    return margin


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
