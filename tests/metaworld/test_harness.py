"""Meta-World's own harness judges, unmodified."""

from dataclasses import dataclass
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_metaworld import FEW, family, short_lists  # noqa: F401 - a fixture

from gmps.core.actors import Actor
from gmps.core.policy import PolicyActor, init_policy
from gmps.metaworld.family import MetaWorld
from gmps.metaworld.harness import HarnessAgent, run_harness
from gmps.metaworld.harness_settings import HarnessConfig
from gmps.methods.latent import LatentPolicy, SpreadLatentActor, prior

# Not the folder of these tests, which is found under that name.
pytest.importorskip("metaworld.envs")
metaworld = pytest.importorskip("metaworld")


@dataclass
class Recorder:
    """A method whose adaptation keeps what it was given and takes the next of its policies."""

    before: object
    after: object
    data: tuple = ()

    def policy(self, state):
        return self.before

    def actor(self, stochastic=True):
        return PolicyActor(4, stochastic)

    def share(self, step):
        return 1.0

    def adapt(self, state, policies, data):
        self.data = (*self.data, data)
        return jax.tree.map(lambda x: jnp.broadcast_to(x, (2, *x.shape)), self.after)


def test_metaworlds_harness_judges_unmodified(monkeypatch):
    monkeypatch.setattr(metaworld, "_N_GOALS", 2)
    whole = metaworld.make_ml_envs_test
    monkeypatch.setattr(
        metaworld, "make_ml_envs_test", lambda *a, **k: whole(*a, **k, max_episode_steps=12)
    )
    still = init_policy(jax.random.key(0), 39, 4, std=0.1)
    method = Recorder(still, still)
    fam = family(horizon=10)
    config = HarnessConfig(
        environments=2, evals=1, goals=2, adaptation_episodes=3, adaptation_steps=2
    )
    figures = run_harness(method, None, fam, config)["test"]
    assert figures.before.success == figures.after.success == 0
    assert figures.before.kinds == {"reach-v3": 0}
    # Three episodes of the kind count, of two environments; before them twice three in each.
    assert figures.before.env_steps == 2 * 12 * 2
    assert figures.after.env_steps == 2 * 12 * (2 + 6)
    first, second = method.data
    assert first.obs.shape == (2, 3, 10, 39)
    assert first.act.shape == (2, 3, 10, 4)
    # All episodes begin alike, and each observation carries the one before.
    np.testing.assert_array_equal(first.obs[:, 0, 0], first.obs[:, 2, 0])
    np.testing.assert_array_equal(first.obs[:, :, 1:, 18:36], first.obs[:, :, :-1, :18])
    np.testing.assert_array_equal(first.last_obs[:, :, 18:36], first.obs[:, :, -1, :18])
    assert not np.array_equal(first.act, second.act)
    spread = np.asarray(first.act).std()
    assert 0.05 < spread < 0.5
    log_prob = jax.vmap(jax.vmap(jax.vmap(still.head.log_prob)))(first.obs, first.act)
    np.testing.assert_allclose(first.log_prob, log_prob, rtol=1e-4)
    with pytest.raises(ValueError, match="tests on the goals of training"):
        run_harness(method, None, family(seed=1), HarnessConfig())


@dataclass(frozen=True)
class GoTo(Actor):
    """Brings the hand above a point."""

    noise_size: int = 4

    def __call__(self, params, task, obs, noise):
        move = jnp.clip(10 * (params - obs[:3]), -1, 1)
        return jnp.append(move, -1.0), jnp.zeros(())


@dataclass(frozen=True)
class ToOnePoint:
    """A method that goes to the same point whatever it has seen."""

    point: tuple[float, ...]

    def policy(self, state):
        return jnp.array(self.point)

    def actor(self, stochastic=True):
        return GoTo()

    def adapt(self, state, policies, data):
        return policies

    def share(self, step):
        return 1.0


def test_of_many_environments_of_a_kind_the_harness_counts_those_that_succeed(monkeypatch):
    goals = 4
    monkeypatch.setattr(metaworld, "_N_GOALS", goals)
    whole = metaworld.make_ml_envs_test
    monkeypatch.setattr(
        metaworld, "make_ml_envs_test", lambda *a, **k: whole(*a, **k, max_episode_steps=60)
    )
    fam = MetaWorld("ml1-reach-v3", goals=FEW, horizon=60)
    x, y, z = np.asarray(fam.tasks("heldout"))[0, :3]
    method = ToOnePoint((x, y, z + 0.045))

    def counted(**options):
        config = HarnessConfig(goals=goals, adaptation_episodes=1, evaluation_episodes=1, **options)
        return run_harness(method, None, fam, config)["test"].before.success

    # It reaches one goal of the four. One environment plays each of them once.
    assert counted(environments=1, evals=goals) == 0.25
    # Of four side by side the first to end is the one that succeeds, and only that counts.
    assert counted(environments=goals, evals=1) == 1


def test_the_agent_spreads_latents_over_the_episodes():
    class Exploring(Recorder):
        def actor(self, stochastic=True):
            return SpreadLatentActor(4, 2, stochastic)

    net = init_policy(jax.random.key(0), 39, 4, bias_size=2)
    policy = LatentPolicy(net, prior(2))
    method = Exploring(policy, policy)
    agent = HarnessAgent(method, None, environments=2, seed=0, horizon=2, episodes=4)
    obs, still = np.zeros((2, 39)), np.zeros(2)

    def play():
        for over in [False, True] * 4:
            _, outputs = agent.adapt_action(obs)
            over = np.full(2, over)
            agent.step(SimpleNamespace(observation=obs, reward=still, terminated=over & False,
                                       truncated=over, aux_policy_outputs=outputs))  # fmt: skip

    for _ in range(2):
        play()
        agent.adapt()
    first, second = (x.held for x in method.data)
    assert not np.array_equal(first[0], first[1]) and not np.array_equal(first, second)
    np.testing.assert_allclose(first.mean(1), 0, atol=1e-6)
    np.testing.assert_allclose(
        jnp.einsum("nei,nej->nij", first, first) / 4, [np.eye(2)] * 2, atol=1e-6
    )
    play()
    with pytest.raises(ValueError, match="Adaptation goes on after 4 episodes"):
        play()


def test_the_agent_wants_episodes_that_end_together():
    method = Recorder(init_policy(jax.random.key(0), 39, 4), None)
    agent = HarnessAgent(method, None, environments=2, seed=0, horizon=5, episodes=1)
    act, outputs = agent.adapt_action(np.zeros((2, 39)))
    assert np.abs(act).max() <= 1
    over = np.array([True, False])
    step = SimpleNamespace(
        observation=np.zeros((2, 39)),
        action=act,
        reward=np.zeros(2),
        terminated=over,
        truncated=over,
        aux_policy_outputs=outputs,
    )
    with pytest.raises(ValueError, match="ended apart"):
        agent.step(step)
