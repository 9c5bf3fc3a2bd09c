"""MAESN: the latent alone adapts, the meta-gradient, and a bandit whose sign is the task."""

import re
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from jaxtyping import Array
from test_maml import SignBandit

from core_problems import ACT, BIAS, OBS, array, quick_jit, random_batch, random_policy
from gmps.core.encoders import Identity
from gmps.core.losses import InnerBatch, log_probs
from gmps.core.policy import Policy
from gmps.core.surrogates import ratio_loss
from gmps.core.trust_region_settings import TrustRegionConfig
from gmps.core.types import Demonstrations, stack
from gmps.methods.latent import (
    Latent,
    LatentActor,
    LatentPolicy,
    given_noise,
    prior,
    prior_kl,
)
from gmps.methods.maesn import LOG_STD_RANGE, Maesn, MaesnParams, adapted, inner_step, learned
from gmps.methods.maesn_settings import MaesnConfig
from gmps.methods.outer import trpo_step
from gmps.presets import preset
from gmps.tasks import make_family
from gmps.worlds.factory import make_world


def random_latents(seed: int, *shape: int) -> Latent:
    rng = np.random.default_rng(seed)
    return Latent(array(rng.normal(size=shape)), array(0.3 * rng.normal(size=shape)))


def latent_policy(seed: int = 0) -> LatentPolicy:
    return LatentPolicy(Policy(Identity(), random_policy(seed)), random_latents(seed + 10, BIAS))


def test_z_stands_behind_the_observation():
    # By hand: s = (1, 2, 3), e = (0.5, -1), so z = (1 + 2 * 0.5, -1 + 0.5 * -1) = (2, -1.5).
    latent = Latent(array([1.0, -1.0]), array(np.log([2.0, 0.5])))
    policy = LatentPolicy(Policy(Identity(), random_policy(0)), latent)
    want = replace(policy.net.head, bias_transform=array([2.0, -1.5]))(array([1.0, 2.0, 3.0]))
    given = policy.given_noise()
    got = given(array([1.0, 2.0, 3.0, 0.5, -1.0]))
    assert given.bias_transform.shape == (0,)
    np.testing.assert_allclose(got[0], want[0], atol=1e-5)
    np.testing.assert_allclose(got[1], want[1])
    # At e = 0 it is the policy that is handed on.
    mean, _ = policy.export()(array([1.0, 2.0, 3.0]))
    np.testing.assert_allclose(given(array([1.0, 2.0, 3.0, 0.0, 0.0]))[0], mean, atol=1e-5)


def test_the_actor_takes_means_without_noise():
    policy, obs = latent_policy(), array([0.1, -0.2, 0.3])
    noise = array([1.0, -2.0, 0.7, 0.4])
    act, density = LatentActor(ACT, BIAS)(policy, None, obs, noise)
    mean, log_std = policy.given_noise()(jnp.concatenate([obs, noise[:BIAS]]))
    np.testing.assert_allclose(act, mean + jnp.exp(log_std) * noise[BIAS:], atol=1e-5)
    np.testing.assert_allclose(
        density, -0.5 * (noise[BIAS:] ** 2 + np.log(2 * np.pi)).sum() - log_std.sum(), rtol=1e-5
    )
    quiet, _ = LatentActor(ACT, BIAS, stochastic=False)(policy, None, obs, noise)
    np.testing.assert_allclose(quiet, policy.export()(obs)[0], atol=1e-5)


def test_the_recorded_noise_is_the_one_that_acted():
    world = make_world(make_family("point-goal"))
    tasks = world.family.tasks("train", 3)
    method = Maesn(MaesnConfig(hidden=(8,), latent=3), world, tasks)
    state = method.init(jax.random.key(0), NOTHING)
    policies = LatentPolicy(stack(method.policy(state).net, 3), state.params.latents)
    data = world.rollout(method.actor(), policies, tasks, 4, jax.random.key(1)).trajectories
    assert data.held.shape == (3, 4, 3)
    assert len(np.unique(np.asarray(data.held))) == data.held.size
    batch = method._batch(data)
    assert np.array_equal(batch.obs[:, :, 0, -3:], data.held)
    density = jax.vmap(lambda p, b: log_probs(p.given_noise(), b.obs, b.act))(policies, batch)
    alive = np.asarray(data.alive)
    np.testing.assert_allclose(density[alive], data.log_prob[alive], atol=1e-4)


def test_the_kl_to_the_prior_by_hand():
    # 1/2 (s^2 + m^2 - 1 - log s^2): m = 1, s = 1 gives 1/2; m = 0, s = e gives (e^2 - 3) / 2.
    latent = Latent(jnp.asarray([1.0, 0.0]), jnp.asarray([0.0, 1.0]))
    assert float(prior_kl(latent)) == pytest.approx(0.5 + (np.e**2 - 3) / 2)
    assert float(prior_kl(prior(4))) == 0.0


def problem() -> tuple[MaesnParams, InnerBatch, InnerBatch]:
    """Parameters near those that collected, and batches of two tasks before and after."""
    collector = replace(latent_policy(0).given_noise(), obs_mean=array(np.zeros(OBS + BIAS)))
    sizes = random_latents(3, BIAS)
    params = MaesnParams(
        random_policy(4), random_latents(5, 2, BIAS), jax.tree.map(lambda x: 0.3 + x**2, sizes)
    )
    return params, noisy_batch(1, collector), noisy_batch(2, collector)


def noisy_batch(seed: int, collector: Any) -> InnerBatch:
    """A random batch whose observations end with the noise of their episode."""
    batch = random_batch(seed, random_policy(0))
    noise = np.random.default_rng(seed).normal(size=(*batch.alive.shape[:2], 1, BIAS))
    noise = np.broadcast_to(noise, (*batch.alive.shape, BIAS))
    batch = batch._replace(obs=jnp.concatenate([batch.obs, array(noise)], -1))
    density = jax.vmap(lambda b: log_probs(collector, b.obs, b.act))(batch)
    return batch._replace(log_prob=density)


@pytest.mark.usefixtures("x64")
def test_the_meta_gradient_against_central_differences():
    config = MaesnConfig()
    params, before, after = problem()
    free, fixed = eqx.partition(params, learned(params, config))
    vector, unravel = ravel_pytree(free)

    def loss(x: Array) -> Array:
        params = eqx.combine(unravel(x), fixed)
        surrogate = jax.vmap(ratio_loss)(adapted(params, before), after).mean()
        return surrogate + 0.1 * jax.vmap(prior_kl)(params.latents).mean()

    value, gradient = quick_jit(loss), quick_jit(jax.grad(loss))(vector)
    parts = unravel(gradient)
    assert all(jnp.abs(x).max() > 1e-6 for x in jax.tree.leaves((parts.latents, parts.step_sizes)))
    rng, size = np.random.default_rng(0), 1e-6
    for _ in range(5):
        v = array(rng.normal(size=vector.shape))
        slope = (value(vector + size * v) - value(vector - size * v)) / (2 * size)
        assert float(gradient @ v) == pytest.approx(float(slope), rel=1e-5)


@pytest.mark.usefixtures("x64")
def test_the_inner_step_moves_the_latent_alone():
    params, before, _ = problem()
    latents = quick_jit(
        jax.vmap(lambda latent, batch: inner_step(params.net, latent, params.step_sizes, batch))
    )(params.latents, before)
    # Along the gradient of the surrogate, by central differences in the first task.
    size = 1e-6
    batch = jax.tree.map(lambda x: x[0], before)

    def loss(mean: Array) -> float:
        latent = Latent(mean, params.latents.log_std[0])
        return float(ratio_loss(given_noise(params.net, latent), batch))

    for i in range(BIAS):
        shift = array(size * np.eye(BIAS)[i])
        mean = params.latents.mean[0]
        slope = (loss(mean + shift) - loss(mean - shift)) / (2 * size)
        want = mean[i] - params.step_sizes.mean[i] * slope
        assert float(latents.mean[0, i]) == pytest.approx(float(want), rel=1e-6)
    assert not np.allclose(latents.log_std, params.latents.log_std, atol=1e-4)


@pytest.mark.usefixtures("x64")
def test_a_penalty_alone_pulls_the_latents_to_the_prior():
    params, before, after = problem()
    after = after._replace(advantage=jnp.zeros_like(after.advantage))
    kl = lambda p: jax.vmap(prior_kl)(p.latents).mean()  # noqa: E731
    step = quick_jit(
        lambda p: trpo_step(
            lambda q: adapted(q, before),
            p,
            learned(p, MaesnConfig()),
            after,
            TrustRegionConfig(),
            lambda q: 0.1 * kl(q),
        )
    )
    new, metrics = step(params)
    assert bool(metrics["outer/accepted"])
    assert float(metrics["loss/surrogate"]) == pytest.approx(0.1 * float(kl(params)))
    assert float(metrics["outer/gain"]) == pytest.approx(0.1 * float(kl(params) - kl(new)))
    assert float(kl(new)) < float(kl(params))
    assert np.array_equal(new.net.bias_transform, params.net.bias_transform)


NOTHING: Any = Demonstrations(jnp.zeros((2, 1, 2)), jnp.zeros((2, 1, 2)), jnp.ones((2, 1), bool))


def test_the_latent_learns_to_flip_the_action():
    world = make_world(SignBandit())
    tasks = world.family.tasks("train")
    config = MaesnConfig(
        episodes=40, hidden=(8,), step_size=2.0, trust_region=TrustRegionConfig(max_kl=0.05)
    )
    method = Maesn(config, world, tasks)
    state, gains = method.init(jax.random.key(0), NOTHING), []
    for i in range(40):
        state, gathered = method.gather(state, jax.random.key(i))
        gains.append(gathered.metrics["return/after"] - gathered.metrics["return/before"])
        # One step an episode, two tasks; the first round's scaling takes as many again.
        assert gathered.steps == {"meta": 2 * config.episodes * (3 if i == 0 else 2)}
        state, _ = method.update(state, gathered, jax.random.key(0))
    assert np.mean(gains[-10:]) > 0.2
    # From the prior, where one policy gains in one task what it loses in the other.
    # The first latents of 40 episodes differ much, so this is done five times.
    returns = np.zeros((5, 4))
    for repeat, keys in enumerate(jax.random.split(jax.random.key(50), returns.shape)):
        policies = stack(method.policy(state), 2)
        for i, key in enumerate(keys):
            data = world.rollout(method.actor(), policies, tasks, 40, key)
            returns[repeat, i] = data.trajectories.returns.mean()
            policies = method.adapt(state, policies, data.trajectories)
    assert abs(returns[:, 0].mean()) < 0.2
    assert returns[:, -1].mean() > 0.3
    for a, b in zip(jax.tree.leaves(policies.net), jax.tree.leaves(state.params.net), strict=True):
        assert all(np.array_equal(x, b) for x in a)


def test_a_runaway_deviation_is_stopped():
    params, before, _ = problem()
    huge = jax.tree.map(lambda x: 1e4 * x, params.step_sizes)
    first = lambda tree: jax.tree.map(lambda x: x[0], tree)  # noqa: E731
    latent = quick_jit(inner_step)(params.net, first(params.latents), huge, first(before))
    assert set(np.asarray(latent.log_std).tolist()) <= {*np.float32(LOG_STD_RANGE).tolist()}


def test_presets():
    push, paper = (preset("sawyer-push", "maesn", n).settings for n in ("default", "paper"))
    assert push.std == 0.3
    assert (paper.episodes, paper.step_size, paper.kl_weight) == (50, 1.0, 0.1)
    assert (paper.latent, paper.std, paper.normalise) == (2, 1.0, False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"latent": 0}, "latent is 0; it must be at least 1."),
        ({"episodes": 0}, "episodes is 0; it must be at least 1."),
        ({"kl_weight": -0.1}, "kl_weight is -0.1; it must be at least 0."),
    ],
)
def test_nonsense_is_refused(settings: Any, message: str):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        MaesnConfig(**settings)
