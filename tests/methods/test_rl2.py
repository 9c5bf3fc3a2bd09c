"""RL2: what it remembers in a world is what is read from its episodes, and trials in a row."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmps.core.dist import gaussian_log_prob
from gmps.core.types import Trajectories, stack
from gmps.metaworld.harness import HarnessAgent
from gmps.methods.recurrent import in_a_row, states_of
from gmps.methods.rl2 import Rl2
from gmps.methods.rl2_settings import Rl2Config
from gmps.tasks import make_family
from gmps.worlds.base import Draws
from gmps.worlds.factory import make_world

SMALL = Rl2Config(episodes=2, trials=1, memory=4, hidden=(6,))


def started(family: str) -> tuple[Rl2, Any]:
    world = make_world(make_family(family), 1)
    method = Rl2(SMALL, world, world.family.tasks("train", 2))
    return method, method.init(jax.random.key(0), None)  # pyright: ignore[reportArgumentType]


# The ant's rewards are read from a sensor, which a world reads once more for an actor that is told.
@pytest.mark.parametrize("family", ["point-goal", "ant-goal"])
def test_an_actor_is_told_each_reward_at_once(family: str):
    method, state = started(family)
    world, tasks, spec = method.world, method.tasks, method.world.family.spec
    starts = jax.vmap(world.family.reset)(jax.random.split(jax.random.key(1)), tasks)
    starts = jax.tree.map(lambda x: x[:, None], starts)
    noise = jax.random.normal(jax.random.key(2), (2, 1, 4, spec.act_size))
    policies = stack(method.policy(state), 2)
    data = world.rollout(method.actor(), policies, tasks, 1, Draws(starts, noise)).trajectories
    assert np.abs(data.reward).min() > 1e-3
    trial = in_a_row(data)
    states, _ = states_of(state.net, policies.memory, trial)
    means = state.net.head.means(jnp.concatenate([trial.obs, states], -1))
    density = gaussian_log_prob(trial.act, means, state.net.head.floored_log_std)
    np.testing.assert_allclose(density, data.log_prob[:, 0], atol=1e-4)
    # It matters: without the rewards its states are others.
    blind, _ = states_of(state.net, policies.memory, trial._replace(reward=0 * trial.reward))
    assert np.abs(blind - states)[:, 1:].max() > 1e-3


def episodes(alive: list[list[bool]]) -> Trajectories:
    lives = jnp.array([alive])
    count = jnp.arange(lives.size, dtype=jnp.float32).reshape(lives.shape)
    return Trajectories(
        obs=count[..., None],
        act=count[..., None],
        reward=count,
        log_prob=count,
        alive=lives,
        last_obs=jnp.zeros((*lives.shape[:2], 1)),
        terminated=jnp.zeros(lives.shape[:2], bool),
        held=jnp.zeros((*lives.shape[:2], 0)),
    )


def test_a_trial_is_the_living_steps_of_its_episodes_in_a_row():
    trial = in_a_row(episodes([[True, True, False], [True, True, True]]))
    np.testing.assert_array_equal(trial.alive, [[True] * 5 + [False]])
    np.testing.assert_array_equal(trial.reward[0, :5], [0, 1, 3, 4, 5])
    np.testing.assert_array_equal(trial.over[0], [0, 1, 0, 0, 1, 0])


def test_the_memory_is_of_the_last_living_step():
    method, state = started("point-goal")
    data = episodes([[True, True, False], [True, False, False]])
    data = data._replace(obs=jnp.tile(data.obs, 2), act=jnp.tile(data.act / 10, 2))
    policies = stack(method.policy(state), 1)
    memory = method.adapt(state, policies, data).memory
    # Step 3 of 0 to 5, and its episode is over.
    np.testing.assert_allclose(memory.act, [[0.3, 0.3]], rtol=1e-6)
    np.testing.assert_array_equal([memory.reward, memory.over, memory.begun], [[3], [1], [1]])
    assert not np.asarray(policies.memory.state).any()
    assert np.abs(memory.state).max() > 1e-3


def test_meta_worlds_harness_and_export_are_refused_in_a_sentence():
    method, state = started("point-goal")
    with pytest.raises(ValueError, match=r"^Rl2 acts on the rewards of its present episode, which"):
        HarnessAgent(method, state, 1, 0, 20, 2)
    with pytest.raises(ValueError, match=r"^A policy of rl2 cannot be exported: gmps.deploy"):
        method.deployed(state)
