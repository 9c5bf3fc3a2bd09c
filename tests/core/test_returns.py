from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from core_problems import spoil
from gmps.core.returns import (
    advantages,
    baseline_features,
    discounted_returns,
    fit_linear_baseline,
    gae,
    standardise,
)
from gmps.core.types import Trajectories


def trajectories(seed: int = 0, episodes: int = 5, steps: int = 7) -> Trajectories:
    """One task's episodes: whole ones, one that ends in a terminal state and one cut off early."""
    keys = jax.random.split(jax.random.key(seed), 4)
    shape = (episodes, steps)
    length = jnp.full(episodes, steps).at[1].set(3).at[2].set(4)
    alive = jnp.arange(steps) < length[:, None]
    return Trajectories(
        obs=jax.random.normal(keys[0], (*shape, 2)),
        act=jax.random.normal(keys[1], (*shape, 1)),
        reward=jnp.where(alive, jax.random.normal(keys[2], shape), 0),
        log_prob=jnp.zeros(shape),
        alive=alive,
        last_obs=jax.random.normal(keys[3], (episodes, 2)),
        terminated=jnp.arange(episodes) == 1,
        held=jnp.zeros((episodes, 0)),
    )


def loop_gae(
    reward: Any, value: Any, alive: Any, last_value: Any, discount: float, gae_lambda: float
) -> np.ndarray:
    """The textbook's loop, one episode at a time, over living steps alone."""
    reward, value, alive, last_value = map(np.asarray, (reward, value, alive, last_value))
    out = np.zeros(reward.shape)
    for e in range(reward.shape[0]):
        following, next_value = 0.0, last_value[e]
        for t in reversed(range(int(alive[e].sum()))):
            delta = reward[e, t] + discount * next_value - value[e, t]
            following = delta + discount * gae_lambda * following
            out[e, t], next_value = following, value[e, t]
    return out


def test_returns_by_hand():
    actual = discounted_returns(jnp.array([[1.0, 2.0, 4.0]]), 0.5, jnp.array([8.0]))
    np.testing.assert_allclose(actual, [[1 + 1 + 1 + 1, 2 + 2 + 2, 4 + 4]])


def test_returns_against_a_loop():
    reward = np.random.default_rng(0).normal(size=(4, 9))
    last = np.random.default_rng(1).normal(size=4)
    expected = np.zeros_like(reward)
    for e in range(4):
        following = last[e]
        for t in reversed(range(9)):
            following = expected[e, t] = reward[e, t] + 0.9 * following
    actual = discounted_returns(jnp.asarray(reward, "f4"), 0.9, jnp.asarray(last, "f4"))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


@pytest.mark.parametrize("gae_lambda", [0.0, 0.95, 1.0])
def test_gae_against_a_loop(gae_lambda):
    data = trajectories()
    value = jax.random.normal(jax.random.key(9), data.reward.shape)
    last_value = jnp.where(data.terminated, 0.0, jnp.arange(5.0))
    arguments = (data.reward, value, data.alive, last_value, 0.9, gae_lambda)
    np.testing.assert_allclose(gae(*arguments), loop_gae(*arguments), rtol=1e-5, atol=1e-6)


def test_gae_with_lambda_1_is_return_minus_value():
    data = trajectories()
    value = jax.random.normal(jax.random.key(9), data.reward.shape)
    last_value = jnp.arange(5.0)
    actual = gae(data.reward, value, data.alive, last_value, 0.9, 1.0)
    whole = discounted_returns(data.reward, 0.9, last_value) - value
    np.testing.assert_allclose(actual[3:], whole[3:], rtol=1e-4, atol=1e-5)


def test_a_terminal_state_is_worth_nothing_and_a_truncated_one_its_value():
    reward, value, alive = jnp.ones((2, 1)), jnp.zeros((2, 1)), jnp.ones((2, 1), bool)
    actual = gae(reward, value, alive, jnp.array([0.0, 10.0]), 0.9, 1.0)
    np.testing.assert_allclose(actual, [[1.0], [10.0]])


def test_features_by_hand():
    obs = jnp.array([[[2.0, -30.0], [0.5, 0.0]]])
    expected = [
        [[2, -10, 4, 100, 0.5, 0.25, 0.125, 1], [0.5, 0, 0.25, 0, 0.51, 0.2601, 0.132651, 1]]
    ]
    np.testing.assert_allclose(baseline_features(obs, 50.0), expected, rtol=1e-6)
    np.testing.assert_allclose(baseline_features(obs, jnp.array([50])), expected, rtol=1e-6)


def test_baseline_against_float64_normal_equations():
    rng = np.random.default_rng(0)
    obs = rng.normal(size=(20, 100, 6)) * [1, 5, 0.1, 1, 1, 20]
    features = np.asarray(baseline_features(jnp.asarray(obs, "f4")))
    target = (obs[..., 0] ** 2 + np.sin(obs[..., 3]) + rng.normal(size=(20, 100))).astype("f4")
    alive = np.arange(100) < rng.integers(10, 101, size=(20, 1))
    x, y = features[alive].astype("f8"), target[alive].astype("f8")
    expected = np.linalg.solve(x.T @ x + 1e-5 * np.eye(x.shape[1]), x.T @ y)
    weights = fit_linear_baseline(jnp.array(features), jnp.array(target), jnp.array(alive))
    np.testing.assert_allclose(features @ np.asarray(weights), features @ expected, atol=2e-3)
    residual = np.sum((x @ np.asarray(weights, "f8") - y) ** 2)
    assert residual <= np.sum((x @ expected - y) ** 2) * (1 + 1e-5)


def test_baseline_recovers_linear_returns():
    features = baseline_features(jax.random.normal(jax.random.key(0), (10, 50, 3)))
    target = features @ jnp.arange(1.0, 11.0)
    weights = fit_linear_baseline(features, target, jnp.ones((10, 50), bool))
    np.testing.assert_allclose(features @ weights, target, rtol=1e-4, atol=1e-3)


def test_baseline_with_redundant_features():
    # A constant observation repeats the constant feature; the ridge decides.
    obs = jnp.ones((4, 30, 2))
    target = jnp.broadcast_to(jnp.arange(30.0), (4, 30))
    features = baseline_features(obs)
    weights = fit_linear_baseline(features, target, jnp.ones((4, 30), bool))
    np.testing.assert_allclose(features @ weights, target, atol=0.02)


def test_standardise():
    alive = jnp.array([[True, True, True], [True, False, False]])
    x = jnp.array([[1.0, 2.0, 3.0], [6.0, 1e9, jnp.nan]])
    # Mean 3, variance (4 + 1 + 0 + 9) / 4.
    expected = (np.array([[1, 2, 3], [6, 3, 3]]) - 3) / np.sqrt(3.5)
    np.testing.assert_allclose(standardise(x, alive), expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(standardise(jnp.zeros((2, 3)), alive), 0)
    np.testing.assert_array_equal(standardise(x, jnp.zeros((2, 3), bool)), 0)


def test_advantages_against_a_loop():
    data = trajectories(episodes=8, steps=12)
    features = np.asarray(baseline_features(data.obs), "f8")
    alive, reward = np.asarray(data.alive), np.asarray(data.reward, "f8")
    target = loop_gae(reward, np.zeros((8, 12)), alive, np.zeros(8), 0.9, 1.0)
    x, y = features[alive], target[alive]
    weights = np.linalg.solve(x.T @ x + 1e-5 * np.eye(x.shape[1]), x.T @ y)
    last = np.zeros(8)
    for e in range(8):
        if not data.terminated[e]:
            # The last observation was made after as many steps as the episode lived.
            start = float(alive[e].sum())
            row = baseline_features(data.last_obs[e : e + 1, None], start)[0, 0]
            last[e] = np.asarray(row, "f8") @ weights
    raw = loop_gae(reward, features @ weights, alive, last, 0.9, 0.95)
    expected = np.where(alive, (raw - raw[alive].mean()) / raw[alive].std(), 0)
    actual = advantages(data, discount=0.9, gae_lambda=0.95)
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=2e-3)


def test_padding_has_no_effect_on_advantages():
    data = trajectories()
    fields = {"obs": data.obs, "act": data.act, "reward": data.reward, "log_prob": data.log_prob}
    spoiled = data._replace(
        **{name: spoil(x, data.alive) for name, x in fields.items()},
        last_obs=spoil(data.last_obs, ~data.terminated),
    )
    np.testing.assert_array_equal(advantages(data), advantages(spoiled))
