"""Soft actor-critic on problems whose values are known."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmps.core.types import Trajectories
from gmps.experts import sac
from gmps.experts.replay import add, start_replay
from gmps.experts.sac import Moments, actor_net, init_sac, observe_inputs, squash, update
from gmps.experts.sac_settings import SacConfig

#: No entropy in the values, so that they are plain discounted returns.
PLAIN = SacConfig(
    hidden=(32,), learning_rate=3e-3, batch=64, discount=0.9, polyak=0.05, temperature=0.0
)


def learn(obs, act, reward, terminated, config, steps=1000):
    """A learner after `2 * steps` updates on one batch of episodes, `(ep, t, ...)`, and the figures
    of the later half; `obs` has one step more than the others."""
    replay = buffer(obs, act, reward, terminated)
    state = init_sac(jax.random.key(0), config, obs.shape[-1], 0, act.shape[-1])
    state, _ = update(config, state, replay, steps, jax.random.key(1))
    return update(config, state, replay, steps, jax.random.key(2))


def buffer(obs, act, reward, terminated):
    """The episodes, stored."""
    obs, act = jnp.asarray(obs, jnp.float32), jnp.asarray(act, jnp.float32)
    reward = jnp.asarray(reward, jnp.float32)
    n, horizon = reward.shape
    data = Trajectories(
        obs=obs[None, :, :-1],
        act=act[None],
        reward=reward[None],
        log_prob=jnp.zeros((1, n, horizon)),
        alive=jnp.ones((1, n, horizon), bool),
        last_obs=obs[None, :, -1],
        terminated=jnp.full((1, n), terminated),
        held=jnp.zeros((1, n, 0)),
    )
    replay = start_replay(n, horizon, obs.shape[-1], act.shape[-1], 0)
    return add(replay, data, data.reward, jnp.zeros((1, 0)))


def value(state, obs, act):
    seen = jnp.asarray([obs], jnp.float32)
    return np.asarray(sac.values(state.critics, seen, jnp.asarray([act], jnp.float32)))[:, 0]


def test_one_step_then_the_end_is_worth_its_reward():
    rng = np.random.default_rng(0)
    act = rng.uniform(-1, 1, (256, 1, 1))
    state, _ = learn(np.zeros((256, 2, 1)), act, np.ones((256, 1)), True, PLAIN)
    assert value(state, [0.0], [0.3]) == pytest.approx(1.0, abs=0.05)


def test_a_time_limit_is_no_end():
    """A reward of 1 for ever is worth 1 / (1 - 0.9), however short the episodes are."""
    rng = np.random.default_rng(0)
    act = rng.uniform(-1, 1, (64, 5, 1))
    state, _ = learn(np.zeros((64, 6, 1)), act, np.ones((64, 5)), False, PLAIN, steps=1500)
    assert value(state, [0.0], [0.3]) == pytest.approx(10.0, abs=0.5)


@pytest.mark.parametrize("n_step", [1, 3])
def test_a_later_reward_is_discounted(n_step):
    """States 0, 1, 2, the end; a reward of 1 at the last step: 0.81, 0.9, 1."""
    rng = np.random.default_rng(0)
    act = rng.uniform(-1, 1, (256, 3, 1))
    obs = np.tile(np.arange(4.0)[None, :, None], (256, 1, 1))
    reward = np.tile([0.0, 0.0, 1.0], (256, 1))
    state, _ = learn(obs, act, reward, True, replace(PLAIN, n_step=n_step))
    for s, expected in ((0.0, 0.81), (1.0, 0.9), (2.0, 1.0)):
        assert value(state, [s], [0.0]) == pytest.approx(expected, abs=0.08)


def test_the_actor_finds_the_best_action_of_each_state():
    """Reward 1 - (action - 0.5 state)^2, states -1 and 1: the best actions are -0.5 and 0.5."""
    rng = np.random.default_rng(0)
    obs = rng.choice([-1.0, 1.0], (512, 1, 1))
    act = rng.uniform(-1, 1, (512, 1, 1))
    reward = 1 - (act - 0.5 * obs)[..., 0] ** 2
    state, _ = learn(np.concatenate([obs, obs], 1), act, reward, True, PLAIN)
    for s in (-1.0, 1.0):
        mean, _ = actor_net(state)(jnp.asarray([s]))
        assert float(jnp.tanh(mean)[0]) == pytest.approx(0.5 * s, abs=0.1)


def test_the_temperature_drives_the_entropy_to_its_target():
    rng = np.random.default_rng(0)
    act = rng.uniform(-1, 1, (512, 1, 2))
    config = replace(PLAIN, temperature=None, target_entropy=-0.5)
    reward = -(act**2).sum(-1)
    _, figures = learn(np.zeros((512, 2, 1)), act, reward, True, config, steps=1500)
    assert float(figures["entropy"]) == pytest.approx(2 * -0.5, abs=0.1)


def test_the_reward_scale_multiplies_values():
    act = np.random.default_rng(0).uniform(-1, 1, (256, 1, 1))
    scaled = replace(PLAIN, reward_scale=10.0, learning_rate=1e-2)
    state, _ = learn(np.zeros((256, 2, 1)), act, np.ones((256, 1)), True, scaled)
    assert value(state, [0.0], [0.3]) == pytest.approx(10.0, abs=0.5)


@pytest.mark.parametrize("share", [1.0, 0.4, 0.0])
def test_a_share_of_half_of_each_batch_is_demonstrated(share: float):
    """Own episodes are worth 0 and demonstrated ones 1, in the same state: the value is between."""
    rng = np.random.default_rng(0)
    act = rng.uniform(-1, 1, (256, 1, 1))
    own, shown = (
        buffer(np.zeros((n, 2, 1)), act[:n], np.full((n, 1), x), True)
        for n, x in ((256, 0.0), (8, 1.0))
    )
    state = init_sac(jax.random.key(0), PLAIN, 1, 0, 1)
    for i in range(2):
        state, _ = update(PLAIN, state, own, 1000, jax.random.key(i), shown, share)
    values = [value(state, [0.0], [a])[0] for a in np.linspace(-0.8, 0.8, 9)]
    assert np.mean(values) == pytest.approx(0.5 * share, abs=0.15)


def test_where_all_actions_earn_the_same_the_demonstrated_one_is_taken():
    rng = np.random.default_rng(0)
    ways = {"own": rng.uniform(-1, 1, (256, 1, 1)), "shown": np.full((8, 1, 1), 0.6)}
    own, shown = (
        buffer(np.zeros((len(act), 2, 1)), act, np.ones((len(act), 1)), True)
        for act in ways.values()
    )
    start = init_sac(jax.random.key(0), PLAIN, 1, 0, 1)
    for share in (1.0, 0.0):
        state, _ = update(PLAIN, start, own, 1000, jax.random.key(0), shown, share)
        mean, _ = actor_net(state)(jnp.zeros(1))
        assert (abs(float(jnp.tanh(mean)[0]) - 0.6) < 0.1) == (share == 1)


def test_density_of_squashed_actions_integrates_to_one():
    mean, log_std = jnp.asarray([0.4]), jnp.asarray([-0.3])

    act = jnp.linspace(-0.9999, 0.9999, 20_001)
    noise = (jnp.arctanh(act) - mean) / jnp.exp(log_std)
    log_prob = jax.vmap(lambda z: squash(mean, log_std, z[None])[1])(noise)
    total = np.trapezoid(np.exp(np.asarray(log_prob)), np.asarray(act))
    assert total == pytest.approx(1.0, abs=2e-3)


def test_density_of_squashed_actions_stays_finite_far_out():
    act, log_prob = squash(jnp.asarray([30.0]), jnp.asarray([0.0]), jnp.asarray([0.0]))
    assert act[0] == 1.0
    assert np.isfinite(float(log_prob))


def test_moments_equal_those_of_all_inputs_at_once():
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, (300, 2)).astype(np.float32)
    valid = rng.random(300) < 0.7
    moments = Moments(jnp.zeros(()), jnp.zeros(2), jnp.ones(2))
    for part in (slice(0, 100), slice(100, 180), slice(180, 300)):
        moments = observe_inputs(moments, jnp.asarray(x[part]), jnp.asarray(valid[part]))
    np.testing.assert_allclose(moments.mean, x[valid].mean(0), rtol=1e-5)
    np.testing.assert_allclose(moments.var, x[valid].var(0), rtol=1e-4)
    assert moments.count == valid.sum()


def test_updates_trace_once():
    traces = []
    original = sac._step

    def counting(*args):
        traces.append(1)
        return original(*args)

    config = replace(PLAIN, batch=8, hidden=(5,))
    act = np.zeros((4, 1, 1))
    sac._step = counting
    try:
        for _ in range(3):
            learn(np.zeros((4, 2, 1)), act, np.ones((4, 1)), True, config, steps=7)
    finally:
        sac._step = original
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"batch": 0}, "batch is 0; it must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0; it must be above 0"),
        ({"temperature": -1.0}, "temperature is -1.0; it must be at least 0"),
        ({"discount": 1.5}, "discount is 1.5; it must be at least 0 and at most 1"),
    ],
)
def test_bad_settings_are_named(settings, text):
    with pytest.raises(ValueError, match=text):
        SacConfig(**settings)
