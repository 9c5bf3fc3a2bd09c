"""In-context adaptation: what is remembered, and what is read from it."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmps.core.types import Trajectories, stack
from gmps.experts.base import ExpertActor, label
from gmps.methods.in_context import ContextPolicy, InContext, tokens_of
from gmps.methods.in_context_settings import InContextConfig
from gmps.methods.latent import LatentPolicy
from gmps.tasks import make_family
from gmps.worlds.factory import make_world

QUICK = InContextConfig(
    latent=2, episodes=4, hidden=(8,), segments=2, width=8, layers=1, remembered=5,
    pretrain_steps=2, outer_steps=2, labels=10, capacity=100, visit_episodes=1, own_episodes=1,
)  # fmt: skip


@pytest.fixture(scope="module")
def started() -> tuple[InContext, Any, Trajectories]:
    """A method, a state whose reader reads something, and six episodes of each of two tasks."""
    world = make_world(make_family("point-goal"))
    tasks, expert = world.family.tasks("train", 2), world.family.expert
    assert expert is not None
    roll = world.rollout(ExpertActor(expert, 2), jnp.full(2, 0.3), tasks, 6, jax.random.key(9))
    method = InContext(QUICK, world, tasks, expert)
    state = method.init(jax.random.key(0), label(expert, tasks, roll.trajectories))
    reader = state.params.advantage
    leave = jax.random.normal(jax.random.key(1), reader.leave.shape)
    params = state.params._replace(advantage=replace(reader, leave=leave))
    held = jax.random.normal(jax.random.key(2), (2, 6, 2))
    return method, state._replace(params=params), roll.trajectories._replace(held=held)


def some(data: Trajectories, first: int, last: int) -> Trajectories:
    return jax.tree.map(lambda x: x[:, first:last], data)


def test_the_context_grows_and_forgets_the_oldest(started):
    method, state, data = started
    policies = stack(method.policy(state), 2)
    first = method.adapt(state, policies, some(data, 0, 2))
    assert isinstance(first, ContextPolicy)
    np.testing.assert_array_equal(first.known, [2, 2])
    tokens = tokens_of(state, data, data.held)
    np.testing.assert_allclose(first.context[:, :2], tokens[:, :2], atol=1e-5)
    assert not np.asarray(first.context[:, 2:]).any()
    second = method.adapt(state, first, some(data, 2, 6))
    np.testing.assert_array_equal(second.known, [5, 5])
    # Two and four are one more than fits: the first is gone. The latents of later episodes are told
    # as they were, about the mean and with the deviation of their policy.
    np.testing.assert_allclose(second.context[:, 0], first.context[:, 1], atol=1e-6)
    mean, log_std = (x[:, None] for x in first.latent)
    z = mean + jnp.exp(log_std) * data.held[:, 2:]
    np.testing.assert_allclose(second.context[:, 1:, 0, -2:], z, atol=1e-5)
    np.testing.assert_allclose(second.latent.log_std, 2 * np.log(0.5), rtol=1e-6)


def test_what_is_read_does_not_depend_on_the_room_that_is_left(started):
    method, state, data = started
    policies = stack(method.policy(state), 2)
    adapted = method.adapt(state, policies, some(data, 0, 3))
    tokens = tokens_of(state, some(data, 0, 3), data.held[:, :3])
    read = jax.vmap(state.params.advantage)(tokens)
    np.testing.assert_allclose(adapted.latent.mean, read[:, -1], atol=1e-5)
    assert np.abs(read[:, -1] - read[:, 0]).max() > 1e-2
    # Updates are compared by what acts, not by what was read.
    acts = method.acting(adapted)
    assert type(acts) is LatentPolicy
    np.testing.assert_array_equal(acts.latent.mean, adapted.latent.mean)


def test_tokens_by_hand(started):
    method, state, data = started
    del method
    head, scale = state.params.net.head, state.scale
    obs = jnp.ones_like(data.obs).at[..., 0].set(jnp.arange(20.0))
    reward = jnp.ones_like(data.reward)
    alive = jnp.ones_like(data.alive).at[:, 0, 15:].set(False)
    data = data._replace(obs=obs, act=3 * jnp.ones_like(data.act), reward=reward, alive=alive)
    token = tokens_of(state, data, data.held)[0, 0]
    # Steps 0 to 9 and, as it ends there, 10 to 14: mean observations 4.5 and 12.
    x = (np.array([4.5, 12.0]) - head.obs_mean[0]) / head.obs_std[0]
    np.testing.assert_allclose(token[:, 0], x, rtol=1e-4)
    np.testing.assert_array_equal(token[:, 2:4], np.ones((2, 2)))
    centred = 10 - np.asarray(scale.mean)
    np.testing.assert_allclose(token[:, 4], centred / scale.std, rtol=1e-5)
    np.testing.assert_allclose(token[:, 5], np.cumsum(centred) / scale.return_std, rtol=1e-5)
    np.testing.assert_allclose(token[:, 6], [1, 0.5])
    np.testing.assert_array_equal(token[:, 7:], jnp.tile(data.held[0, 0], (2, 1)))


def test_what_does_not_fit_is_refused_in_a_sentence(started):
    method, state, _ = started
    with pytest.raises(ValueError, match=r"^width is 9; it must be a multiple of heads, 2\.$"):
        InContextConfig(width=9)
    with pytest.raises(ValueError, match=r"^A run of in-context cannot be exported: gmps.deploy"):
        method.deployed(state)
