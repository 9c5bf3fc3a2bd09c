from functools import partial
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from core_problems import (
    array,
    clipped_ratio_loss,
    forward,
    log_density,
    one_task,
    quick_jit,
    random_batch,
    random_demos,
    random_policy,
    spoil,
    spoil_batch,
    without_constants,
)
from gmps.core.choices import Imitation
from gmps.core.losses import (
    InnerBatch,
    action_cost,
    alive_mean,
    imitation_loss,
    log_probs,
    policy_gradient_loss,
)
from gmps.core.nets import GaussianPolicy
from gmps.core.surrogates import ratio_loss
from gmps.core.types import Demonstrations

KINDS = get_args(Imitation)


def test_alive_mean():
    x = jnp.array([1.0, 2.0, jnp.nan])
    assert alive_mean(x, jnp.array([True, True, False])) == 1.5
    assert alive_mean(x, jnp.zeros(3, bool)) == 0


@pytest.mark.usefixtures("x64")
def test_log_probs_against_scipy():
    policy = random_policy(0)
    batch = one_task(random_batch(1, policy))
    expected = log_density(policy, batch.obs, batch.act)
    np.testing.assert_allclose(log_probs(policy, batch.obs, batch.act), expected, rtol=1e-12)


@pytest.mark.usefixtures("x64")
def test_policy_gradient_loss_against_a_loop():
    collector, policy = random_policy(0), random_policy(3)
    batch = one_task(random_batch(1, collector))
    batch = batch._replace(weight=array(np.linspace(0.5, 2, 18).reshape(3, 6)))
    log_prob = np.asarray(log_probs(policy, batch.obs, batch.act))
    weight, advantage, alive = map(np.asarray, (batch.weight, batch.advantage, batch.alive))
    living = list(zip(*np.nonzero(alive), strict=True))
    assert len(living) < alive.size
    expected = -np.mean([weight[i] * log_prob[i] * advantage[i] for i in living])
    assert float(policy_gradient_loss(policy, batch)) == pytest.approx(expected, rel=1e-12)


def test_huber_by_hand():
    # Quadratic up to 0.5, then the tangent: 0.5^2 + (1.5 - 0.5) * 2 * 0.5.
    error = jnp.array([0.25, -0.5, 1.5, -1.5])
    np.testing.assert_allclose(action_cost(error, "huber"), [0.0625, 0.25, 1.25, 1.25])
    np.testing.assert_allclose(action_cost(error, "mse"), error**2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("x64")
def test_imitation_loss_against_a_loop(kind):
    policy, demos = random_policy(0), one_task(random_demos(1))
    std = np.exp(policy.log_std)
    terms = []
    for obs, act in list(zip(np.asarray(demos.obs), np.asarray(demos.act), strict=True))[:-1]:
        mean = forward(policy, obs)
        error = np.abs(mean - act)
        cost = {
            "mse": np.mean(error**2),
            "huber": np.mean(np.where(error <= 0.5, error**2, error - 0.25)),
            "nll": -stats.norm(mean, std).logpdf(act).sum(),
        }
        terms.append(cost[kind])
    actual = float(imitation_loss(policy, *demos[:3], kind))
    assert actual == pytest.approx(float(np.mean(terms)), rel=1e-12)


def test_padding_has_no_effect():
    policy, demos = random_policy(0), one_task(random_demos(2))
    batch = one_task(random_batch(1, policy))
    bad = demos._replace(obs=spoil(demos.obs, demos.valid), act=spoil(demos.act, demos.valid))

    @quick_jit
    def gradients(batch, demos):
        outer = [jax.grad(imitation_loss)(policy, *demos[:3], kind) for kind in KINDS]
        return [jax.value_and_grad(policy_gradient_loss)(policy, batch), *outer]

    clean, dirty = gradients(batch, demos), gradients(spoil_batch(batch), bad)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(clean))
    jax.tree.map(np.testing.assert_array_equal, clean, dirty)


@pytest.mark.usefixtures("unchecked")
def test_unknown_imitation_loss():
    policy, demos = random_policy(0), one_task(random_demos(2))
    text = r"^imitation is 'mae'; it must be 'mse', 'huber' or 'nll'\.$"
    with pytest.raises(ValueError, match=text):
        imitation_loss(policy, *demos[:3], "mae")  # pyright: ignore[reportArgumentType]


def plain_inner(loss: Any, policy: GaussianPolicy, batch: InnerBatch) -> jax.Array:
    """`-mean[loss(log density, i)]` over living steps, one step after another, by rows."""
    terms = [
        loss(policy.log_prob(batch.obs[i], batch.act[i]), i)
        for i in zip(*np.nonzero(np.asarray(batch.alive)), strict=True)
    ]
    return -jnp.stack(terms).mean()


def plain_imitation(policy: GaussianPolicy, demos: Demonstrations, kind: Imitation) -> jax.Array:
    """The imitation loss of the valid steps, one after another, by rows."""
    terms = []
    for i in np.flatnonzero(np.asarray(demos.valid)):
        error = policy(demos.obs[i])[0] - demos.act[i]
        quadratic = error**2
        huber = jnp.where(jnp.abs(error) <= 0.5, quadratic, jnp.abs(error) - 0.25)
        cost = {"mse": quadratic.mean(), "huber": huber.mean()}
        terms.append(cost.get(kind, -policy.log_prob(demos.obs[i], demos.act[i])))
    return jnp.stack(terms).mean()


@pytest.mark.parametrize(
    ("hidden", "activation"), [((), "relu"), ((6, 5, 4), "relu"), ((6, 5, 4), "tanh")]
)
@pytest.mark.usefixtures("x64")
def test_values_gradients_and_hessian_products_of_all_losses(hidden, activation):
    """Against plain loops over steps, differentiated automatically."""
    policy, at, direction = (random_policy(seed, hidden, activation) for seed in (0, 5, 7))
    direction = without_constants(direction)
    batch, demos = one_task(random_batch(1, policy)), one_task(random_demos(2))
    batch = batch._replace(weight=batch.weight * 1.7)
    bad = spoil_batch(batch)

    def derivatives(f):
        """Value, gradient and Hessian product."""
        gradient = jax.grad(f)
        product = jax.linearize(gradient, at)[1](direction)
        return jax.value_and_grad(f)(at), jax.jvp(gradient, (at,), (direction,))[1], product

    @quick_jit
    def both():
        weighted = lambda x, i: batch.weight[i] * batch.advantage[i] * x  # noqa: E731
        ratio = lambda x, i: jnp.exp(x - batch.log_prob[i])  # noqa: E731
        surrogate = lambda x, i: ratio(x, i) * batch.advantage[i]  # noqa: E731
        clipped = lambda x, i: jnp.minimum(  # noqa: E731
            surrogate(x, i), jnp.clip(ratio(x, i), 0.7, 1.3) * batch.advantage[i]
        )
        fast = [
            derivatives(lambda p: policy_gradient_loss(p, bad)),
            derivatives(lambda p: ratio_loss(p, bad)),
            derivatives(lambda p: clipped_ratio_loss(p, bad, 0.3)),
        ]
        plain = [
            derivatives(lambda p, f=f: plain_inner(f, p, batch))
            for f in (weighted, surrogate, clipped)
        ]
        for kind in KINDS:
            fast.append(derivatives(lambda p, kind=kind: imitation_loss(p, *demos[:3], kind)))
            plain.append(derivatives(lambda p, kind=kind: plain_imitation(p, demos, kind)))
        return fast, plain

    fast, plain = both()
    close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12)
    jax.tree.map(close, fast, plain)
