"""Surrogates, products with curvature, conjugate gradient and the step, against dense float64."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import core_problems as problems
from gmps.core.losses import policy_gradient_loss
from gmps.core.nets import subset_mask
from gmps.core.surrogates import (
    action_distributions,
    fisher_product,
    mean_kl,
    ratio_loss,
    ratios,
)
from gmps.core.trust_region import conjugate_gradient, natural_step
from gmps.core.trust_region_settings import TrustRegionConfig
from gmps.methods.outer import ppo_steps, start_optimiser, trpo_step
from gmps.methods.outer_settings import PpoConfig

pytestmark = pytest.mark.usefixtures("x64")


def flat_problem(seed: int = 0, activation: Any = "relu") -> tuple[Any, Any, Any]:
    """A policy as a vector, the way back, and on-policy episodes of one task."""
    policy = problems.random_policy(seed, activation=activation)
    vector, unravel = ravel_pytree(policy)
    return vector, unravel, problems.one_task(problems.random_batch(seed, policy))


def test_conjugate_gradient_solves_a_dense_system():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(12, 12))
    matrix, b = root @ root.T + np.eye(12), rng.normal(size=12)
    x, rest = conjugate_gradient(lambda v: jnp.asarray(matrix) @ v, jnp.asarray(b), 30, 1e-24)
    assert np.allclose(x, np.linalg.solve(matrix, b), atol=1e-9)
    # Stopped early it says what is missing.
    x, rest = conjugate_gradient(lambda v: jnp.asarray(matrix) @ v, jnp.asarray(b), 3)
    assert np.allclose(rest, b - matrix @ x, atol=1e-9)
    assert np.linalg.norm(rest) > 1e-6


def test_conjugate_gradient_of_nothing_is_nothing():
    assert conjugate_gradient(lambda v: 2 * v, jnp.zeros(3))[0].tolist() == [0, 0, 0]


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_fisher_product_is_the_hessian_of_the_kl_and_not_indefinite(activation):
    vector, unravel, batch = flat_problem(activation=activation)
    policy = unravel(vector)
    outputs = lambda x: action_distributions(unravel(x), batch.obs, batch.alive)  # noqa: E731
    old, forward = jax.linearize(outputs, vector)
    backward = jax.linear_transpose(forward, vector)
    divergence = lambda new: mean_kl(old, new, batch.alive)  # noqa: E731
    dense = problems.quick_jit(jax.hessian(lambda x: divergence(outputs(x))))(vector)
    direction = problems.random_policy(2, activation=activation)
    v, _ = ravel_pytree(problems.without_constants(direction))
    (product,) = backward(fisher_product(old, forward(v), batch.alive))
    free, _ = ravel_pytree(problems.without_constants(jax.tree.map(jnp.ones_like, policy)))
    assert np.allclose(product * free, (dense @ v) * free, atol=1e-10)
    assert np.linalg.eigvalsh(dense).min() > -1e-10


def test_surrogates_by_a_loop():
    policy, other = problems.random_policy(0), problems.random_policy(3)
    batch = problems.one_task(problems.random_batch(0, policy))
    new = problems.log_density(other, batch.obs, batch.act)
    plain, clipped, n = 0.0, 0.0, 0
    for index in np.ndindex(batch.alive.shape):
        if batch.alive[index]:
            r, a = np.exp(new[index] - batch.log_prob[index]), batch.advantage[index]
            plain += r * a
            clipped += min(r * a, np.clip(r, 0.7, 1.3) * a)
            n += 1
    for b in (batch, problems.spoil_batch(batch)):
        assert float(ratio_loss(other, b)) == pytest.approx(-plain / n)
        assert float(problems.clipped_ratio_loss(other, b, 0.3)) == pytest.approx(-clipped / n)


def test_at_the_collecting_policy_all_surrogates_have_the_policy_gradient():
    policy = problems.random_policy(0)
    batch = problems.one_task(problems.random_batch(0, policy))
    actions = action_distributions(policy, batch.obs, batch.alive)
    assert np.allclose(ratios(actions, batch), 1)
    expected, _ = ravel_pytree(jax.grad(policy_gradient_loss)(policy, batch))
    for loss in (ratio_loss, lambda p, b: problems.clipped_ratio_loss(p, b, 0.2)):
        gradient, _ = ravel_pytree(jax.grad(loss)(policy, batch))
        assert np.allclose(gradient, expected, atol=1e-12)


def quadratic(scale: float = 1.0) -> tuple[Any, Any, Any]:
    """A linear loss and a quadratic KL: the best step is known."""
    loss = lambda x: scale * (x @ jnp.asarray([3.0, 4.0]))  # noqa: E731
    kl = lambda x: 0.5 * (x @ x)  # noqa: E731
    return loss, kl, lambda v: v


def step(at: Any, loss: Any, kl: Any, product: Any, config: TrustRegionConfig) -> Any:
    before, gradient = jax.value_and_grad(loss)(at)
    return natural_step(at, before, gradient, product, lambda x: (loss(x), kl(x)), config)


def test_a_step_by_hand():
    config = TrustRegionConfig(max_kl=0.02, damping=0.0)
    x, found = step(jnp.zeros(2), *quadratic(), config)
    # On the sphere |x|^2 / 2 = 0.02 against the gradient (3, 4); rounding may cost one try.
    length = float(jnp.linalg.norm(x))
    assert length == pytest.approx(0.2) or length == pytest.approx(0.16)
    assert np.allclose(x / length, [-0.6, -0.8])
    assert bool(found.accepted)
    assert float(found.kl) <= 0.02
    assert float(found.loss_before - found.loss) == pytest.approx(5 * length)


def test_a_search_that_fails_rejects_the_step():
    start = jnp.asarray([1.0, 2.0])
    loss, _, product = quadratic()
    for kl in (lambda x: 0.02 + 0 * x[0], lambda x: jnp.nan * x[0]):
        x, found = step(start, loss, kl, product, TrustRegionConfig())
        assert x.tolist() == start.tolist()
        assert not bool(found.accepted)
        assert (float(found.kl), float(found.share)) == (0.0, 0.0)
        assert float(found.loss) == float(found.loss_before)


def test_what_is_not_a_number_rejects_the_step():
    _, kl, product = quadratic()
    x, found = step(jnp.ones(2), lambda x: jnp.sqrt(-x[0]), kl, product, TrustRegionConfig())
    assert x.tolist() == [1.0, 1.0]
    assert not bool(found.accepted)


def shared(policy: Any) -> Any:
    """One policy for both tasks."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (2, *x.shape)), policy)


@pytest.mark.parametrize("max_kl", [1e-4, 0.01, 0.3])
def test_a_policys_step_gains_and_respects_the_limit(max_kl: float):
    policy = problems.random_policy(0)
    batch = problems.random_batch(5, policy)
    config = TrustRegionConfig(max_kl=max_kl)
    step = problems.quick_jit(lambda p: trpo_step(shared, p, subset_mask(p, "all"), batch, config))
    new, metrics = step(policy)
    old_outputs, new_outputs = (
        jax.vmap(action_distributions)(shared(p), batch.obs, batch.alive) for p in (policy, new)
    )
    kl = float(jax.vmap(mean_kl)(old_outputs, new_outputs, batch.alive).mean())
    assert bool(metrics["outer/accepted"])
    assert 0.2 * max_kl < kl <= max_kl
    assert kl == pytest.approx(float(metrics["outer/kl"]))
    before, after = (float(jax.vmap(ratio_loss)(shared(p), batch).mean()) for p in (policy, new))
    assert after < before
    assert float(metrics["outer/gain"]) == pytest.approx(before - after)
    assert np.array_equal(new.obs_mean, policy.obs_mean)


def test_clipped_steps_gain_and_leave_what_is_not_learned():
    policy = problems.random_policy(0)
    batch = problems.random_batch(5, policy)
    config = PpoConfig(steps=4, learning_rate=1e-2)
    mask = subset_mask(policy, "mean")
    new, _, metrics = problems.quick_jit(
        lambda p: ppo_steps(shared, p, mask, batch, config, start_optimiser("ppo", config, p))
    )(policy)
    assert float(metrics["outer/gain"]) > 0
    assert float(metrics["outer/kl"]) > 0
    assert np.array_equal(new.log_std, policy.log_std)
    assert not np.array_equal(new.weights[0], policy.weights[0])


def test_nonsense_is_refused():
    for settings, message in (
        ({"max_kl": 0.0}, "max_kl is 0.0; it must be above 0."),
        ({"shrink": 1.0}, "shrink is 1.0; it must be above 0 and below 1."),
        ({"tries": 0}, "tries is 0; it must be at least 1."),
    ):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            TrustRegionConfig(**settings)
    with pytest.raises(ValueError, match=r"^outer is 'sgd'; it must be 'trpo' or 'ppo'\.$"):
        start_optimiser("sgd", PpoConfig(), None)  # pyright: ignore
