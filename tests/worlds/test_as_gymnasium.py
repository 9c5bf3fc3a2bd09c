"""Families as Gymnasium's environments, alone and as vectors."""

import itertools
import warnings
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from gmps.core.actors import Actor
from gmps.tasks import make_family
from gmps.worlds.as_gymnasium import as_gymnasium, as_gymnasium_vector
from gmps.worlds.factory import make_world


@pytest.mark.parametrize("name", ["point-goal", "sawyer-door", "ant-goal", "push-dynamics"])
def test_families_pass_gymnasiums_checker(name):
    with warnings.catch_warnings():
        # Positions have no bounds.
        warnings.filterwarnings("ignore", message=".*A Box observation space m.* value is")
        check_env(as_gymnasium(make_world(make_family(name))), skip_render_check=True)


@dataclass(frozen=True)
class Replay(Actor):
    """Plays `params`, one action for each number of the first observation's clock."""

    noise_size: ClassVar[int] = 0
    act: tuple[float, ...] = ()

    def __call__(self, params, task, obs, noise):
        return jnp.array(self.act), jnp.zeros(())


@pytest.mark.parametrize(
    ("name", "act"), [("sawyer-push", (0.2, 1.0, 0.1)), ("push-dynamics", (0.0, 1.0, 0.0))]
)
def test_a_vector_of_environments_equals_a_world(name, act):
    family = make_family(name)
    world, tasks = make_world(family), family.tasks("heldout", 3)
    envs = as_gymnasium_vector(world, 3, tasks)
    expected = world.rollout(Replay(act), jnp.zeros(3), tasks, 1, jax.random.key(0))
    obs, _ = envs.reset(seed=0)
    steps = expected.trajectories
    for t in range(family.spec.horizon):
        assert np.array_equal(obs, np.asarray(steps.obs)[:, 0, t])
        obs, reward, terminated, truncated, infos = envs.step(np.tile(act, (3, 1)))
        np.testing.assert_allclose(reward, steps.reward[:, 0, t], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(infos["reach"], expected.terms["reach"][:, 0, t], rtol=1e-5)
        assert not terminated.any()
        assert truncated.all() == (t == family.spec.horizon - 1)
    # The step after the end starts anew, whatever the action.
    obs, reward, terminated, truncated, infos = envs.step(np.tile(act, (3, 1)))
    assert np.array_equal(obs, np.asarray(steps.obs)[:, 0, 0])
    assert not reward.any() and not truncated.any() and not infos["_reach"].any()


def test_sensors_reach_the_reward_of_an_environment():
    family = make_family("ant-goal")
    world, tasks = make_world(family), family.tasks("train", 2)
    envs = as_gymnasium_vector(world, 2, tasks)
    obs, _ = envs.reset(seed=1)
    for _ in range(3):
        obs, reward, *_, infos = envs.step(np.zeros((2, 8)))
    # Standing: the centre of mass is close to the torso.
    expected = 4.05 - np.abs(obs[:, :2] - np.asarray(tasks)).sum(1)
    np.testing.assert_allclose(reward, expected, atol=0.05)
    assert set(infos) >= {"goal", "offset", "alive", "control"}


def test_each_episode_of_an_environment_has_a_new_task():
    envs = as_gymnasium_vector(make_world(make_family("point-goal")), 4)
    rewards = []
    for seed in (0, 0, 1):
        envs.reset(seed=seed)
        rewards.append(envs.step(np.zeros((4, 2)))[1])
        horizon = envs.family.spec.horizon
    assert np.array_equal(rewards[0], rewards[1])
    assert not np.isclose(rewards[0], rewards[2]).all()
    tasks = []
    for _ in itertools.repeat(None, 2 * (horizon + 1)):
        envs.step(np.zeros((4, 2)))
        tasks.append(np.asarray(envs._tasks))
    assert len(np.unique(np.array(tasks).reshape(-1, 2), axis=0)) == 12
    with pytest.raises(ValueError, match="tasks need a leading axis of num_envs = 3"):
        as_gymnasium_vector(make_world(make_family("point-goal")), 3, jnp.zeros((2, 2)))


def test_a_new_task_brings_a_new_model():
    envs = as_gymnasium_vector(make_world(make_family("push-dynamics")), 2)
    push, reached = np.tile([0.0, 1.0, 0.0], (2, 1)), []
    envs.reset(seed=3)
    for _ in range(3):
        for _ in range(envs.family.spec.horizon):
            obs, *_, truncated, _ = envs.step(push)
        assert truncated.all()
        reached.append(obs[:, 4])
        envs.step(push)
    # The block ends elsewhere with every friction and mass.
    assert len(np.unique(np.round(reached, 5))) > 4
