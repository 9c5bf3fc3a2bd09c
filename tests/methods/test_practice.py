from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from core_problems import array
from gmps.core.nets import GaussianPolicy, init_head
from gmps.core.types import Trajectories
from gmps.methods.practice import CLIP, WORST, Practice, practice_loss, practised

KEY = jax.random.key(0)


def episodes(reward: jax.Array, alive: jax.Array) -> Trajectories:
    shape = reward.shape
    zero = jnp.zeros(shape)
    obs = jnp.where(alive[..., None], 0.5, jnp.nan)
    return Trajectories(
        obs, zero[..., None], reward, zero, alive, obs[:, :, -1], alive[:, :, -1], zero[:, :, :0]
    )


def test_advantages_by_hand():
    # Returns to come: 5, 3, 1 and 1, 1, 1; around their means 3, 2, 1: 2, 1, 0 and -2, -1, 0.
    reward = array([[[2.0, 2.0, 1.0], [0.0, 0.0, 1.0]]])
    found = practised(episodes(reward, jnp.ones((1, 2, 3), bool)), 1.0)
    wanted = np.array([2, 1, 0, -2, -1, 0]) / np.sqrt(10 / 6)
    np.testing.assert_allclose(found.advantage, [wanted], rtol=1e-6)
    assert found.obs.shape == (1, 6, 1)
    # Discounted by a half: 3.25, 2.5, 1 and 0.25, 0.5, 1.
    found = practised(episodes(reward, jnp.ones((1, 2, 3), bool)), 0.5)
    wanted = np.array([1.5, 1, 0, -1.5, -1, 0])
    np.testing.assert_allclose(found.advantage, [wanted / np.sqrt(6.5 / 6)], rtol=1e-6)


def test_an_episode_that_ended_earns_nothing_more():
    # To come: 2, 1 and 1, 0, whatever stands behind the end; the living steps deviate by sqrt(1/4).
    reward = array([[[1.0, 1.0], [1.0, 7.0]]])
    alive = jnp.asarray([[[True, True], [True, False]]])
    found = practised(episodes(reward, alive), 1.0)
    np.testing.assert_allclose(found.advantage, [[1, 1, -1, 0]], rtol=1e-6)
    assert np.isfinite(found.obs).all()
    # Equal episodes say nothing, and no deviation of 0 divides.
    same = practised(episodes(jnp.ones((1, 2, 2)), jnp.ones((1, 2, 2), bool)), 1.0)
    assert not np.asarray(same.advantage).any()


def policy() -> GaussianPolicy:
    return init_head(KEY, 2, 1, hidden=(8,), bias_size=2, std=0.5)


def density(net: GaussianPolicy):
    """Log densities of each task's actions at its latent."""
    return jax.vmap(lambda z, o, a: jax.vmap(replace(net, bias_transform=z).log_prob)(o, a))


def drawn_from(net: GaussianPolicy, z: jax.Array, advantage: jax.Array) -> Practice:
    obs = jax.random.normal(jax.random.key(1), (*advantage.shape, 2))
    act = jax.random.normal(jax.random.key(2), (*advantage.shape, 1))
    log_prob = jax.vmap(lambda z, o, a: jax.vmap(replace(net, bias_transform=z).log_prob)(o, a))(
        z, obs, act
    )
    return Practice(obs, act, log_prob, advantage, jnp.ones(advantage.shape, bool))


def test_on_its_own_steps_it_is_the_policy_gradient():
    net, z = policy(), array([[0.3, -0.2], [1.0, 0.5]])
    practice = drawn_from(net, z, jax.random.normal(jax.random.key(3), (2, 4)))
    key, n = jax.random.key(4), 50

    def likelihood(z: jax.Array) -> jax.Array:
        row = jax.random.randint(key, (2, n), 0, 4)
        take = jax.vmap(lambda x, row: x[row])
        log_prob = density(net)(z, take(practice.obs, row), take(practice.act, row))
        return -(log_prob * take(practice.advantage, row)).mean()

    np.testing.assert_allclose(
        jax.grad(lambda z: practice_loss(net, z, practice, n, key))(z),
        jax.grad(likelihood)(z),
        rtol=1e-4,
        atol=1e-6,
    )


def test_likelihoods_that_moved_far_enough_no_longer_pay():
    net, z = policy(), array([[0.3, -0.2]])
    better = drawn_from(net, z, jnp.ones((1, 3)))
    # Actions already half as likely again: the gain is that of the bound, and there is no slope.
    moved = better._replace(log_prob=better.log_prob - jnp.log(1.5))
    loss = lambda z: practice_loss(net, z, moved, 20, KEY)  # noqa: E731
    np.testing.assert_allclose(loss(z), -(1 + CLIP), rtol=1e-5)
    assert not np.asarray(jax.grad(loss)(z)).any()
    # Dead steps count for nothing: neither here nor in the mean.
    dead = moved._replace(alive=jnp.zeros((1, 3), bool))
    assert float(practice_loss(net, z, dead, 20, KEY)) == 0


@pytest.mark.parametrize(("ratio", "wanted", "slopes"), [(2.0, 2.0, True), (5.0, WORST, False)])
def test_a_worse_action_that_became_far_likelier_is_bounded(ratio, wanted, slopes):
    net, z = policy(), array([[0.3, -0.2]])
    worse = drawn_from(net, z, -jnp.ones((1, 3)))
    moved = worse._replace(log_prob=worse.log_prob - jnp.log(ratio))
    loss = lambda z: practice_loss(net, z, moved, 20, KEY)  # noqa: E731
    np.testing.assert_allclose(loss(z), wanted, rtol=1e-5)
    assert np.asarray(jax.grad(loss)(z)).any() == slopes
