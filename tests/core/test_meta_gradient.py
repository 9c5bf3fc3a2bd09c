from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from core_problems import (
    array,
    log_density,
    quick_jit,
    random_batch,
    random_demos,
    random_policy,
    random_step_sizes,
    spoil,
    spoil_batch,
)
from gmps.core.adapt import adapt, gradient_step
from gmps.core.losses import InnerBatch, imitation_loss, policy_gradient_loss
from gmps.core.meta_gradient import MetaParams, meta_loss, meta_value_and_grad
from gmps.core.nets import GaussianPolicy
from gmps.core.types import Demonstrations

#: Step sizes, inner steps, subset, outer loss, clip of the importance weights: every value of each
#: of step sizes, subset and outer loss meets every value of the others.
CASES = [
    ("parameter", 2, "all", "mse", None),
    ("parameter", 1, "mean", "nll", 1.2),
    ("parameter", 1, "bias", "huber", None),
    ("leaf", 1, "all", "huber", 1.2),
    ("leaf", 1, "mean", "mse", None),
    ("leaf", 2, "bias", "nll", None),
    ("scalar", 1, "all", "nll", None),
    ("scalar", 2, "mean", "huber", 1.2),
    ("scalar", 2, "bias", "mse", 1.2),
]


def problem(
    kind: str = "parameter", steps: int = 1, clip: float | None = None
) -> tuple[MetaParams, tuple[InnerBatch, ...], Demonstrations]:
    """Two tasks, weighted for a policy that has moved on, with garbage in the padding."""
    collector, policy = random_policy(0), random_policy(1)
    params = MetaParams(policy, random_step_sizes(2, policy, kind))  # pyright: ignore
    batches = []
    for seed in range(3, 3 + steps):
        batch = random_batch(seed, collector)
        weight = np.exp(log_density(policy, batch.obs, batch.act) - np.asarray(batch.log_prob))
        weight = weight if clip is None else np.minimum(weight, clip)
        batches.append(spoil_batch(batch._replace(weight=array(weight))))
    demos = random_demos(9)
    demos = demos._replace(obs=spoil(demos.obs, demos.valid), act=spoil(demos.act, demos.valid))
    return params, tuple(batches), demos


def differences(f: Callable[[MetaParams], jax.Array], params: MetaParams) -> MetaParams:
    """Central differences by every parameter, 0 by the constants of the normalisation."""
    flat, unravel = ravel_pytree(params)
    step = 1e-6

    def slope(direction: jax.Array) -> jax.Array:
        up, down = (f(unravel(flat + sign * step * direction)) for sign in (1, -1))
        return (up - down) / (2 * step)

    return learned(unravel(quick_jit(jax.vmap(slope))(jnp.eye(flat.size))))


def learned(gradient: MetaParams) -> MetaParams:
    """The gradient with zeros for the constants of the normalisation."""
    policy = gradient.policy
    constants = {"obs_mean": policy.obs_mean, "obs_std": policy.obs_std}
    zeros = jax.tree.map(jnp.zeros_like, constants)
    return gradient._replace(policy=GaussianPolicy(**{**vars(policy), **zeros}))


def assert_close(actual: Any, expected: Any, relative: float) -> None:
    """Each leaf within `relative` of its largest entry, or of the tree's if that is tiny."""
    largest = max(float(jnp.abs(x).max()) for x in jax.tree.leaves(expected))
    for a, b in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        scale = max(float(jnp.abs(b).max()), 1e-3 * largest)
        np.testing.assert_allclose(a, b, rtol=0, atol=relative * scale)


@pytest.mark.parametrize(("kind", "steps", "subset", "imitation", "clip"), CASES)
@pytest.mark.usefixtures("x64")
def test_against_central_differences(kind, steps, subset, imitation, clip):
    params, batches, demos = problem(kind, steps, clip)
    options = {"subset": subset, "imitation": imitation}
    expected = differences(lambda p: meta_loss(p, batches, demos, **options)[0], params)
    fast = quick_jit(partial(meta_value_and_grad, **options))
    _, gradient, _ = fast(params, batches, demos)
    for part in gradient:
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(part))
        assert any(x.any() for x in jax.tree.leaves(part))
    assert_close(gradient, expected, 1e-6)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_against_the_definition(dtype):
    with jax.enable_x64(dtype == "float64"):
        params, batches, demos = problem(steps=2)
        (loss, losses), gradient, towards = quick_jit(meta_value_and_grad)(params, batches, demos)

        def defined(params: MetaParams, obs: jax.Array) -> tuple[jax.Array, jax.Array]:
            return meta_loss(params, batches, demos._replace(obs=obs))

        definition = quick_jit(jax.value_and_grad(defined, (0, 1), has_aux=True))
        (plain, plain_losses), (plain_gradient, plain_towards) = definition(params, demos.obs)
        relative = 1e-11 if dtype == "float64" else 2e-5
        assert all(x.dtype == dtype for x in jax.tree.leaves(gradient))
        assert float(loss) == pytest.approx(float(plain), rel=relative)
        np.testing.assert_allclose(losses, plain_losses, rtol=relative)
        assert_close(gradient, plain_gradient, relative)
        assert_close(towards, plain_towards, relative)


@pytest.mark.usefixtures("x64")
def test_first_order_holds_the_inner_gradients():
    subset, imitation = "mean", "mse"
    params, batches, demos = problem(steps=2)

    def inner_gradients(batches: tuple[InnerBatch, ...]) -> list[GaussianPolicy]:
        first = jax.grad(policy_gradient_loss)(params.policy, batches[0])
        moved = adapt(*params, batches[:1], subset=subset)
        return [first, jax.grad(policy_gradient_loss)(moved, batches[1])]

    held = quick_jit(jax.vmap(inner_gradients))(batches)

    def held_loss(params: MetaParams) -> jax.Array:
        def one_task(gradients: list[GaussianPolicy], demos: Demonstrations) -> jax.Array:
            policy = params.policy
            for gradient in gradients:
                policy = gradient_step(policy, gradient, params.step_sizes, subset)
            return imitation_loss(policy, *demos[:3], imitation)

        return jax.vmap(one_task)(held, demos).mean()

    expected = differences(held_loss, params)
    options = {"subset": subset, "imitation": imitation}
    fast = partial(meta_value_and_grad, **options)
    _, first_order, _ = quick_jit(partial(fast, first_order=True))(params, batches, demos)
    _, second_order, _ = quick_jit(fast)(params, batches, demos)
    assert_close(first_order, expected, 1e-6)
    for a, b in zip(first_order.policy.weights, second_order.policy.weights, strict=True):
        assert jnp.abs(a - b).max() > 1e-3 * jnp.abs(b).max()


@pytest.mark.usefixtures("x64")
def test_tasks_at_once_and_in_turn(monkeypatch):
    params, batches, demos = problem(steps=2)
    in_turn = quick_jit(meta_value_and_grad)(params, batches, demos)
    elsewhere = lambda *args, cpu, default: default(*args)  # noqa: E731
    monkeypatch.setattr(jax.lax, "platform_dependent", elsewhere)
    at_once = quick_jit(meta_value_and_grad)(params, batches, demos)
    assert "while" not in str(jax.make_jaxpr(meta_value_and_grad)(params, batches, demos))
    assert_close(in_turn, at_once, 1e-12)


def test_no_inner_step():
    params, _, demos = problem()
    (loss, _), gradient, _ = quick_jit(meta_value_and_grad)(params, (), demos)
    losses = quick_jit(jax.vmap(partial(imitation_loss, params.policy)))(*demos[:3])
    np.testing.assert_allclose(loss, losses.mean(), rtol=1e-6)
    assert not any(x.any() for x in jax.tree.leaves(gradient.step_sizes))


def test_one_trace_inside_an_update():
    """A block of Adam steps traces once, and gives parameters that do not trace it again."""
    params, batches, demos = problem()
    optimiser = optax.adam(1e-2)
    traces = []

    @jax.jit
    def block(params: MetaParams, state: optax.OptState) -> Any:
        traces.append(None)

        def step(carry: Any, _: None) -> Any:
            params, state = carry
            (loss, _), gradient, _ = meta_value_and_grad(params, batches, demos)
            updates, state = optimiser.update(gradient, state)
            return (optax.apply_updates(params, updates), state), loss

        return jax.lax.scan(step, (params, state), length=20)

    carry, losses = block(params, optimiser.init(params))
    carry, more = block(*carry)
    assert len(traces) == 1
    assert more[-1] < 0.8 * losses[0]


def test_the_order_of_tasks_does_not_matter(x64):
    params, batches, demos = problem()
    swapped = jax.tree.map(lambda x: x[::-1], (batches, demos))
    (value, _), gradient, _ = meta_value_and_grad(params, batches, demos)
    (other_value, _), other_gradient, _ = meta_value_and_grad(params, *swapped)
    assert not jnp.allclose(batches[0].obs[0], batches[0].obs[1])
    np.testing.assert_allclose(other_value, value, rtol=1e-12)
    for a, b in zip(jax.tree.leaves(gradient), jax.tree.leaves(other_gradient), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
