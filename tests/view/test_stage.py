"""What is drawn: bodies at their places, copies beside each other, clicks that meet the plane."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmps.experts.base import ExpertActor
from gmps.tasks import make_family
from gmps.view.layout import FOV, layout, pick
from gmps.view.stage import between, make_stage
from gmps.worlds.factory import make_world


def stage_and_rollout(name):
    family = make_family(name)
    tasks = family.tasks("heldout", 2)
    actor = ExpertActor(family.expert, family.spec.act_size)
    rollout = make_world(family, 1).rollout(actor, jnp.zeros(1), tasks[:1], 1, jax.random.key(0))
    return make_stage(family, family.tasks("heldout")), tasks[0], rollout


def test_bodies_of_a_model_are_where_the_states_say():
    stage, task, rollout = stage_and_rollout("sawyer-push")
    poses = stage.poses(task, rollout)
    names = [stage.family.model().body(i).name for i in range(poses.shape[1])]
    states = np.asarray(rollout.states.qpos)[0, 0]
    assert np.allclose(poses[:, names.index("hand"), :3], states[:, :3], atol=1e-5)
    assert np.allclose(poses[:, names.index("block"), :3], states[:, 3:6], atol=1e-5)
    assert np.allclose(np.linalg.norm(poses[..., 3:], axis=-1), 1, atol=1e-5)
    assert {part.body for part in stage.parts} >= {0, names.index("block")}
    # Of the table, which is 0.8 m wide and 1 m high, the part that matters is drawn.
    table = next(part for part in stage.parts if part.body == 0)
    assert np.ptp(table.vertices, axis=0).max() < 0.7
    assert table.vertices[:, 2].max() == 0
    assert (stage.goal(task)[:2] > stage.low).all() and (stage.goal(task)[:2] < stage.high).all()


def test_points_of_a_family_without_a_model_are_drawn_as_discs():
    stage, task, rollout = stage_and_rollout("point-goal")
    poses = stage.poses(task, rollout)
    assert poses.shape == (21, 2, 7)  # the point, and the floor
    assert np.allclose(poses[:, 0, :2], np.asarray(rollout.paths["point"])[0, 0])
    assert np.allclose(stage.goal(task), [1.0, 0.0, 0.0])
    assert stage.height == 0


def test_between_two_states():
    half = np.sqrt(0.5)
    poses = np.array(
        [[[0, 0, 0, 1, 0, 0, 0]], [[2, 4, 0, -half, 0, 0, -half]]], np.float32
    )  # a quarter turn about z, written with the other sign
    assert np.allclose(between(poses, -1.0), poses[0])
    middle = between(poses, 0.5)[0]
    assert np.allclose(middle[:3], [1, 2, 0])
    eighth = np.pi / 8
    assert np.allclose(np.abs(middle[3:]), [np.cos(eighth), 0, 0, np.sin(eighth)], atol=1e-6)
    assert np.allclose(np.abs(between(poses, 7.0)), np.abs(poses[1]))


@pytest.mark.parametrize(("aspect", "free"), [(0.46, 1.0), (0.46, 0.4), (1.6, 1.0)])
@pytest.mark.parametrize("rows", [[1], [2], [3, 3]])
def test_all_copies_are_within_the_picture_and_apart(rows, aspect, free):
    stage, *_ = stage_and_rollout("sawyer-push")
    found = layout(stage, rows, aspect, free)
    assert len(found.offsets) == sum(rows)
    back = (found.position - found.lookat) / np.linalg.norm(found.position - found.lookat)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    up = np.cross(back, right)
    (x0, y0), (x1, y1) = stage.low, stage.high
    corners = np.array([[x, y, stage.height] for x in (x0, x1) for y in (y0, y1)])
    seen = (found.offsets[:, None] + corners).reshape(-1, 3) - found.position
    depth = -(seen @ back)
    assert (depth > 0).all()
    # From -1, the lower edge, to 1; below `1 - 2 free` there are controls.
    height = seen @ up / (depth * np.tan(FOV / 2))
    assert (height < 1).all() and (height > 1 - 2 * free - 0.02).all()
    assert (np.abs(seen @ right) < depth * np.tan(FOV / 2) * aspect).all()
    gaps = found.offsets[:, None] - found.offsets[None]
    apart = np.linalg.norm(gaps, axis=-1) + np.eye(len(found.offsets))
    assert apart.min() > 0.9 * min(x1 - x0, y1 - y0)


def test_a_click_is_a_point_of_the_copy_that_it_meets():
    stage, *_ = stage_and_rollout("point-goal")
    offsets = layout(stage, [2], 1.6).offsets
    target = np.array([0.5, 0.25, 0.0])
    for offset in offsets:
        eye = np.array([0.3, -2.0, 3.0])
        found = pick(stage, offsets, eye, target + offset - eye)
        assert found == pytest.approx([0.5, 0.25])
    assert pick(stage, offsets, np.array([0.0, 0.0, 3.0]), np.array([0.0, 0.0, 1.0])) is None
    assert pick(stage, offsets, np.array([0.0, 0.0, 3.0]), np.array([1.0, 0.0, 0.0])) is None
    assert pick(stage, offsets, np.array([90.0, 0.0, 3.0]), np.array([0.0, 0.0, -1.0])) is None
