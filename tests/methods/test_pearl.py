"""PEARL: the posterior as a product of Gaussians, what learns from what, the latent, a bandit."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmps.core.types import Demonstrations, Trajectories, stack
from gmps.experts.replay import Batch
from gmps.experts.sac_settings import SacConfig
from gmps.methods.latent import Latent, prior
from gmps.methods.pearl import Pearl
from gmps.methods.pearl_learner import (
    PearlActor,
    PearlLearner,
    PearlPolicy,
    imitation_losses,
    init_learner,
    losses,
    posterior,
    product,
)
from gmps.methods.pearl_settings import PearlConfig
from gmps.tasks.point_goal import PointGoal
from gmps.worlds.factory import make_world
from probe_families import SignBandit

SMALL = PearlConfig(
    latent=3, context=6, meta_batch=2, gradient_steps=20, capacity=20,
    sac=SacConfig(hidden=(16,), batch=8),
)  # fmt: skip
NOTHING: Any = Demonstrations(jnp.zeros((2, 1, 2)), jnp.zeros((2, 1, 2)), jnp.ones((2, 1), bool))


def numbers(seed: int, *shape: int) -> Any:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def test_the_posterior_is_the_normalised_product_of_prior_and_factors():
    # In one dimension on a grid, against densities multiplied by hand.
    x = np.linspace(-6, 6, 20_001)
    density = lambda mean, std: np.exp(-0.5 * ((x - mean) / std) ** 2) / std  # noqa: E731
    means, stds = np.array([0.7, -1.2, 2.0]), np.array([0.9, 1.5, 0.6])
    start = Latent(jnp.asarray([0.5]), jnp.log(jnp.asarray([1.3])))
    valid = jnp.asarray([True, False, True])
    found = product(
        start,
        jnp.asarray(means, jnp.float32)[:, None],
        jnp.asarray(stds, jnp.float32)[:, None],
        valid,
    )
    whole = density(0.5, 1.3) * density(0.7, 0.9) * density(2.0, 0.6)
    whole /= whole.sum()
    mean = (x * whole).sum()
    std = np.sqrt(((x - mean) ** 2 * whole).sum())
    assert float(found.mean[0]) == pytest.approx(mean, abs=1e-4)
    assert float(jnp.exp(found.log_std[0])) == pytest.approx(std, abs=1e-4)


def test_two_factors_by_hand_and_one_after_the_other():
    # Precisions 1 + 1 + 4 = 6; mean (0 + 1 * 3 + 4 * 0.75) / 6 = 1.
    mean, std = jnp.asarray([[3.0], [0.75]]), jnp.asarray([[1.0], [0.5]])
    yes = jnp.ones(2, bool)
    both = product(prior((1,)), mean, std, yes)
    assert float(both.mean[0]) == pytest.approx(1.0)
    assert float(jnp.exp(-2 * both.log_std[0])) == pytest.approx(6.0)
    first = product(prior((1,)), mean[:1], std[:1], yes[:1])
    then = product(first, mean[1:], std[1:], yes[1:])
    for a, b in zip(both, then, strict=True):
        assert np.allclose(a, b, atol=1e-6)


def test_padding_is_no_evidence():
    # Not even where it is not a number.
    mean = jnp.asarray([[3.0], [jnp.nan]])
    found = product(prior((1,)), mean, jnp.ones((2, 1)), jnp.asarray([True, False]))
    assert float(found.mean[0]) == pytest.approx(1.5)


def problem() -> tuple[PearlLearner, Batch, Batch]:
    """A learner, and a context and a batch of two tasks."""

    def rows(seed: int, n: int) -> Batch:
        return Batch(
            numbers(seed, n, 2), jnp.tanh(numbers(seed + 1, n, 2)), numbers(seed + 2, n),
            numbers(seed + 3, n, 2), jnp.zeros((n, 0)), jnp.full(n, 0.9),
        )  # fmt: skip

    return init_learner(jax.random.key(0), SMALL, PointGoal.spec), rows(10, 12), rows(20, 8)


def test_the_order_of_transitions_does_not_matter_and_tasks_stay_apart():
    learner, context, _ = problem()
    found = posterior(learner.encoder, learner, context, 2, False)
    order = np.array([3, 1, 5, 0, 2, 4, 6, 7, 8, 9, 10, 11])
    mixed = posterior(learner.encoder, learner, jax.tree.map(lambda x: x[order], context), 2, False)
    assert np.allclose(found.mean, mixed.mean, atol=1e-5)
    assert np.allclose(found.log_std, mixed.log_std, atol=1e-5)
    other = posterior(
        learner.encoder, learner, context._replace(reward=context.reward.at[6:].add(1)), 2, False
    )
    assert np.allclose(found.mean[0], other.mean[0], atol=1e-6)
    assert not np.allclose(found.mean[1], other.mean[1], atol=1e-3)


def test_the_encoder_learns_from_the_critics_and_the_prior_but_not_from_the_actor():
    learner, context, batch = problem()
    sac = learner.sac
    learned = (sac.actor, sac.critics, sac.log_temperature, learner.encoder)

    @jax.jit
    def gradients(learned: Any) -> Any:
        parts = lambda x: losses(SMALL, learner, x, context, batch, jax.random.key(1))[0]  # noqa: E731
        return jax.jacrev(parts)(learned)

    size = lambda tree: sum(float(jnp.abs(x).sum()) for x in jax.tree.leaves(tree))  # noqa: E731
    moved = {
        name: [size(part) > 0 for part in gradient] for name, gradient in gradients(learned).items()
    }
    #                     actor, critics, temperature, encoder
    assert moved == {
        "critic": [False, True, False, True],
        "actor": [True, False, False, False],
        "kl": [False, False, False, True],
        "temperature": [False, False, True, False],
    }


def test_before_the_first_round_the_actor_asks_no_critic():
    learner, context, batch = problem()
    labels = batch.obs.reshape(2, 4, 2), batch.act.reshape(2, 4, 2), jnp.ones((2, 4), bool)
    shown, sac = Demonstrations(*labels), learner.sac
    actor = jax.tree.map(jnp.zeros_like, sac.actor)
    learned = (actor, sac.critics, sac.log_temperature, learner.encoder)

    @jax.jit
    def parts_of(learned: Any) -> Any:
        key = jax.random.key(1)
        return imitation_losses(SMALL, learner, learned, context, batch, shown, key)[0]

    parts = parts_of(learned)
    # An actor of zeros does nothing: what is left of the labels is their squares.
    assert float(parts["actor"]) == pytest.approx(float((batch.act**2).sum(1).mean()), rel=1e-5)
    ever, _ = losses(SMALL, learner, learned, context, batch, jax.random.key(1))
    assert set(parts) == {"critic", "kl", "actor"}
    for name in ("critic", "kl"):
        assert float(parts[name]) == pytest.approx(float(ever[name]), rel=1e-5)
    others = (actor, jax.tree.map(lambda x: 2 * x, sac.critics), *learned[2:])
    assert float(parts_of(others)["actor"]) == float(parts["actor"])


def test_the_kl_by_hand():
    # N(1, 0.5^2) from N(0, 1) in each of 3 dimensions: log 2 + (0.25 + 1 - 1) / 2 nats.
    learner, context, batch = problem()
    # One factor for each of six transitions: precision 1 + 6 / s^2 = 4, so s^2 = 2, and its mean m
    # gives 3 m / 4 = 1.
    last = learner.encoder.layers[-1]
    raw = np.log(np.expm1(np.sqrt(2) - 1e-3))
    bias = jnp.concatenate([jnp.full(3, 4 / 3), jnp.full(3, raw)])
    encoder = jax.tree.map(jnp.zeros_like, learner.encoder)
    object.__setattr__(encoder.layers[-1], "bias", bias.astype(last.weight.dtype))
    sac = learner.sac
    learned = (sac.actor, sac.critics, sac.log_temperature, encoder)
    parts, figures = losses(SMALL, learner, learned, context, batch, jax.random.key(1))
    kl = 3 * (np.log(2) + 0.125)
    assert float(figures["latent/kl"]) == pytest.approx(kl, rel=1e-4)
    assert float(parts["kl"]) == pytest.approx(SMALL.kl_weight * 2 * kl, rel=1e-4)
    assert float(figures["latent/std"]) == pytest.approx(0.5, rel=1e-4)


def random_policy() -> PearlPolicy:
    """A policy of a random actor that acts on z strongly."""
    world = make_world(PointGoal())
    method = Pearl(SMALL, world, world.family.tasks("train", 2))
    return method.policy(method.init(jax.random.key(3), NOTHING))


def test_z_is_drawn_once_for_an_episode_and_recorded():
    world, policy = make_world(PointGoal()), random_policy()
    actor = PearlActor(2, 3)
    tasks = world.family.tasks("train", 2)
    data: Trajectories = world.rollout(
        actor, stack(policy, 2), tasks, 4, jax.random.key(0)
    ).trajectories
    assert data.held.shape == (2, 4, 3)
    assert len(np.unique(data.held)) == 24
    # The density of each action, given the held numbers.
    for step in (0, 11):
        obs, act = data.obs[1, 2, step], data.act[1, 2, step]
        mean, log_std = policy.net(jnp.concatenate([obs, data.held[1, 2]]))
        raw = np.arctanh(np.asarray(act, np.float64))
        gauss = -0.5 * ((raw - mean) / np.exp(log_std)) ** 2 - log_std - 0.5 * np.log(2 * np.pi)
        log_prob = float(np.sum(gauss - np.log(1 - np.asarray(act, np.float64) ** 2)))
        assert float(data.log_prob[1, 2, step]) == pytest.approx(log_prob, rel=1e-3, abs=1e-3)


def test_without_noise_the_means_of_z_and_of_the_action_are_taken():
    policy = random_policy()
    shifted = replace(policy, latent=policy.latent._replace(mean=jnp.asarray([1.0, -1, 2])))
    obs = jnp.asarray([0.3, 0.1])
    act, _ = PearlActor(2, 3, stochastic=False)(shifted, jnp.zeros(2), obs, numbers(0, 5))
    mean, _ = policy.net(jnp.concatenate([obs, shifted.latent.mean]))
    assert np.allclose(act, jnp.tanh(mean), atol=1e-6)


def test_it_is_not_written_as_a_gaussian_policy():
    with pytest.raises(ValueError, match=r"^A policy of pearl is not Gaussian, "):
        random_policy().export()


def test_it_finds_out_which_sign_is_paid():
    config = PearlConfig(
        latent=2, prior_episodes=20, posterior_episodes=10, gradient_steps=100, context=16,
        kl_weight=0.01, sac=SacConfig(hidden=(32,), learning_rate=3e-3, batch=64),
    )  # fmt: skip
    world = make_world(SignBandit())
    method = Pearl(config, world, world.family.tasks("train"))
    state = method.init(jax.random.key(0), NOTHING)
    for i in range(8):
        state, gathered = method.gather(state, jax.random.key(2 * i))
        assert gathered.steps == {"meta": 60}
        state, _ = method.update(state, gathered, jax.random.key(2 * i + 1))
    policies, tasks = stack(method.policy(state), 2), method.tasks
    data = world.rollout(method.actor(), policies, tasks, 20, jax.random.key(7)).trajectories
    adapted = method.adapt(state, policies, data)
    known = world.rollout(method.actor(), adapted, tasks, 20, jax.random.key(8)).trajectories
    assert abs(data.returns.mean()) < 0.3
    assert known.returns.mean(1).min() > 0.6
    std = np.sqrt(((known.act - known.act.mean(1, keepdims=True)) ** 2).mean((0, 1, 2)))
    assert np.all(np.asarray(method.policy(state).action_std) < 3 * std + 0.3)


def test_a_round_in_some_tasks_leaves_the_buffers_of_the_others():
    world = make_world(PointGoal())
    method = Pearl(replace(SMALL, collect=2), world, world.family.tasks("train", 5))
    state = method.init(jax.random.key(0), NOTHING)
    state, gathered = method.gather(state, jax.random.key(0))
    assert gathered.steps == {"meta": 5 * 4 * 20}
    assert np.array_equal(state.data.replay.added, [4] * 5)
    state = state._replace(round=jnp.ones((), jnp.int32))
    state, gathered = method.gather(state, jax.random.key(1))
    assert gathered.steps == {"meta": 2 * 4 * 20}
    assert sorted(np.asarray(state.data.replay.added)) == [4, 4, 4, 8, 8]
    # The context holds the newest round alone.
    assert state.data.context.length.shape == (5, 4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"latent": 0}, "latent is 0; it must be at least 1."),
        ({"collect": 0}, "collect is 0; it must be at least 1."),
        ({"kl_weight": -1.0}, "kl_weight is -1.0; it must be at least 0."),
        (
            {"meta_batch": 300},
            "sac.batch is 256; it must be at least meta_batch, 300: each task needs a transition.",
        ),
    ],
)
def test_nonsense_is_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=f"^{message}$".replace(".", r"\.")):
        PearlConfig(**settings)
