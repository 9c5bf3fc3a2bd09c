"""Contacts of two boxes in JAX against MuJoCo's."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from gmps.sim.mjx_boxes import COUNT, box_box

pytest.importorskip("mujoco.mjx")
SCENE = """
<mujoco>
  <worldbody>
    <body><freejoint/><geom type="box" size="1 1 1"/></body>
    <body><freejoint/><geom type="box" size="1 1 1"/></body>
  </worldbody>
</mujoco>
"""


def native(positions, quaternions, sizes, margin):
    """Distances, points and frames of the contacts, and the boxes' rotations."""
    model = mujoco.MjModel.from_xml_string(SCENE)
    model.geom_size[:], model.geom_margin[:] = sizes, margin
    model.geom_aabb[:, 3:], model.geom_rbound[:] = sizes, np.linalg.norm(sizes, axis=1)
    data = mujoco.MjData(model)
    data.qpos[:] = np.concatenate([positions, quaternions], 1).ravel()
    mujoco.mj_kinematics(model, data)
    mujoco.mj_collision(model, data)
    contacts = [np.append(c.dist, [*c.pos, *c.frame]) for c in data.contact[: data.ncon]]
    return np.array(contacts).reshape(-1, 13), data.geom_xmat.reshape(2, 3, 3).copy()


def ours(positions, rotations, sizes, margins):
    """The same by `box_box`, for a batch."""
    from mujoco.mjx._src.collision_types import GeomInfo  # noqa: PLC0415 - an extra

    with jax.enable_x64():
        boxes = [
            GeomInfo(*(jnp.asarray(x[:, i]) for x in (positions, rotations, sizes)))
            for i in range(2)
        ]
        distance, points, frames = jax.jit(jax.vmap(box_box))(*boxes, jnp.asarray(margins))
    rows = np.concatenate([distance[..., None], points, frames.reshape(*distance.shape, 9)], -1)
    return [r[r[:, 0] < 1] for r in rows]


def touching_pairs(n):
    """Pairs of boxes around their first touch: aligned, tilted a little, turned at random."""
    rng = np.random.default_rng(0)
    for i in range(n):
        sizes = rng.uniform(0.02, 0.2, (2, 3))
        quaternions = np.tile([1.0, 0, 0, 0], (2, 1)) if i % 3 == 0 else rng.normal(size=(2, 4))
        if i % 3 == 1:
            quaternions[1] = quaternions[0] + 0.05 * rng.normal(size=4)
        quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
        margin, way = (0.0, 0.001, 0.02)[i % 5 % 3], rng.normal(size=3) * sizes.sum(0)
        near, far = 0.0, 4.0
        for _ in range(20):
            middle = (near + far) / 2
            touch = len(native([0 * way, middle * way], quaternions, sizes, margin)[0])
            near, far = (middle, far) if touch else (near, middle)
        yield np.stack([0 * way, near * rng.uniform(0.9, 1) * way]), quaternions, sizes, margin


def test_contacts_of_boxes_are_those_of_mujoco():
    pairs = list(touching_pairs(90))
    theirs, rotations = zip(*(native(*pair) for pair in pairs), strict=True)
    positions, _, sizes, margins = (np.stack(x) for x in zip(*pairs, strict=True))
    found = ours(positions, np.stack(rotations), sizes, margins)
    counts = [len(x) for x in theirs]
    assert set(counts) >= {1, 2, 4, 5}
    assert max(counts) <= COUNT
    assert [len(x) for x in found] == counts
    for one, two in zip(theirs, found, strict=True):
        assert np.abs(one[:, None] - two[None]).max(-1).min(1).max(initial=0) < 1e-9


def test_a_small_box_on_a_large_one_has_five_contacts():
    sizes = np.array([[0.4, 0.4, 0.1], [0.02, 0.03, 0.01]])
    turns = np.stack([np.eye(3)] * 2)
    # Overlapping by 1 mm, apart by 2 mm, and apart by 6 mm, which is more than the margin.
    place = np.array([[[0.0, 0, 0], [0, 0, z]] for z in (0.109, 0.112, 0.116)])
    batch = (np.stack([x] * 3) for x in (turns, sizes, 0.005))
    overlapping, apart, away = ours(place, *batch)
    # The four corners of the small box, half of the depth, and a stray corner of the large one.
    np.testing.assert_allclose(overlapping[:, 0], -0.0005)
    corners = sorted((round(x, 6), round(y, 6)) for x, y in overlapping[:, 1:3])
    assert corners == [(-0.4, -0.4), (-0.02, -0.03), (-0.02, 0.03), (0.02, -0.03), (0.02, 0.03)]
    # Four, and the whole distance.
    np.testing.assert_allclose(apart[:, 0], [0.002] * 4)
    assert len(away) == 0
