"""GMPS with a latent: the draws, the inner step by hand, and what the outer loop learns from."""

import re
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from core_problems import array
from gmps.core.types import Demonstrations, stack
from gmps.deploy.exploration import are_white
from gmps.experts.base import ExpertActor, label
from gmps.methods.episode_advantage import (
    RewardScale,
    SoftmaxAdvantage,
    init_advantage,
    segment,
)
from gmps.methods.gmps_latent import GmpsLatent, inner_step, look_white, slope_step
from gmps.methods.gmps_latent_settings import GmpsLatentConfig
from gmps.methods.latent import spread_evenly, with_latent
from gmps.methods.latent_imitation import Explored, latent_bc_loss
from gmps.methods.latent_method import LatentState
from gmps.tasks import make_family
from gmps.worlds.base import Draws
from gmps.worlds.factory import make_world

QUICK = GmpsLatentConfig(
    latent=2, episodes=6, hidden=(8,), advantage_hidden=4, pretrain_steps=10, outer_steps=5,
    labels=10, capacity=500, visit_episodes=2, own_episodes=2, practice_tasks=0,
)  # fmt: skip


@pytest.mark.parametrize(("episodes", "size"), [(20, 4), (8, 4), (7, 3), (5, 4), (2, 1)])
def test_draws_are_mirrored_and_white(episodes: int, size: int):
    noise = jax.random.normal(jax.random.key(0), (episodes, size))
    even = np.asarray(spread_evenly(noise))
    pairs = episodes // 2
    np.testing.assert_array_equal(even[:pairs], -even[pairs : 2 * pairs])
    assert not even[2 * pairs :].any()
    half = even[:pairs]
    if pairs >= size:
        np.testing.assert_allclose(even.T @ even / (2 * pairs), np.eye(size), atol=1e-5)
    else:
        np.testing.assert_allclose(half @ half.T, size * np.eye(pairs), atol=1e-5)
    assert look_white(jnp.asarray(even[None])) == are_white(episodes, size)
    assert are_white(episodes, size) == (pairs >= size and episodes % 2 == 0)


def test_the_draws_keep_their_distribution():
    # Each episode alone is still symmetric, of unit variance, and not tied to one axis.
    keys = jax.random.split(jax.random.key(1), 4000)
    first = jax.vmap(lambda k: spread_evenly(jax.random.normal(k, (8, 2)))[0])(keys)
    # Four standard deviations of a mean of 4,000 numbers; a product of two varies somewhat more.
    assert np.abs(np.asarray(first).mean(0)).max() < 4 / np.sqrt(4000)
    assert np.abs(np.asarray(first.T @ first) / 4000 - np.eye(2)).max() < 4 * 1.5 / np.sqrt(4000)


def test_the_gradient_of_a_quadratic_is_exact():
    # R(e) = c - |e - g|^2 / 2 has the gradient g at 0; E[e R] is that, whatever was drawn.
    goal = array([0.3, -1.2, 0.8])
    even = spread_evenly(jax.random.normal(jax.random.key(2), (8, 3)))
    returns = 5.0 - 0.5 * ((even - goal) ** 2).sum(-1)
    np.testing.assert_allclose((even * returns[:, None]).mean(0), goal, atol=1e-5)


def test_segments_are_sums_over_parts_of_the_episode():
    reward = array([[1.0, 2.0, 3.0, 4.0, 5.0]])
    assert np.array_equal(segment(reward, 5), reward)
    # floor(2 t / 5) = 0 0 0 1 1
    assert np.array_equal(segment(reward, 2), [[6.0, 9.0]])


def test_the_scale_runs_on():
    rewards = array([[[1.0, 0.0], [3.0, 0.0]], [[5.0, 0.0], [7.0, 0.0]]])
    first = RewardScale.unknown(2).update(rewards, first=True)
    # Means 4 and 0, deviation sqrt(5); a segment that never varies has a share of the largest.
    np.testing.assert_allclose(first.mean, [4, 0])
    np.testing.assert_allclose(first.std, [5**0.5, 0.05 * 5**0.5], rtol=1e-6)
    # Over the episodes of a task the deviation is 1 in both.
    np.testing.assert_allclose(first.return_std, 1)
    then = first.update(rewards + 10, first=False)
    np.testing.assert_allclose(then.mean, [5, 1])


def test_the_inner_step_by_hand():
    # Two episodes at e = (1, 2) and -e with rewards 6 and 2: centred 2 and -2, deviation 2, so
    # advantages 0.5 and -0.5 times the step size, and mean_e[e A] = 0.5 * 0.5 * e.
    scale = RewardScale(array([4.0]), array([3.0]), array(4.0))
    advantage = init_advantage(jax.random.key(0), 1, 2, 4, step_size=0.5)
    noise = array([[[1.0, 2.0], [-1.0, -2.0]]])
    rewards = array([[[6.0], [2.0]]])
    moved = inner_step(advantage, scale, Explored(rewards, noise))
    np.testing.assert_allclose(moved, [[0.25, 0.5]], rtol=1e-6)
    # A task whose episodes are all as good says nothing.
    assert not np.asarray(inner_step(advantage, scale, Explored(rewards * 0 + 9, noise))).any()


def test_a_step_of_few_draws_by_hand():
    # One pair at e = (1, 2) and -e with advantages 0.25 and -0.25: per unit of length sqrt(5) they
    # rise by 0.25 / sqrt(5), so the slope is 0.25 / 5 e, and 0 across; the mean of e A is 0.25 e.
    scale = RewardScale(array([4.0]), array([3.0]), array(4.0))
    advantage = init_advantage(jax.random.key(0), 1, 2, 4, step_size=0.5)
    noise = array([[[1.0, 2.0], [-1.0, -2.0]]])
    moved = slope_step(advantage, scale, Explored(array([[[6.0], [2.0]]]), noise))
    np.testing.assert_allclose(moved, [[0.05, 0.1]], rtol=1e-5)
    # White draws: the same as the mean, whatever was earned.
    even = spread_evenly(jax.random.normal(jax.random.key(2), (8, 2)))[None]
    explored = Explored(jax.random.normal(jax.random.key(3), (1, 8, 1)), even)
    np.testing.assert_allclose(
        slope_step(advantage, scale, explored), inner_step(advantage, scale, explored), atol=1e-6
    )


@pytest.mark.parametrize("episodes", [3, 6, 9, 8])
def test_training_takes_the_step_that_adaptation_takes(episodes: int):
    world = make_world(make_family("point-goal"))
    method = GmpsLatent(replace(QUICK, latent=3), world, world.family.tasks("train", 2))
    obs = jnp.zeros((2, 5, 2))
    state = method.init(jax.random.key(0), Demonstrations(obs, obs, jnp.ones((2, 5), bool)))
    policies = stack(method.policy(state), 2)
    data = world.rollout(
        method.actor(), policies, method.tasks, episodes, jax.random.key(1)
    ).trajectories
    rewards = segment(data.reward, state.scale.mean.shape[0])
    state = state._replace(scale=state.scale.update(rewards, first=True))
    moved = method.infer(
        state.params.advantage, state.scale, Explored(rewards, data.held), jax.random.key(2)
    )
    adapted = method.adapt(state, policies, data)
    np.testing.assert_allclose(moved[0], adapted.latent.mean, rtol=1e-5, atol=1e-6)


def test_the_softmax_step_by_hand():
    # Returns 6 and 2 are 1 and -1 deviation from their mean, whatever the scale: with b = 1 the
    # weights are e / (e + 1/e) = 0.8808 and 0.1192, so the mean of 2 w - 1 times e is 0.7616 e.
    noise = array([[[1.0, 2.0], [-1.0, -2.0]]])
    rewards = array([[[5.0, 1.0], [3.0, -1.0]]])
    scale = RewardScale.unknown(2)

    def moved(sharpness: float, rewards: jax.Array) -> jax.Array:
        advantage = SoftmaxAdvantage(jnp.log(array(sharpness)))
        return inner_step(advantage, scale, Explored(rewards, noise))

    np.testing.assert_allclose(moved(1.0, rewards), np.tanh(1) * noise[:, 0], rtol=1e-6)
    np.testing.assert_allclose(moved(1.0, 100 * rewards + 7), moved(1.0, rewards), rtol=1e-5)
    # To the best latent as it sharpens; to first order the policy gradient of the returns.
    np.testing.assert_allclose(moved(20.0, rewards), noise[:, 0], rtol=1e-6)
    np.testing.assert_allclose(moved(1e-3, rewards) / 1e-3, noise[:, 0], rtol=1e-3)
    assert not np.asarray(moved(5.0, rewards * 0 + 9)).any()


def test_impossible_advantages_are_refused():
    with pytest.raises(ValueError, match=r"^advantage is 'best'; it must be 'learned' or 'softmax"):
        GmpsLatentConfig(advantage="best")  # pyright: ignore[reportArgumentType]
    with pytest.raises(
        ValueError, match=r"^step_size is 0; with advantage softmax it must be abov"
    ):
        GmpsLatentConfig(advantage="softmax", step_size=0)


def started(controller: bool = True, config: GmpsLatentConfig = QUICK) -> tuple[Any, ...]:
    world = make_world(make_family("point-goal"))
    tasks, expert = world.family.tasks("train", 3), world.family.expert
    assert expert is not None
    roll = world.rollout(ExpertActor(expert, 2), jnp.full(3, 0.3), tasks, 2, jax.random.key(9))
    demos = label(expert, tasks, roll.trajectories)
    method = GmpsLatent(config, world, tasks, expert if controller else None)
    return method, method.init(jax.random.key(0), demos)


def test_episodes_hold_the_draws_and_given_ones_stay():
    method, state = started()
    policies = stack(method.policy(state), 3)
    world, tasks = method.world, method.tasks
    roll = world.rollout(method.actor(), policies, tasks, 6, jax.random.key(1))
    held = np.asarray(roll.trajectories.held)
    np.testing.assert_allclose(held.mean(1), 0, atol=1e-6)
    moments = np.einsum("nez,ney->nzy", held, held) / 6
    np.testing.assert_allclose(moments, np.broadcast_to(np.eye(2), (3, 2, 2)), atol=1e-5)
    assert np.abs(held[0] - held[1]).max() > 0.1
    starts = jax.tree.map(lambda x: x[:, :, 0], roll.states)
    noise = jax.random.normal(jax.random.key(2), (3, 6, 20, method.actor().noise_size))
    given = world.rollout(method.actor(), policies, tasks, 6, Draws(starts, noise))
    assert np.array_equal(given.trajectories.held, noise[:, :, 0, :2])


def test_only_the_latent_adapts():
    method, state = started()
    policies = stack(method.policy(state), 3)
    data = method.world.rollout(
        method.actor(), policies, method.tasks, 6, jax.random.key(1)
    ).trajectories
    adapted = method.adapt(state, policies, data)
    for a, b in zip(jax.tree.leaves(adapted.net), jax.tree.leaves(policies.net), strict=True):
        assert np.array_equal(a, b)
    assert np.abs(np.asarray(adapted.latent.mean)).max() > 0
    np.testing.assert_allclose(jnp.exp(adapted.latent.log_std), QUICK.narrowing, rtol=1e-6)
    # The second step starts there, and moves by half as much for the same advantages.
    again = method.adapt(state, adapted, data)
    first = adapted.latent.mean
    np.testing.assert_allclose(again.latent.mean - first, first * QUICK.narrowing, rtol=1e-5)


def test_labels_come_from_visits_and_steps_are_counted():
    method, state = started()
    before = np.asarray(state.data.count)
    state, gathered = method.gather(state, jax.random.key(1))
    # After the step, at the own latent, of the episodes before it, and of one other task: 20 steps.
    assert np.array_equal(state.data.count - before, [20 * (2 + 2 + 2 + 2)] * 3)
    assert gathered.steps == {"meta": 3 * 20 * (6 + 2 + 2), "evaluation": 0}
    alone, state = started(controller=False, config=replace(QUICK, practice=0))
    state, gathered = alone.gather(state, jax.random.key(1))
    assert np.array_equal(state.data.count, before)
    assert gathered.steps == {"meta": 3 * 20 * 6, "evaluation": 3 * 20 * 4}
    assert gathered.batches.own is None


def test_without_an_expert_the_learner_practises_and_the_steps_are_its_own():
    config = replace(QUICK, practice_episodes=3, practice_std=0.07)
    asking, state = started(config=config)
    np.testing.assert_allclose(state.params.net.action_std, config.std, rtol=1e-6)
    assert asking.gather(state, jax.random.key(1))[1].batches.adapted is None
    alone, state = started(controller=False, config=config)
    np.testing.assert_allclose(state.params.net.action_std, 0.07, rtol=1e-6)
    state, gathered = alone.gather(state, jax.random.key(1))
    assert gathered.steps == {"meta": 3 * 20 * (6 + 3 + 3), "evaluation": 0}
    assert gathered.batches.adapted.advantage.shape == (3, 3 * 20)
    # Episodes at the own latents, and after the inner step, were chosen there.
    for z, steps in (
        (inner_step(state.params.advantage, state.scale, gathered.batches), "adapted"),
        (state.params.latents.mean, "own"),
    ):
        practice = getattr(gathered.batches, steps)
        density = lambda z, o, a: jax.vmap(with_latent(state.params.net, z).head.log_prob)(o, a)  # noqa: E731
        found = jax.vmap(density)(z, practice.obs, practice.act)
        np.testing.assert_allclose(found, practice.log_prob, rtol=1e-3, atol=1e-3)
    learned = {}
    for weight in (0.0, 1.0):
        method = replace(alone, config=replace(config, practice=weight))
        new, metrics = method.update(state, gathered, jax.random.key(2))
        learned[weight] = ravel_pytree(new.params.net)[0]
        assert np.isfinite(metrics["loss/practice"])
    assert np.abs(learned[0.0] - learned[1.0]).max() > 1e-4
    # With neither, nothing is learned.
    method = replace(alone, config=replace(config, imitation_weight=0.0, practice=0.0))
    new, _ = method.update(state, gathered, jax.random.key(2))
    np.testing.assert_array_equal(ravel_pytree(new.params)[0], ravel_pytree(state.params)[0])


def test_it_practises_where_nobody_demonstrated():
    config = replace(QUICK, practice_tasks=4, practice_episodes=3)
    alone, state = started(controller=False, config=config)
    assert state.params.latents.mean.shape == (3, 2) and state.data.count.shape == (3,)
    np.testing.assert_array_equal(alone.practised_tasks[:3], alone.tasks)
    state, gathered = alone.gather(state, jax.random.key(1))
    assert gathered.steps == {"meta": 20 * (7 * (6 + 3) + 3 * 3), "evaluation": 0}
    assert gathered.batches.adapted.advantage.shape == (7, 3 * 20)
    assert gathered.batches.own.advantage.shape == (3, 3 * 20)
    # Imitation is of those alone that somebody demonstrated, the first ones.
    imitating = replace(alone, config=replace(config, practice=0.0))
    shown = gathered.batches._replace(
        **jax.tree.map(lambda x: x[:3], gathered.batches._asdict())  # pyright: ignore
    )
    new, _ = imitating.update(state, gathered, jax.random.key(2))
    same, _ = imitating.update(state, gathered._replace(batches=shown), jax.random.key(2))
    for a, b in zip(jax.tree.leaves(new.params), jax.tree.leaves(same.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    # Somebody who answers knows all training tasks.
    asking, state = started(config=config)
    assert asking.practised_tasks is asking.tasks


def test_practice_makes_better_where_demonstrations_are_poor():
    # Demonstrators of half the skill; own rewards tell better.
    world = make_world(make_family("point-goal"))
    tasks, expert = world.family.tasks("train", 3), world.family.expert
    assert expert is not None
    roll = world.rollout(ExpertActor(expert, 2), jnp.full(3, 0.3), tasks, 2, jax.random.key(9))
    demos = label(expert, tasks, roll.trajectories)
    demos = demos._replace(act=0.5 * demos.act)
    returns = {}
    for weight in (0.0, 1.0):
        config = replace(
            QUICK, hidden=(32,), pretrain_steps=600, outer_steps=50, practice=weight, labels=40
        )
        method = GmpsLatent(config, world, tasks, None)
        state = method.init(jax.random.key(0), demos)
        for key in jax.random.split(jax.random.key(3), 15):
            state, gathered = method.gather(state, key)
            returns[weight] = gathered.metrics["return/own"]
            state, _ = method.update(state, gathered, key)
    assert returns[1.0] > returns[0.0] + 0.3


@pytest.mark.parametrize("kind", ["learned", "softmax"])
def test_the_gradient_through_the_inner_step(x64, kind):
    # The imitation loss after the step against central differences in the advantage's numbers.
    rng = np.random.default_rng(0)
    _, state = started(config=replace(QUICK, advantage=kind))
    state: LatentState = jax.tree.map(
        lambda x: x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x, state
    )
    explored = Explored(
        jnp.asarray(rng.normal(size=(3, 6, 20))), jnp.asarray(rng.normal(size=(3, 6, 2)))
    )
    demos = Demonstrations(state.data.obs[:, :40], state.data.act[:, :40], jnp.ones((3, 40), bool))
    flat, unravel = ravel_pytree(state.params.advantage)
    flat = flat + 0.1 * jnp.asarray(rng.normal(size=flat.shape))

    def loss(x: jax.Array) -> jax.Array:
        z = inner_step(unravel(x), state.scale, explored)
        return latent_bc_loss(state.params.net.head, z, demos, "mse")

    loss = jax.jit(loss)
    gradient = jax.grad(loss)(flat)
    direction = jnp.asarray(rng.normal(size=flat.shape))
    size = 1e-6
    slope = (loss(flat + size * direction) - loss(flat - size * direction)) / (2 * size)
    assert abs(slope) > 1e-4
    np.testing.assert_allclose(gradient @ direction, slope, rtol=1e-4)


@pytest.mark.parametrize("kind", ["learned", "softmax"])
def test_the_standard_deviation_and_the_labels_stay_in_an_update(kind):
    method, state = started(config=replace(QUICK, advantage=kind, activation="tanh"))
    state, gathered = method.gather(state, jax.random.key(1))
    new, metrics = method.update(state, gathered, jax.random.key(2))
    assert np.array_equal(new.params.net.head.log_std, state.params.net.head.log_std)
    assert np.array_equal(new.data.count, state.data.count)
    for part in ("net", "latents", "advantage"):
        pairs = zip(
            jax.tree.leaves(getattr(new.params, part)),
            jax.tree.leaves(getattr(state.params, part)),
            strict=True,
        )
        assert any(not np.array_equal(a, b) for a, b in pairs)
    assert metrics["latent/move"] > 0


def test_latents_learn_at_a_rate_of_their_own():
    config = replace(QUICK, pretrain_steps=1, normalise=False)
    plain, fast, still = (
        started(config=replace(config, latent_rate=rate))[1].params for rate in (1.0, 3.0, 0.0)
    )
    for a, b in zip(jax.tree.leaves(plain.net), jax.tree.leaves(fast.net), strict=True):
        np.testing.assert_array_equal(a, b)
    # Where they started: as far back as one step at a rate of 1 went.
    for one, three, none in zip(plain.latents, fast.latents, still.latents, strict=True):
        assert np.abs(np.asarray(one - none)).min() > 0
        np.testing.assert_allclose(three - none, 3 * (one - none), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"latent": 0}, "latent is 0; it must be at least 1."),
        (
            {"episodes": 1},
            "episodes is 1; the inner step compares episodes, so it must be at least 2.",
        ),
        ({"narrowing": 1.5}, "narrowing is 1.5; it must be above 0 and at most 1."),
        ({"kl_weight": -1.0}, "kl_weight is -1.0; it must be at least 0."),
        ({"imitation": "l1"}, "imitation is 'l1'; it must be 'mse', 'huber' or 'nll'."),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        GmpsLatentConfig(**settings)
