"""MAESN and PEARL that start from the experts' data: what they are given, what they make of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmps.core.types import Demonstrations, stack
from gmps.data.demos import load_demos
from gmps.experts.replay import add, start_replay, take
from gmps.experts.sac_settings import SacConfig
from gmps.methods.latent import with_latent
from gmps.methods.maesn import Maesn
from gmps.methods.maesn_settings import MaesnConfig
from gmps.methods.pearl import Pearl, PearlState
from gmps.methods.pearl_learner import PearlPolicy
from gmps.methods.pearl_settings import PearlConfig
from gmps.presets import preset
from gmps.tasks import make_family
from gmps.training.config import TrainConfig
from gmps.training.experiment import Experiment, prepare
from gmps.training.expert_data import load_expert_data, save_expert_data

TASKS, EPISODES, HORIZON = 4, 3, 20
SETTINGS: dict[str, Any] = {
    "maesn": MaesnConfig(hidden=(32,), episodes=2, pretrain_steps=2000),
    "pearl": PearlConfig(
        latent=2, context=16, capacity=6, gradient_steps=5, pretrain_steps=1000,
        sac=SacConfig(hidden=(32,), learning_rate=3e-3, batch=64),
    ),
}  # fmt: skip


def training(method: str, **changes: Any) -> TrainConfig:
    config = replace(preset("point-goal", method), train_tasks=TASKS, expert_episodes=EPISODES)
    return replace(config, settings=replace(SETTINGS[method], **changes))


@pytest.fixture(scope="module")
def maesn() -> Experiment:
    return prepare(training("maesn"))


@pytest.fixture(scope="module")
def pearl() -> Experiment:
    return prepare(training("pearl"))


@pytest.fixture(scope="module")
def started(pearl: Experiment) -> PearlState:
    return pearl.method.init(jax.random.key(0), pearl.demos)


@pytest.mark.parametrize("name", SETTINGS)
def test_what_experts_spend_on_the_start_is_theirs(name: str, request: pytest.FixtureRequest):
    experiment: Experiment = request.getfixturevalue(name)
    spent = TASKS * EPISODES * HORIZON
    alone = prepare(training(name, pretrain_steps=0))
    assert (experiment.steps["expert"], alone.steps["expert"]) == (spent, 0)
    assert alone.steps["evaluation"] == experiment.steps["evaluation"] + spent
    # The plain control may take as many steps of imitation, and is shown the same labels.
    assert experiment.method.imitation_steps(5) == SETTINGS[name].pretrain_steps
    np.testing.assert_array_equal(experiment.demos.act, alone.demos.act)
    assert alone.demos.episodes is None


@pytest.mark.parametrize("name", SETTINGS)
def test_without_steps_nothing_of_experts_is_looked_at(name: str, request: pytest.FixtureRequest):
    experiment: Experiment = request.getfixturevalue(name)
    alone = replace(experiment.method, config=replace(SETTINGS[name], pretrain_steps=0))
    other = Demonstrations(
        jnp.ones((TASKS, 1, 2)), jnp.ones((TASKS, 1, 2)), jnp.ones((TASKS, 1), bool)
    )
    found = [alone.init(jax.random.key(0), x) for x in (experiment.demos, other)]
    for a, b in zip(*map(jax.tree.leaves, found), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_start_of_maesn_acts_like_each_expert_at_its_own_latent(maesn: Experiment):
    method, demos = maesn.method, maesn.demos
    assert isinstance(method, Maesn)
    state = method.init(jax.random.key(0), demos)
    params, policy = state.params, method.policy(state)
    # The latents are as wide as the prior, where a new task starts.
    assert not params.latents.log_std.any()
    np.testing.assert_allclose(params.net.obs_mean, demos.obs.mean((0, 1)), atol=1e-5)

    def error(latents: Any) -> float:
        own = jax.vmap(with_latent, (None, 0))(policy.net, latents)
        act = jax.vmap(lambda policy, obs: jax.vmap(policy)(obs)[0])(own, demos.obs)
        return float(jnp.sqrt(((act - demos.act) ** 2).mean()))

    assert error(params.latents.mean) < 0.25
    assert error(jnp.roll(params.latents.mean, 2, 0)) > 0.6
    # The first round need not look how observations are scaled.
    _, gathered = method.gather(state, jax.random.key(1))
    assert gathered.steps == {"meta": 2 * TASKS * 2 * HORIZON}


def test_pearls_buffers_begin_with_the_experts_episodes(pearl: Experiment, started: PearlState):
    episodes, (replay, context) = pearl.demos.episodes, started.data
    assert episodes is not None
    for kept in (replay, context):
        assert kept.added.tolist() == [EPISODES] * TASKS
        np.testing.assert_array_equal(kept.length[:, :EPISODES], HORIZON)
        np.testing.assert_array_equal(kept.obs[:, :EPISODES, :HORIZON], episodes.obs)
        np.testing.assert_array_equal(kept.obs[:, :EPISODES, HORIZON], episodes.last_obs)
        np.testing.assert_array_equal(kept.reward[:, :EPISODES], episodes.reward)
        # What was done, with the expert's noise; labels are without.
        done = np.clip(episodes.act, -1, 1)
        np.testing.assert_array_equal(kept.act[:, :EPISODES], done)
    assert np.abs(done.reshape(pearl.demos.act.shape) - pearl.demos.act).max() > 0.1
    moments = started.learner.sac.moments
    assert float(moments.count) == TASKS * EPISODES * HORIZON
    np.testing.assert_allclose(moments.mean[:2], episodes.obs.mean((0, 1, 2)), atol=1e-4)
    state, gathered = pearl.method.gather(started, jax.random.key(1))
    assert gathered.steps == {"meta": TASKS * 4 * HORIZON}
    assert state.data.replay.added.tolist() == [EPISODES + 4] * TASKS


def test_a_start_of_pearl_acts_like_each_expert_given_its_episodes(
    pearl: Experiment, started: PearlState
):
    method, demos = pearl.method, pearl.demos
    assert isinstance(method, Pearl) and demos.episodes is not None
    policies = method.adapt(started, stack(method.policy(started), TASKS), demos.episodes)

    def error(policies: PearlPolicy) -> float:
        def act(policy: PearlPolicy, obs: Any) -> Any:
            return jnp.tanh(policy.net(jnp.concatenate([obs, policy.latent.mean]))[0])

        found = jax.vmap(jax.vmap(act, (None, 0)))(policies, demos.obs)
        return float(jnp.sqrt(((found - demos.act) ** 2).mean()))

    own = error(policies)
    assert own < 0.35
    others = replace(policies, latent=jax.tree.map(lambda x: jnp.roll(x, 2, 0), policies.latent))
    assert error(others) > 1.3 * own
    assert float(started.std.min()) > 0.01 and float(started.std.max()) < 1


def test_a_run_keeps_the_experts_episodes(pearl: Experiment, tmp_path: Path):
    save_expert_data(tmp_path, pearl.data)
    found = load_expert_data(tmp_path, pearl.world.family)
    assert found is not None
    assert jax.tree.structure(found.demos) == jax.tree.structure(pearl.demos)
    for a, b in zip(jax.tree.leaves(found.demos), jax.tree.leaves(pearl.demos), strict=True):
        np.testing.assert_array_equal(a, b)


def shown_file(path: Path, *, rewards: bool = True, steps: int = 3) -> str:
    """Two episodes in each of three tasks, the second of one step fewer; the last task's have so
    many."""
    rng = np.random.default_rng(0)
    goals = np.array([[0.3, 0.4], [0.6, 0.8], [-0.6, 0.8]])
    given = {"rewards": rng.normal(size=(3, 2, 3))} if rewards else {}
    lengths = [[3, 2], [3, 2], [steps, steps]]
    np.savez(
        path,
        observations=rng.uniform(0, 1, (3, 2, 3, 2)),
        actions=rng.uniform(-0.9, 0.9, (3, 2, 3, 2)),
        goals=goals,
        lengths=lengths,
        **given,
    )
    return str(path)


def test_demonstrations_are_transitions_but_for_their_last_steps(tmp_path: Path):
    path = shown_file(tmp_path / "a.npz")
    experiment = prepare(replace(training("pearl", pretrain_steps=1), demos=path))
    episodes, demos = experiment.demos.episodes, experiment.demos
    assert episodes is not None
    with np.load(path) as file:
        alive = np.array([[[1, 1, 0], [1, 0, 0]]] * 2 + [[[1, 1, 0]] * 2], bool)
        rewards = np.where(alive, file["rewards"], 0)
        # As long as the family's own episodes, which is longer than these.
        for found, wanted in ((episodes.alive, alive), (episodes.reward, rewards)):
            np.testing.assert_allclose(found[:, :, :3], wanted, rtol=1e-6)
            assert found.shape == (3, 2, HORIZON) and not found[:, :, 3:].any()
        np.testing.assert_allclose(episodes.obs[:, 0, :3], file["observations"][:, 0], rtol=1e-6)
    # All steps are labels, the last ones too.
    assert int(demos.valid.sum()) == experiment.steps["demonstration"] == 16
    assert experiment.steps["expert"] == 0
    # As PEARL stores them: one of two steps is one transition, to the second one's observation.
    empty = start_replay(2, HORIZON, 2, 2, 0)
    stored = add(
        empty, jax.tree.map(lambda x: x[:1], episodes), episodes.reward[:1], jnp.zeros((1, 0))
    )
    assert stored.length.tolist() == [2, 1]
    batch = take(stored, jnp.array([0, 1]), jnp.array([1, 0]), 1, 0.9)
    np.testing.assert_array_equal(batch.obs, [episodes.obs[0, 0, 1], episodes.obs[0, 1, 0]])
    np.testing.assert_array_equal(batch.next_obs, [episodes.obs[0, 0, 2], episodes.obs[0, 1, 1]])
    np.testing.assert_allclose(batch.discount, 0.9)


def test_long_demonstrations_are_cut_where_the_familys_episodes_end(tmp_path: Path):
    demos = load_demos(shown_file(tmp_path / "a.npz"), make_family("point-goal"))
    assert demos.reward is not None
    cut = demos.trajectories(demos.reward, 2)
    # Of three steps two have a next observation, of two steps one.
    assert cut.alive[0].tolist() == [[True, True], [True, False]]
    np.testing.assert_array_equal(cut.last_obs, demos.obs[:, :, 2])
    short = demos.trajectories(demos.reward, 1)
    assert short.alive.all()
    np.testing.assert_array_equal(short.last_obs, demos.obs[:, :, 1])


def test_episodes_that_make_no_transitions_are_refused(tmp_path: Path):
    config, path = training("pearl", pretrain_steps=1), tmp_path / "b.npz"
    with pytest.raises(
        ValueError,
        match=r"^These settings of pearl take rewards from the experts' episodes, and .*b\.npz has "
        r"none and its observations do not tell those of point-goal; add an array `rewards \(task",
    ):
        prepare(replace(config, demos=shown_file(path, rewards=False)))
    with pytest.raises(
        ValueError,
        match=r"^Task 2 of .*b\.npz has no episode of two steps, and these settings of pearl take "
        "transitions of every task; record one, or choose settings that take none",
    ):
        prepare(replace(config, demos=shown_file(path, steps=1)))


@pytest.mark.parametrize("settings", [MaesnConfig, PearlConfig])
def test_nonsense_is_refused(settings: Any):
    with pytest.raises(ValueError, match=r"^pretrain_steps is -1; it must be at least 0\.$"):
        settings(pretrain_steps=-1)
