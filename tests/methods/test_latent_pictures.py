"""GMPS with a latent from pictures: the same method; the convolutions learn from labels alone."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_render import needs_gl

from gmps.core.types import Shared, stack
from gmps.experts.base import ExpertActor, label
from gmps.methods.base import policy_actor
from gmps.methods.gmps_latent import GmpsLatent
from gmps.methods.gmps_latent_settings import GmpsLatentConfig
from gmps.tasks import make_family
from gmps.worlds.base import Draws
from gmps.worlds.factory import make_world

CONFIG = GmpsLatentConfig(
    latent=2, episodes=4, hidden=(16,), advantage_hidden=4, pretrain_steps=5, outer_steps=2,
    labels=8, capacity=60, visit_episodes=1, own_episodes=1, std=0.1,
)  # fmt: skip
pytestmark = needs_gl


@pytest.fixture(scope="module")
def trained():
    """A method, and its states and metrics before and after a round."""
    world = make_world(make_family("sawyer-push-vision"), 2)
    tasks, expert = world.family.tasks("train", 2), world.family.expert
    roll = world.rollout(ExpertActor(expert, 3), jnp.full(2, 0.3), tasks, 1, jax.random.key(1))
    demos = label(expert, tasks, roll.trajectories)
    method = GmpsLatent(CONFIG, world, tasks, expert)
    start = method.init(jax.random.key(0), demos)
    state, gathered = method.gather(start, jax.random.key(1))
    state, metrics = method.update(state, gathered, jax.random.key(2))
    return method, start, state, {**gathered.metrics, **metrics}


def test_a_round_moves_the_convolutions_and_keeps_frames(trained):
    _, start, state, metrics = trained
    assert np.isfinite([float(x) for x in metrics.values()]).all()
    assert state.data.frames.shape == (2, 50 + CONFIG.capacity, 48, 64, 3)
    assert state.data.frames.dtype == jnp.uint8
    moved = jax.tree.map(
        lambda a, b: float(jnp.abs(a - b).max()), start.params.net.encoder, state.params.net.encoder
    )
    assert min(jax.tree.leaves(moved)) > 0
    np.testing.assert_array_equal(start.params.net.action_std, state.params.net.action_std)


def test_the_inner_step_moves_the_latent_alone(trained):
    method, _, state, _ = trained
    before = stack(method.policy(state), 2)
    data = method.world.rollout(
        method.actor(), before, method.tasks, 4, jax.random.key(3)
    ).trajectories
    np.testing.assert_allclose(data.held.mean(1), 0, atol=1e-6)
    after = method.adapt(state, before, data)
    assert eqx.tree_equal(after.net, before.net)
    assert np.abs(np.asarray(after.latent.mean)).min() > 0


def test_the_actor_at_a_latent_is_the_exported_policy(trained):
    method, _, state, _ = trained
    policy = method.policy(state)
    policy = eqx.tree_at(lambda p: p.latent.mean, policy, jnp.array([0.7, -0.4]))
    actor, family = method.actor(stochastic=False), method.world.family
    assert actor.needs_frames
    start = family.reset(jax.random.key(0), method.tasks[0])
    starts = jax.tree.map(lambda x: jnp.stack([x, x])[:, None], start)
    draws = Draws(starts, jnp.zeros((2, 1, 3, actor.noise_size)))
    latent = method.world.rollout(actor, Shared(policy), method.tasks, 1, draws)
    plain = policy_actor(family, stochastic=False)
    draws = Draws(starts, jnp.zeros((2, 1, 3, plain.noise_size)))
    exported = stack(policy.export(), 2)
    alone = method.world.rollout(plain, exported, method.tasks, 1, draws)
    np.testing.assert_allclose(latent.trajectories.act, alone.trajectories.act, atol=1e-5)
    assert np.abs(latent.trajectories.act).max() > 0
