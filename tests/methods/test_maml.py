"""MAML: the meta-gradient, what its sampling term adds, and a bandit whose sign is the task."""

from dataclasses import replace
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from jaxtyping import Array

from core_problems import (
    array,
    one_task,
    quick_jit,
    random_batch,
    random_policy,
    random_step_sizes,
)
from gmps.core.losses import InnerBatch, policy_gradient_loss
from gmps.core.meta_gradient import MetaParams
from gmps.core.nets import GaussianPolicy, init_head, subset_mask
from gmps.core.surrogates import action_distributions, mean_kl, ratio_loss
from gmps.core.trust_region_settings import TrustRegionConfig
from gmps.core.types import Demonstrations
from gmps.methods.maml import Maml, adapted, learned
from gmps.methods.maml_settings import MamlConfig
from gmps.methods.outer import trpo_step
from gmps.methods.outer_settings import PpoConfig
from gmps.worlds.factory import make_world
from probe_families import SignBandit


def problem(steps: int = 1) -> tuple[MetaParams, tuple[InnerBatch, ...], InnerBatch]:
    """Parameters near those that collected, and batches of two tasks before and after."""
    policy = random_policy(0)
    params = MetaParams(random_policy(4), random_step_sizes(1, policy, "parameter"))
    before = tuple(random_batch(seed, policy) for seed in range(steps))
    return params, before, random_batch(9, policy)


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("sampling", "steps"), [("ratio", 1), ("ratio", 2), ("none", 1)])
def test_the_meta_gradient_against_central_differences(sampling: Any, steps: int):
    config = MamlConfig(sampling=sampling, subset="all")
    params, before, after = problem(steps)
    free, fixed = eqx.partition(params, learned(params, config))
    vector, unravel = ravel_pytree(free)

    def loss(x: Array) -> Array:
        policies = adapted(eqx.combine(unravel(x), fixed), before, config)
        return jax.vmap(ratio_loss)(policies, after).mean()

    value, gradient = quick_jit(loss), quick_jit(jax.grad(loss))(vector)
    rng, size = np.random.default_rng(0), 1e-6
    for _ in range(5):
        v = array(rng.normal(size=vector.shape))
        slope = (value(vector + size * v) - value(vector - size * v)) / (2 * size)
        assert float(gradient @ v) == pytest.approx(float(slope), rel=1e-5)


@pytest.mark.usefixtures("x64")
def test_the_ratio_keeps_the_second_derivative_of_the_expected_return():
    # One action a ~ N(b, 1) with reward -(a - 1)^2: J(b) = -(b - 1)^2 - 1, so -J'' = 2.
    n = 200_000
    policy = init_head(jax.random.key(0), 1, 1, hidden=(), bias_size=0)
    policy = jax.tree.map(array, policy)
    act = np.random.default_rng(0).normal(size=(n, 1, 1))
    advantage = 2.0 - (act[..., 0] - 1) ** 2
    batch = InnerBatch(
        obs=array(np.zeros((n, 1, 1))),
        act=array(act),
        advantage=array(advantage),
        log_prob=array(-0.5 * act[..., 0] ** 2 - 0.5 * np.log(2 * np.pi)),
        weight=array(np.ones((n, 1))),
        alive=jnp.ones((n, 1), bool),
    )

    def in_bias(loss: Any, b: Array) -> Array:
        return loss(eqx.tree_at(lambda p: p.biases, policy, (b[None],)), batch)

    slope, curvature = {}, {}
    for name, loss in (("ratio", ratio_loss), ("none", policy_gradient_loss)):
        f = partial(in_bias, loss)
        slope[name] = float(jax.grad(f)(jnp.zeros(())))
        curvature[name] = float(jax.grad(jax.grad(f))(jnp.zeros(())))
    assert slope["ratio"] == pytest.approx(slope["none"])
    assert slope["ratio"] == pytest.approx(-2.0, abs=0.05)
    assert curvature["ratio"] == pytest.approx(2.0, abs=0.15)
    # Without the term nothing is left but mean(A) / variance.
    assert curvature["none"] == pytest.approx(0.0, abs=0.05)


@pytest.mark.usefixtures("x64")
def test_a_step_limits_the_kl_of_the_policies_after_the_update():
    config = MamlConfig(subset="all")
    _, before, after = problem()
    policy = random_policy(0)
    params = MetaParams(policy, random_step_sizes(1, policy, "parameter"))
    after = collected_by(adapted(params, before, config), after)
    region = TrustRegionConfig(max_kl=0.02)
    step = quick_jit(
        lambda p: trpo_step(
            lambda q: adapted(q, before, config), p, learned(p, config), after, region
        )
    )
    new, metrics = step(params)
    old_outputs, new_outputs = (
        jax.vmap(action_distributions)(adapted(p, before, config), after.obs, after.alive)
        for p in (params, new)
    )
    kl = float(jax.vmap(mean_kl)(old_outputs, new_outputs, after.alive).mean())
    assert bool(metrics["outer/accepted"])
    assert 0.004 < kl <= 0.02
    assert float(metrics["outer/gain"]) > 0
    assert not np.array_equal(new.step_sizes.weights[0], params.step_sizes.weights[0])


def collected_by(policies: GaussianPolicy, batch: InnerBatch) -> InnerBatch:
    """The batch with the log densities of the tasks' own policies."""
    density = jax.vmap(lambda p, o, a: jax.vmap(jax.vmap(p.log_prob))(o, a))
    return batch._replace(log_prob=density(policies, batch.obs, batch.act))


@pytest.mark.usefixtures("x64")
def test_with_a_step_of_size_zero_it_is_multi_task_learning():
    policy = random_policy(0)
    config = MamlConfig(learn_step_sizes=False, trust_region=TrustRegionConfig())
    params = MetaParams(policy, array(0.0))
    before, after = (random_batch(1, policy),), random_batch(9, policy)
    maml, _ = quick_jit(
        lambda p: trpo_step(
            lambda q: adapted(q, before, config), p, learned(p, config), after, config.trust_region
        )
    )(params)
    both = lambda p: jax.tree.map(lambda x: jnp.broadcast_to(x, (2, *x.shape)), p)  # noqa: E731
    mask = subset_mask(policy, "all")
    plain, _ = quick_jit(lambda p: trpo_step(both, p, mask, after, config.trust_region))(policy)
    assert float(maml.step_sizes) == 0.0
    for a, b in zip(jax.tree.leaves(maml.policy), jax.tree.leaves(plain), strict=True):
        assert np.allclose(a, b, atol=1e-9)


def trained_on_signs(config: MamlConfig, rounds: int) -> tuple[list[float], list[Any]]:
    """Round by round: returns after the update, and how far the mean action of the first task lies
    above that of the second then."""
    world = make_world(SignBandit())
    method = Maml(config, world, world.family.tasks("train"))
    nothing: Any = Demonstrations(
        jnp.zeros((2, 1, 2)), jnp.zeros((2, 1, 2)), jnp.ones((2, 1), bool)
    )
    state, after, gaps = method.init(jax.random.key(0), nothing), [], []
    for i in range(rounds):
        state, gathered = method.gather(state, jax.random.key(i))
        after.append(gathered.metrics["return/after"])
        assert gathered.steps == {"meta": 2 * config.episodes * (3 if i == 0 else 2)}
        state, _ = method.update(state, gathered, jax.random.key(0))
        policies = adapted(state.params, gathered.batches[0], config)
        right, left = jax.vmap(lambda p: p(jnp.zeros(2))[0])(policies)
        gaps.append(float(right[0] - left[0]))
    return after, gaps


CONFIG = MamlConfig(
    episodes=40,
    hidden=(8,),
    std=0.5,
    step_size=0.05,
    trust_region=TrustRegionConfig(max_kl=0.05),
    ppo=PpoConfig(learning_rate=1e-2),
)


@pytest.mark.parametrize("outer", ["trpo", "ppo"])
def test_it_learns_to_flip_the_action_with_the_task(outer: Any):
    after, gaps = trained_on_signs(replace(CONFIG, outer=outer), 20)
    # A policy that does not adapt gains in one task what it loses in the other.
    assert np.mean(after[-4:]) > 0.2
    assert np.mean(after[-4:]) > np.mean(after[:4]) + 0.1
    # Each from one batch of noisy episodes: a single gap says little.
    assert np.mean(gaps[-4:]) > 1.0


def test_each_task_adapts_on_its_own_batch_alone():
    params, before, _ = problem()
    config = MamlConfig(subset="all", sampling="none")
    after = quick_jit(lambda p, b: adapted(p, b, config))
    whole = one_task(after(params, before))
    alone = one_task(after(params, tuple(jax.tree.map(lambda x: x[:1], b) for b in before)))
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(alone), strict=True):
        assert np.allclose(a, b, atol=1e-6)
