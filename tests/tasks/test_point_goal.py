import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmps.core.actors import Actor
from gmps.tasks.point_goal import HELDOUT_INDICES, PointGoal
from gmps.worlds.factory import make_world


class ExpertActor(Actor):
    """The scripted expert scaled by `params`."""

    noise_size = 0

    def __call__(self, params, task, obs, noise):
        return params * PointGoal().expert(task, obs), jnp.zeros(())


EXPERT = ExpertActor()


def run(scale, goals, **options):
    params = jnp.full(len(goals), scale)
    world = make_world(PointGoal(**options))
    return world.rollout(EXPERT, params, jnp.asarray(goals), 3, jax.random.key(0))


def test_known_levels_without_start_noise():
    goals = jnp.array([[1.0, 0.0]])
    expert, still = (run(scale, goals, start_noise=0.0) for scale in (1.0, 0.0))
    np.testing.assert_allclose(expert.trajectories.returns, -4.5, atol=1e-4)
    np.testing.assert_allclose(still.trajectories.returns, -20, atol=1e-4)
    np.testing.assert_allclose(expert.paths["point"][0, 0, :11, 0], np.arange(11) / 10, atol=1e-6)
    assert expert.outcome["success"].all()
    assert not still.outcome["success"].any()


def test_expert_solves_every_published_task():
    goals = jnp.concatenate([PointGoal().tasks("train"), PointGoal().tasks("heldout")])
    out = run(1.0, goals)
    assert out.outcome["success"].all()
    assert out.outcome["final_error"].max() < 1e-4
    # The start is noisy, observed, and all that is.
    steps = out.trajectories
    assert steps.obs.shape == (24, 3, 20, 2)
    assert 0.007 < steps.obs[:, :, 0].std() < 0.013
    np.testing.assert_allclose(steps.last_obs, jnp.repeat(goals[:, None], 3, 1), atol=1e-4)


def test_task_lists_cover_the_arc_and_do_not_overlap():
    family = PointGoal()
    train, heldout = family.tasks("train"), family.tasks("heldout")
    assert train.shape == (16, 2)
    assert heldout.shape == (len(HELDOUT_INDICES), 2)
    np.testing.assert_allclose(heldout[jnp.array([0, -1])], [[1, 0], [-1, 0]], atol=1e-6)
    angles = np.degrees(np.arctan2(train[:, 1], train[:, 0]))
    np.testing.assert_allclose(angles[:3], np.array([1, 2, 4]) * 180 / 23, rtol=1e-5)
    gaps = np.linalg.norm(np.asarray(train)[:, None] - np.asarray(heldout)[None], axis=-1)
    assert gaps.min() > 0.1
    assert family.tasks("train", 5).shape == (5, 2)
    assert np.array_equal(family.tasks("train", 1), train[:1])
    assert np.array_equal(family.context(train[3]), train[3])
    assert family.describe(heldout[-1]) == "180 deg"


def test_random_tasks_lie_on_the_arc():
    goals = PointGoal().tasks("heldout", 100, jax.random.key(1))
    np.testing.assert_allclose(np.linalg.norm(goals, axis=1), 1, rtol=1e-6)
    assert goals[:, 1].min() >= 0
    assert not np.array_equal(goals, PointGoal().tasks("heldout", 100, jax.random.key(2)))


def test_more_tasks_than_published_are_refused():
    with pytest.raises(
        ValueError, match="point-goal: asked for 17 published tasks, but this split"
    ):
        PointGoal().tasks("train", 17)
    with pytest.raises(ValueError, match="asked for 0 published tasks"):
        PointGoal().tasks("heldout", 0)
