"""Contacts of two boxes in JAX against MuJoCo's."""

import functools

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from gmps.sim import mjx_box_clipping, mjx_boxes, mjx_contacts
from gmps.sim.mjx_contacts import BOX_CONTACTS, box_box
from gmps.sim.native import mujoco_version

mjx = pytest.importorskip("mujoco.mjx")
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
    model.geom_size[:], model.geom_margin[:] = sizes, [margin, 0]
    model.geom_aabb[:, 3:], model.geom_rbound[:] = sizes, np.linalg.norm(sizes, axis=1)
    data = mujoco.MjData(model)
    data.qpos[:] = np.concatenate([positions, quaternions], 1).ravel()
    mujoco.mj_kinematics(model, data)
    mujoco.mj_collision(model, data)
    contacts = [np.append(c.dist, [*c.pos, *c.frame]) for c in data.contact[: data.ncon]]
    return np.array(contacts).reshape(-1, 13), data.geom_xmat.reshape(2, 3, 3).copy()


def ours(collide, positions, rotations, sizes, margins):
    """The same by a function for a pair of boxes, for a batch."""
    from mujoco.mjx._src.collision_types import GeomInfo  # noqa: PLC0415 - an extra

    with jax.enable_x64():
        boxes = [
            GeomInfo(*(jnp.asarray(x[:, i]) for x in (positions, rotations, sizes)))
            for i in range(2)
        ]
        distance, points, frames = jax.jit(jax.vmap(collide))(*boxes, jnp.asarray(margins))
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
    found = ours(box_box(), positions, np.stack(rotations), sizes, margins)
    counts = [len(x) for x in theirs]
    assert set(counts) >= ({1, 2, 4} if mujoco_version() >= (3, 12) else {1, 2, 4, 5})
    assert max(counts) <= BOX_CONTACTS
    assert [len(x) for x in found] == counts
    for one, two in zip(theirs, found, strict=True):
        assert np.abs(one[:, None] - two[None]).max(-1).min(1).max(initial=0) < 1e-9


def small_on_large(collide):
    """Contacts of boxes that overlap by 1 mm, are apart by 2 mm, and by 6 mm; the margin is 5."""
    sizes = np.array([[0.4, 0.4, 0.1], [0.02, 0.03, 0.01]])
    turns = np.stack([np.eye(3)] * 2)
    place = np.array([[[0.0, 0, 0], [0, 0, z]] for z in (0.109, 0.112, 0.116)])
    batch = (np.stack([x] * 3) for x in (turns, sizes, 0.005))
    return ours(collide, place, *batch)


def test_a_small_box_on_a_large_one_has_five_contacts_before_mujoco_312():
    collide = functools.partial(mjx_boxes.box_box, halved=True)
    overlapping, apart, away = small_on_large(collide)
    # The four corners of the small box, half of the depth, and a stray corner of the large one.
    np.testing.assert_allclose(overlapping[:, 0], -0.0005)
    corners = sorted((round(x, 6), round(y, 6)) for x, y in overlapping[:, 1:3])
    assert corners == [(-0.4, -0.4), (-0.02, -0.03), (-0.02, 0.03), (0.02, -0.03), (0.02, 0.03)]
    # Four, and the whole distance.
    np.testing.assert_allclose(apart[:, 0], [0.002] * 4)
    assert len(away) == 0
    full, *_ = small_on_large(functools.partial(mjx_boxes.box_box, halved=False))
    np.testing.assert_allclose(full[:, 0], -0.001)
    np.testing.assert_array_equal(full[:, 1:], overlapping[:, 1:])


def test_a_small_box_on_a_large_one_has_four_contacts_from_mujoco_312_on():
    overlapping, apart, away = small_on_large(mjx_box_clipping.box_box)
    for contacts, distance in ((overlapping, -0.001), (apart, 0.002)):
        np.testing.assert_allclose(contacts[:, 0], distance)
        corners = sorted((round(x, 6), round(y, 6)) for x, y in contacts[:, 1:3])
        assert corners == [(-0.02, -0.03), (-0.02, 0.03), (0.02, -0.03), (0.02, 0.03)]
        # Midway between the surface at 0.1 m and the small box's lower face.
        np.testing.assert_allclose(contacts[:, 3], 0.1 + distance / 2)
        np.testing.assert_allclose(contacts[:, 4:7], [[0, 0, 1]] * 4)
    assert len(away) == 0


def test_clipping_keeps_the_part_of_a_face_over_the_other_and_one_point_of_two_edges():
    collide = mjx_box_clipping.box_box
    # A square turned by 45 degrees over another, both of half extent 1: an octagon.
    turn = np.array([[1, -1, 0], [1, 1, 0], [0, 0, 2**0.5]]) / 2**0.5
    place = np.array([[0.0, 0, 0], [0, 0, 1.99]])
    # Two bars of square section on their edges, one along x and one along y, overlapping by 2 cm.
    bar_x = np.array([[2**0.5, 0, 0], [0, 1, -1], [0, 1, 1]]) / 2**0.5
    bar_y = np.array([[1, 0, -1], [0, 2**0.5, 0], [1, 0, 1]]) / 2**0.5
    over = np.array([[0.0, 0, 0], [0.3, 0.2, 2 * 2**0.5 * 0.1 - 0.02]])
    bars = np.array([[1.0, 0.1, 0.1], [0.1, 1.0, 0.1]])
    octagon, crossing = ours(
        collide,
        np.stack([place, over]),
        np.stack([np.stack([np.eye(3), turn]), np.stack([bar_x, bar_y])]),
        np.stack([np.ones((2, 3)), bars]),
        np.zeros(2),
    )
    t = 2**0.5 - 1
    expected = sorted((x * s, y * r) for x, y in ((1, t), (t, 1)) for s in (1, -1) for r in (1, -1))
    found = sorted((x, y) for x, y in octagon[:, 1:3])
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(octagon[:, 0], -0.01)
    assert len(crossing) == 1
    np.testing.assert_allclose(crossing[0, 0], -0.02)
    # The bars' axes cross over (0.3, 0); the lower one's edge lies 0.1 sqrt(2) above its axis.
    np.testing.assert_allclose(crossing[0, 1:4], [0.3, 0, 0.1 * 2**0.5 - 0.01], atol=1e-12)
    np.testing.assert_allclose(crossing[0, 4:7], [0, 0, 1], atol=1e-12)


def test_a_pair_has_the_margin_that_mujoco_gives_it():
    model = mujoco.MjModel.from_xml_string(SCENE.replace("size", 'margin="0.01" size', 1))
    model.geom_margin[1] = 0.02
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    data.geom_xpos[1, 2] = 2.005
    mujoco.mj_collision(model, data)
    margins = mjx_contacts._margins(mjx.put_model(model), np.array([[0, 1]]))
    np.testing.assert_allclose(margins, data.contact[0].includemargin)
