from dataclasses import replace
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from core_problems import (
    ACT,
    OBS,
    array,
    one_task,
    quick_jit,
    random_batch,
    random_policy,
    random_step_sizes,
    spoil_batch,
)
from gmps.core.adapt import adapt, gradient_step, init_step_sizes, inner_batch, reweight
from gmps.core.choices import StepSizeKind
from gmps.core.losses import InnerBatch, log_probs, policy_gradient_loss
from gmps.core.nets import GaussianPolicy, subset_mask
from gmps.core.returns import advantages
from gmps.core.types import Trajectories


def leaves(policy: GaussianPolicy) -> list[jax.Array]:
    return jax.tree.leaves(policy)


@pytest.mark.parametrize("kind", get_args(StepSizeKind))
def test_initial_step_sizes(kind):
    policy = random_policy(0)
    sizes = init_step_sizes(policy, kind, 0.25)
    assert all((x == 0.25).all() for x in jax.tree.leaves(sizes))
    shapes = [x.shape for x in jax.tree.leaves(sizes)]
    expected = {
        "scalar": [()],
        "leaf": [() for _ in leaves(policy)],
        "parameter": [x.shape for x in leaves(policy)],
    }
    assert shapes == expected[kind]
    assert not any(x.weak_type or x.dtype != jnp.float32 for x in jax.tree.leaves(sizes))


@pytest.mark.usefixtures("unchecked")
def test_unknown_step_size_kind():
    text = r"^step size kind is 'layer'; it must be 'scalar', 'leaf' or 'parameter'\.$"
    with pytest.raises(ValueError, match=text):
        init_step_sizes(random_policy(0), "layer", 0.1)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("subset", ["all", "mean", "bias"])
def test_gradient_step_by_hand(subset):
    policy = random_policy(0)
    gradient = jax.tree.map(jnp.ones_like, policy)
    stepped = gradient_step(policy, gradient, jnp.array(0.5), subset)
    for before, after, moves in zip(
        leaves(policy), leaves(stepped), jax.tree.leaves(subset_mask(policy, subset)), strict=True
    ):
        np.testing.assert_array_equal(after, before - 0.5 if moves else before)


def test_one_step_on_a_bandit_by_hand():
    # A linear policy without inputs, mean m = 0.5 and std 1: d log pi / dm = a - m and
    # d log pi / d log std = (a - m)^2 - 1. Two actions, 1.5 and -0.5, with advantages 1 and -1.
    zero = np.zeros
    policy = GaussianPolicy(
        weights=(array(zero((1, 1))),),
        biases=(array([0.5]),),
        bias_transform=array(zero(0)),
        log_std=array(zero(1)),
        obs_mean=array(zero(1)),
        obs_std=array(np.ones(1)),
    )
    ones = jnp.ones((1, 2))
    batch = InnerBatch(
        obs=jnp.zeros((1, 2, 1)),
        act=jnp.array([[[1.5], [-0.5]]]),
        advantage=jnp.array([[1.0, -1.0]]),
        log_prob=ones,
        weight=jnp.array([[1.0, 3.0]]),
        alive=ones.astype(bool),
    )
    adapted = adapt(policy, jnp.array(0.1), [batch])
    # Mean of w A (a - m): (1 + 3) / 2 = 2; of w A ((a - m)^2 - 1): 0.
    np.testing.assert_allclose(adapted.biases[0], [0.7], rtol=1e-6)
    np.testing.assert_allclose(adapted.log_std, [0.0], atol=1e-7)


@pytest.mark.usefixtures("x64")
def test_adapt_is_invariant_under_the_order_of_episodes():
    policy = random_policy(0)
    sizes = random_step_sizes(1, policy, "parameter")
    batches = [one_task(random_batch(seed, policy, episodes=6)) for seed in (2, 3)]
    order = np.random.default_rng(0).permutation(6)
    shuffled = [jax.tree.map(lambda x: x[order], batch) for batch in batches]
    move = quick_jit(lambda batches: adapt(policy, sizes, batches))
    for a, b in zip(leaves(move(batches)), leaves(move(shuffled)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.usefixtures("x64")
def test_steps_are_taken_in_turn():
    policy = random_policy(0)
    sizes = random_step_sizes(1, policy, "leaf")
    first, second = (one_task(random_batch(seed, policy)) for seed in (2, 3))
    step = quick_jit(lambda policy, batch: adapt(policy, sizes, [batch]))
    both = quick_jit(lambda: adapt(policy, sizes, [first, second]))()
    for a, b in zip(leaves(step(step(policy, first), second)), leaves(both), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)


def test_padding_has_no_effect():
    policy, other = random_policy(0), random_policy(3)
    batch = one_task(random_batch(2, other))
    size = jnp.array(0.1)
    adapted = quick_jit(lambda batch: adapt(policy, size, reweight(policy, size, [batch])))
    clean, dirty = adapted(batch), adapted(spoil_batch(batch))
    jax.tree.map(np.testing.assert_array_equal, clean, dirty)


@pytest.mark.parametrize("clip", [None, 1.2])
@pytest.mark.usefixtures("x64")
def test_weights_are_density_ratios_of_each_steps_policy(clip):
    collector, policy = random_policy(0), random_policy(3)
    sizes = random_step_sizes(1, policy, "scalar")
    batches = [one_task(random_batch(seed, collector)) for seed in (2, 3)]
    step = quick_jit(lambda policy, batch: adapt(policy, sizes, [batch]))
    weighted = quick_jit(lambda: reweight(policy, sizes, batches, clip=clip))()
    for batch, result in zip(batches, weighted, strict=True):
        ratio = np.exp(log_probs(policy, batch.obs, batch.act) - batch.log_prob)
        assert (ratio > 1.2).any()
        expected = ratio if clip is None else np.minimum(ratio, clip)
        alive = np.asarray(batch.alive)
        np.testing.assert_allclose(result.weight[alive], expected[alive], rtol=1e-12)
        np.testing.assert_array_equal(result.weight[~alive], 1)
        policy = step(policy, result)


def test_weights_are_data():
    collector, policy = random_policy(0), random_policy(3)
    batch = one_task(random_batch(2, collector))
    size = jnp.array(0.1)
    total = lambda p: reweight(p, size, [batch])[0].weight.sum()  # noqa: E731
    gradient = quick_jit(jax.grad(total))(policy)
    assert not any(x.any() for x in leaves(gradient))


@pytest.mark.usefixtures("x64")
def test_weighted_gradient_is_the_on_policy_gradient():
    """On a bandit with reward a + a^2 the policy gradient is known in closed form.

    E[a + a^2] = m + m^2 + s^2, so the gradient by m is 1 + 2 m and by log s it is 2 s^2. The
    expectation over actions of the collecting policy is a Gauss-Hermite sum, exact to rounding.
    """
    policy = GaussianPolicy(
        weights=(array(np.zeros((1, 1))),),
        biases=(array([0.3]),),
        bias_transform=array(np.zeros(0)),
        log_std=array([np.log(0.6)]),
        obs_mean=array(np.zeros(1)),
        obs_std=array(np.ones(1)),
    )
    collector = replace(policy, biases=(array([0.0]),), log_std=array([0.0]))
    nodes, mass = np.polynomial.hermite_e.hermegauss(80)
    mass = mass / mass.sum()

    def gradient(policy: GaussianPolicy, sampler: GaussianPolicy, weigh: bool) -> tuple[float, ...]:
        act = array(float(sampler.biases[0][0]) + np.exp(float(sampler.log_std[0])) * nodes)
        act = act[None, :, None]
        obs = jnp.zeros((1, 80, 1))
        batch = InnerBatch(
            obs=obs,
            act=act,
            advantage=(act[..., 0] + act[..., 0] ** 2) * 80 * mass,
            log_prob=log_probs(sampler, obs, act),
            weight=jnp.ones((1, 80)),
            alive=jnp.ones((1, 80), bool),
        )
        if weigh:
            (batch,) = reweight(policy, array(0.0), [batch])
        result = quick_jit(jax.grad(policy_gradient_loss))(policy, batch)
        return -float(result.biases[0][0]), -float(result.log_std[0])

    exact = pytest.approx((1 + 2 * 0.3, 2 * 0.36), rel=1e-9)
    assert gradient(policy, policy, weigh=False) == exact
    assert gradient(policy, collector, weigh=True) == exact
    assert gradient(policy, collector, weigh=False) != pytest.approx((1.6, 0.72), rel=0.1)


def test_inner_batch_of_trajectories():
    rng = np.random.default_rng(0)
    shape = (2, 4, 5)
    data = Trajectories(
        obs=array(rng.normal(size=(*shape, OBS))),
        act=array(rng.normal(size=(*shape, ACT))),
        reward=array(rng.normal(size=shape)),
        log_prob=array(rng.normal(size=shape)),
        alive=jnp.ones(shape, bool),
        last_obs=array(rng.normal(size=(2, 4, OBS))),
        terminated=jnp.zeros((2, 4), bool),
        held=jnp.zeros((2, 4, 0)),
    )
    batch = inner_batch(data, discount=0.9, gae_lambda=0.8)
    for name in ("obs", "act", "log_prob", "alive"):
        np.testing.assert_array_equal(getattr(batch, name), getattr(data, name))
    np.testing.assert_array_equal(batch.weight, 1)
    # Each task has a baseline and a scale of its own.
    alone = advantages(jax.tree.map(lambda x: x[1], data), discount=0.9, gae_lambda=0.8)
    np.testing.assert_allclose(batch.advantage[1], alone, rtol=1e-3, atol=1e-4)
