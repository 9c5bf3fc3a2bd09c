from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from core_problems import ACT, BIAS, OBS, array, quick_jit, random_policy, without_constants
from gmps.core.encoders import Identity
from gmps.core.nets import ACTIVATIONS, MIN_STD, GaussianPolicy, init_head, subset_mask
from gmps.core.policy import Policy, PolicyActor

MOVING = {
    "all": {"weights", "biases", "bias_transform", "log_std"},
    "mean": {"weights", "biases", "bias_transform"},
    "bias": {"bias_transform"},
}


def test_forward_by_hand():
    policy = GaussianPolicy(
        weights=(jnp.array([[1.0, -1.0], [0.5, 2.0], [3.0, 1.0]]), jnp.array([[2.0], [-1.0]])),
        biases=(jnp.array([0.5, -0.5]), jnp.array([0.25])),
        bias_transform=jnp.array([0.1]),
        log_std=jnp.array([-0.7]),
        obs_mean=jnp.array([1.0, 2.0]),
        obs_std=jnp.array([2.0, 4.0]),
    )
    # Normalised observation (1, -0.5); with the bias transformation (1, -0.5, 0.1).
    # Hidden: 1 - 0.25 + 0.3 + 0.5 = 1.55 and relu(-1 - 1 + 0.1 - 0.5) = 0; mean 2 * 1.55 + 0.25.
    mean, log_std = policy(jnp.array([3.0, 0.0]))
    np.testing.assert_allclose(mean, [3.35], rtol=1e-6)
    np.testing.assert_allclose(log_std, [-0.7])


def test_tanh_by_hand():
    policy = GaussianPolicy(
        weights=(jnp.array([[1.0]]), jnp.array([[2.0]])),
        biases=(jnp.array([0.5]), jnp.array([0.25])),
        bias_transform=jnp.zeros(0),
        log_std=jnp.zeros(1),
        obs_mean=jnp.zeros(1),
        obs_std=jnp.ones(1),
        activation="tanh",
    )
    np.testing.assert_allclose(policy(jnp.array([1.0]))[0], [2 * np.tanh(1.5) + 0.25], rtol=1e-6)
    # However far away, the action is bounded.
    np.testing.assert_allclose(policy(jnp.array([1e6]))[0], [2.25], rtol=1e-6)


@pytest.mark.usefixtures("unchecked")
def test_unknown_activation():
    with pytest.raises(ValueError, match=r"^activation is 'elu'; it must be 'relu' or 'tanh'\.$"):
        init_head(jax.random.key(0), OBS, ACT, activation="elu")  # pyright: ignore[reportArgumentType]


def test_bias_transformation_is_part_of_the_observation():
    policy = random_policy(0)
    obs = jax.random.normal(jax.random.key(1), (OBS,))
    x = jnp.concatenate([(obs - policy.obs_mean) / policy.obs_std, policy.bias_transform])
    for weight, bias in zip(policy.weights[:-1], policy.biases[:-1], strict=True):
        x = jax.nn.relu(x @ weight + bias)
    expected = x @ policy.weights[-1] + policy.biases[-1]
    np.testing.assert_allclose(policy(obs)[0], expected, rtol=1e-5)


def test_no_bias_transformation():
    policy = init_head(jax.random.key(0), OBS, ACT, hidden=(4,), bias_size=0)
    assert policy.weights[0].shape == (OBS, 4)
    assert policy(jnp.ones(OBS))[0].shape == (ACT,)


def test_std_is_floored():
    policy = eqx.tree_at(lambda p: p.log_std, random_policy(0), jnp.array([-100.0, 0.5]))
    _, log_std = policy(jnp.zeros(OBS))
    np.testing.assert_allclose(log_std, [np.log(MIN_STD), 0.5], rtol=1e-6)


def test_normalisation_gets_no_gradient():
    gradient = jax.grad(lambda p: p(jnp.ones(OBS))[0].sum())(random_policy(0))
    assert not gradient.obs_mean.any()
    assert not gradient.obs_std.any()
    assert gradient.bias_transform.all()


def test_initial_policy():
    policy = init_head(jax.random.key(0), 38, 8, bias_size=BIAS, bias_init=0.3, std=0.5)
    assert [w.shape for w in policy.weights] == [(38 + BIAS, 100), (100, 100), (100, 8)]
    for weight in policy.weights:
        limit = np.sqrt(6 / sum(weight.shape))
        assert 0.97 * limit < jnp.abs(weight).max() <= limit
    assert not any(b.any() for b in policy.biases)
    np.testing.assert_allclose(policy.bias_transform, 0.3)
    np.testing.assert_allclose(policy(jnp.zeros(38))[1], np.log(0.5), rtol=1e-6)
    # A weakly typed leaf would trace a jitted update twice.
    assert not any(x.weak_type or x.dtype != jnp.float32 for x in jax.tree.leaves(policy))


@pytest.mark.parametrize("subset", MOVING)
def test_subsets(subset):
    mask = vars(subset_mask(random_policy(0), subset))
    del mask["activation"]  # No number.
    moving = {name for name, leaves in mask.items() if all(jax.tree.leaves(leaves))}
    still = {name for name, leaves in mask.items() if not any(jax.tree.leaves(leaves))}
    assert moving == MOVING[subset]
    assert still == set(mask) - moving


@pytest.mark.usefixtures("unchecked")
def test_unknown_subset():
    with pytest.raises(
        ValueError, match=r"^subset is 'head'; it must be 'all', 'mean' or 'bias'\.$"
    ):
        subset_mask(random_policy(0), "head")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("stochastic", [True, False])
def test_actor(stochastic):
    policy, obs = Policy(Identity(), random_policy(0)), jnp.ones(OBS)
    actor = PolicyActor(ACT, stochastic)
    assert actor.noise_size == ACT
    noise = jnp.array([1.0, -2.0])
    act, log_prob = actor(policy, None, obs, noise)
    mean, log_std = policy(obs)
    np.testing.assert_allclose(act, mean + jnp.exp(log_std) * noise * stochastic, rtol=1e-6)
    np.testing.assert_allclose(log_prob, policy.head.log_prob(obs, act), rtol=1e-6)


def test_a_network_is_a_function_that_can_be_compiled():
    head, obs = random_policy(0), jnp.ones(OBS)
    compiled = jax.jit(head)
    np.testing.assert_allclose(compiled(obs)[0], head(obs)[0], rtol=1e-6)
    # Another network of the same shapes is another function.
    other = random_policy(1)
    np.testing.assert_allclose(jax.jit(other)(obs)[0], other(obs)[0], rtol=1e-6)
    assert head != other and head == head  # noqa: PLR0124
    # As an argument it is data: one program for all.
    act = jax.jit(lambda head, obs: head(obs)[0])
    for one in (head, other):
        np.testing.assert_allclose(act(one, obs), one(obs)[0], rtol=1e-6)
    assert act._cache_size() == 1


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(), (6, 5, 4)])
@pytest.mark.usefixtures("x64")
def test_means_are_the_policy_in_each_observation(activation, hidden):
    """In value and in all derivatives, by the observations too."""
    policy, direction, other = (random_policy(seed, hidden, activation) for seed in (0, 1, 2))
    directions = without_constants(direction), array(np.ones((2, 5, OBS)))
    weight = array(np.random.default_rng(0).normal(size=(2, 5, ACT)))
    obs = array(np.random.default_rng(1).normal(size=(2, 5, OBS)))

    def derivatives(means):
        loss = lambda p, obs: jnp.sum(weight * means(p, obs) ** 2)  # noqa: E731
        out, forward = jax.linearize(means, policy, obs)
        gradient = jax.grad(loss, (0, 1))
        return (
            out,
            forward(*directions),
            jax.linear_transpose(forward, policy, obs)(weight),
            gradient(policy, obs),
            jax.jvp(gradient, (policy, obs), directions)[1],
        )

    plain = jax.vmap(jax.vmap(lambda p, x: p(x)[0], (None, 0)), (None, 0))
    batched = jax.vmap(GaussianPolicy.means, (None, 0))
    functions = (GaussianPolicy.means, batched, plain)
    *actual, expected = quick_jit(lambda: [derivatives(f) for f in functions])()
    close = partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-12)
    jax.tree.map(close, actual, [expected] * 2)
    policies = jax.tree.map(lambda *x: jnp.stack(x), policy, other)
    each = jax.vmap(jax.vmap(lambda p, x: p(x)[0], (None, 0)))(policies, obs)
    np.testing.assert_allclose(jax.vmap(GaussianPolicy.means)(policies, obs), each, rtol=1e-9)


def test_means_of_one_observation_and_of_none():
    policy = random_policy(0)
    obs = np.ones(OBS, np.float32)
    np.testing.assert_allclose(policy.means(obs), policy(obs)[0], rtol=1e-5)
    assert policy.means(np.ones((3, 0, OBS), np.float32)).shape == (3, 0, ACT)


def test_derivatives_of_means_multiply_columns_alone():
    """Every product over samples is the one that stays on columns, in second derivatives too."""
    policy, samples = random_policy(0), 23
    obs = jnp.ones((samples, OBS))
    loss = lambda p: jnp.sum(p.means(obs) ** 2)  # noqa: E731
    product = lambda p: jax.linearize(jax.grad(loss), p)[1](p)  # noqa: E731
    lines = str(jax.make_jaxpr(product)(policy)).splitlines()
    assert sum("columns_product" in line for line in lines) > 10
    # What is left to JAX's own product is the bias transformation's share of the first bias.
    others = [line for line in lines if "dot_general" in line]
    assert others
    assert not any(str(samples) in line for line in others)
