"""What every method in the registry must do, on the point-goal.

A method of one's own is held to the same by one line in `SETTINGS`.
"""

import dataclasses
import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmps.core.policy import Policy
from gmps.core.types import Demonstrations, stack
from gmps.errors import GmpsError
from gmps.evaluation.evaluate import Evaluator
from gmps.evaluation.settings import EvaluationConfig
from gmps.experts.base import ExpertActor, label
from gmps.experts.sac_settings import SacConfig
from gmps.methods.adaptation import adaptation, explore, part_of_the_way
from gmps.methods.base import Method
from gmps.methods.gmps_latent_settings import GmpsLatentConfig
from gmps.methods.gmps_settings import GmpsConfig
from gmps.methods.in_context_settings import InContextConfig
from gmps.methods.maesn_settings import MaesnConfig
from gmps.methods.maml_settings import MamlConfig
from gmps.methods.multitask_bc_settings import MultitaskBcConfig
from gmps.methods.multitask_settings import MultitaskConfig
from gmps.methods.outer_settings import PpoConfig
from gmps.methods.pearl_settings import PearlConfig
from gmps.methods.registry import METHODS, make_method, method_class, settings_class
from gmps.methods.rl2_settings import Rl2Config
from gmps.presets import preset
from gmps.runs import checkpoint
from gmps.tasks import make_family
from gmps.worlds.factory import make_world
from places import ROOT

TASKS = 8
#: Methods that read episodes in the order in which they were made.
IN_ORDER = {"in-context", "rl2"}
#: What policies that are no function of an observation say where one is asked for.
NO_EXPORT = {
    "pearl": r"^A policy of pearl is not Gaussian, ",
    "rl2": r"^A policy of rl2 acts on all that its trial has brought, ",
}
#: Settings small enough for a test, and the rounds that they take to learn.
SETTINGS: dict[str, tuple[Any, int]] = {
    "gmps": (
        GmpsConfig(episodes=10, hidden=(16,), std=0.3, labels=30, pretrain_steps=300, capacity=400),
        4,
    ),
    "gmps-latent": (
        GmpsLatentConfig(
            latent=2, episodes=10, hidden=(16,), advantage_hidden=8, pretrain_steps=600,
            outer_steps=30, labels=30, capacity=400,
        ),
        4,
    ),
    "in-context": (
        InContextConfig(
            latent=2, episodes=10, hidden=(16,), width=16, layers=1, segments=2, remembered=20,
            pretrain_steps=400, outer_steps=30, labels=30, capacity=400,
        ),
        4,
    ),
    "maml": (MamlConfig(episodes=10, hidden=(16,), std=0.3), 10),
    "maesn": (MaesnConfig(episodes=10, hidden=(16,), std=0.3), 10),
    "multitask": (
        MultitaskConfig(episodes=10, hidden=(16,), std=0.3, step_sizes=(0.02, 0.1), tune_every=2),
        10,
    ),
    "multitask-bc": (
        MultitaskBcConfig(
            pretrain_steps=300, steps=10, hidden=(16,), stds=(0.3,), step_sizes=(0.02, 0.1),
            episodes=10, tune_every=2, labels=30,
        ),
        3,
    ),
    "pearl": (
        PearlConfig(
            gradient_steps=150, capacity=40, context=32,
            sac=SacConfig(hidden=(32, 32), learning_rate=3e-3, batch=128),
        ),
        8,
    ),
    "rl2": (
        Rl2Config(
            episodes=3, trials=3, memory=16, hidden=(16,), std=0.3,
            ppo=PpoConfig(steps=10, learning_rate=3e-3, clip=0.2),
        ),
        10,
    ),
}  # fmt: skip


class Trained(NamedTuple):
    """A method, its states after 0, 1, ... rounds, and the metrics of each."""

    name: str
    method: Method
    demos: Demonstrations
    states: list[Any]
    rows: list[dict[str, float]]
    #: Programs that `update` compiled in all rounds.
    programs: int


def one_round(method: Method, state: Any, round_: int) -> tuple[Any, dict[str, float]]:
    state, gathered = method.gather(state, jax.random.key(2 * round_))
    state, metrics = method.update(state, gathered, jax.random.key(2 * round_ + 1))
    return state, {**gathered.metrics, **{k: float(v) for k, v in metrics.items()}}


@pytest.fixture(scope="module", params=SETTINGS)
def trained(request: pytest.FixtureRequest) -> Trained:
    name = request.param
    settings, rounds = SETTINGS[name]
    world = make_world(make_family("point-goal"))
    tasks, controller = world.family.tasks("train", TASKS), world.family.expert
    assert controller is not None
    roll = world.rollout(
        ExpertActor(controller, 2), jnp.full(TASKS, 0.3), tasks, 4, jax.random.key(9)
    )
    demos = label(controller, tasks, roll.trajectories)
    method = make_method(name, settings, world, tasks, controller)
    states, rows = [method.init(jax.random.key(0), demos)], []
    for i in range(rounds):
        state, row = one_round(method, states[-1], i)
        states.append(state)
        rows.append(row)
    return Trained(name, method, demos, states, rows, method.compiled_learn._cache_size())


def test_every_method_has_settings_here_and_in_the_configuration():
    assert list(SETTINGS) == list(METHODS)
    for name in METHODS:
        method = method_class(name)
        assert issubclass(method, Method)
        assert method.Settings is settings_class(name)
        assert type(SETTINGS[name][0]) is method.Settings
        assert type(preset("point-goal", name).settings) is method.Settings
        assert method.needs in ("nothing", "demonstrations", "answers")
        fields = [field.name for field in dataclasses.fields(method)]
        assert fields == ["config", "world", "tasks", "controller"]


@pytest.mark.parametrize("name", SETTINGS)
def test_pictures_are_learned_from_or_refused_in_one_sentence(name: str):
    method, family = method_class(name), make_family("sawyer-push-vision")
    if method.pictures:
        method.require_fit(preset(family.name, name).settings, family)
    else:
        match = (
            f"^{method.__name__} learns from states, and sawyer-push-vision shows pictures; choose "
        )
        with pytest.raises(ValueError, match=match):
            method.require_fit(SETTINGS[name][0], family)


@pytest.mark.parametrize("name", SETTINGS)
def test_only_a_method_that_asks_is_given_the_expert(name: str):
    world = make_world(make_family("point-goal"))
    tasks, expert = world.family.tasks("train", TASKS), world.family.expert
    method = make_method(name, SETTINGS[name][0], world, tasks, expert)
    assert (method.controller is expert) == (method.needs == "answers")


def test_an_unknown_method_is_named():
    with pytest.raises(
        ValueError, match=r"^There is no method 'reptile'\. Methods: gmps, gmps-latent, "
    ):
        make_method("reptile", None, None, None, None)  # pyright: ignore


def test_the_state_keeps_its_structure_and_counts_rounds(trained: Trained):
    first = trained.states[0]
    for i, state in enumerate(trained.states):
        assert jax.tree.structure(state) == jax.tree.structure(first)
        kinds = [(x.shape, x.dtype, x.weak_type) for x in jax.tree.leaves(state)]
        assert kinds == [(x.shape, x.dtype, x.weak_type) for x in jax.tree.leaves(first)]
        assert int(state.round) == i
        assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(trained.method.policy(state)))


def test_update_is_compiled_once(trained: Trained):
    assert trained.programs == 1


def test_policies_are_data_to_compiled_functions_and_exported_ones_are_functions(trained: Trained):
    method, obs = trained.method, jnp.asarray([0.3, -0.2])
    actor = method.actor()
    noise = jax.random.normal(jax.random.key(0), (actor.noise_size,))
    act = jax.jit(lambda policy, obs: actor(policy, jnp.zeros(2), obs, noise)[0])
    first, last = (method.policy(trained.states[i]) for i in (0, -1))
    for policy in (first, last):
        plain = actor(policy, jnp.zeros(2), obs, noise)[0]
        np.testing.assert_allclose(act(policy, obs), plain, atol=1e-5)
    assert act._cache_size() == 1
    if trained.name in NO_EXPORT:
        with pytest.raises(ValueError, match=NO_EXPORT[trained.name]):
            last.export()
        return
    exported = last.export()
    assert isinstance(exported, Policy)
    np.testing.assert_allclose(jax.jit(exported)(obs)[0], exported(obs)[0], atol=1e-5)
    # Handed on, it does what the method's own actor does without noise.
    quiet, _ = method.actor(stochastic=False)(last, jnp.zeros(2), obs, noise)
    np.testing.assert_allclose(exported(obs)[0], quiet, atol=1e-5)


def test_policies_act_as_noisily_as_they_are_told(trained: Trained):
    method = trained.method
    policy = method.policy(trained.states[-1])
    std = policy.action_std
    assert std.shape == (2,)
    assert (std > 0).all()
    many = stack(policy, 3).with_std(std)
    np.testing.assert_allclose(many.action_std, jnp.broadcast_to(std, (3, 2)), rtol=1e-6)
    assert jax.tree.structure(many) == jax.tree.structure(policy)
    if trained.name != "pearl":
        np.testing.assert_allclose(policy.with_std(0.05 * jnp.ones(2)).action_std, 0.05, rtol=1e-6)


def test_gathered_labels_are_the_experts(trained: Trained):
    data = trained.method.aggregate(trained.states[-1])
    assert (data is None) == (trained.method.needs == "nothing")
    if data is not None:
        controller = make_family("point-goal").expert
        assert controller is not None
        for task in range(TASKS):
            count = int(data.count[task])
            obs, act = data.obs[task, :count], data.act[task, :count]
            wanted = jax.vmap(controller, (None, 0))(trained.method.tasks[task], obs)
            np.testing.assert_allclose(act, jnp.clip(wanted, -1, 1), atol=1e-6)


def test_adaptation_takes_a_step_for_each_key(trained: Trained):
    method, state = trained.method, trained.states[-1]
    world, tasks = method.world, make_family("point-goal").tasks("heldout", 3)
    start = stack(method.policy(state), 3)
    keys = jax.random.split(jax.random.key(4), 2)
    steps = list(adaptation(world, method, state, start, tasks, episodes=6, keys=keys))
    policies = start
    for number, (key, step) in enumerate(zip(keys, steps, strict=True), start=1):
        data = explore(world, method, state, policies, tasks, episodes=6, key=key)
        proposed = method.adapt(state, policies, data)
        policies = part_of_the_way(policies, proposed, method.share(number))
        for a, b in zip(jax.tree.leaves(step), jax.tree.leaves((data, policies)), strict=True):
            np.testing.assert_array_equal(a, b)
    assert not list(adaptation(world, method, state, start, tasks, episodes=6, keys=[]))


def test_episodes_of_a_step_are_side_by_side_or_each_begins_with_what_was_left(trained: Trained):
    method, state, key = trained.method, trained.states[-1], jax.random.key(6)
    world, tasks = method.world, make_family("point-goal").tasks("heldout", 3)
    policies = stack(method.policy(state), 3)
    found = explore(world, method, state, policies, tasks, episodes=2, key=key)
    if not method.sequential:
        wanted = world.rollout(method.actor(), policies, tasks, 2, key).trajectories
        np.testing.assert_array_equal(found.act, wanted.act)
        return
    keys = jax.random.split(key)
    first = world.rollout(method.actor(), policies, tasks, 1, keys[0]).trajectories
    then = method.adapt(state, policies, first)
    second = world.rollout(method.actor(), then, tasks, 1, keys[1]).trajectories
    np.testing.assert_array_equal(found.act, jnp.concatenate([first.act, second.act], 1))
    # To some at once or one after the other.
    one_by_one, at_once = method.adapt(state, then, second), method.adapt(state, policies, found)
    for a, b in zip(jax.tree.leaves(one_by_one), jax.tree.leaves(at_once), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def documented_columns() -> set[str]:
    """The names in the first column of the manual's tables of metrics."""
    rows = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8").splitlines()
    cells = (row.split("|")[1] for row in rows if row.startswith("| `"))
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_metrics_are_numbers_and_the_same_every_round(trained: Trained):
    for row in trained.rows:
        assert set(row) == set(trained.rows[0])
        assert {"return/before", "return/after"} <= set(row)
        assert any(name.startswith("loss/") for name in row)
        assert np.isfinite(list(row.values())).all()
        assert set(row) <= documented_columns()


def test_a_round_is_deterministic_in_its_key_and_survives_a_checkpoint(trained: Trained, tmp_path):
    # From a saved state: what was not saved would show in the round's figures.
    middle = len(trained.rows) - 1
    checkpoint.save(tmp_path / "state.safetensors", trained.states[middle])
    like = trained.method.init(jax.random.key(5), trained.demos)
    state, _ = checkpoint.load(tmp_path / "state.safetensors", like)
    state, row = one_round(trained.method, state, middle)
    assert row == trained.rows[middle]
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(trained.states[-1]), strict=True):
        assert np.array_equal(a, b, equal_nan=True)


def test_adapting_leaves_the_state_and_reads_no_order_unless_it_says_so(trained: Trained):
    method, state = trained.method, trained.states[-1]
    tasks = make_family("point-goal").tasks("heldout", 3)
    policies = stack(method.policy(state), 3)
    world = make_world(make_family("point-goal"))
    data = world.rollout(method.actor(), policies, tasks, 6, jax.random.key(3)).trajectories
    copy = jax.tree.map(np.array, state)
    adapted = method.adapt(state, policies, data)
    for a, b in zip(jax.tree.leaves(copy), jax.tree.leaves(state), strict=True):
        assert np.array_equal(a, b, equal_nan=True)
    order = jnp.asarray([3, 1, 5, 0, 4, 2])
    shuffled = method.adapt(state, policies, jax.tree.map(lambda x: x[:, order], data))
    moved, apart = 0.0, 0.0
    leaves = (jax.tree.leaves(x) for x in (adapted, shuffled, policies))
    for a, b, before in zip(*leaves, strict=True):
        apart = max(apart, float(jnp.abs(a - b).max()) if a.size else 0.0)
        moved = max(moved, float(jnp.abs(a - before).max()) if a.size else 0.0)
    assert moved > 1e-3
    assert (apart > 1e-3) == (trained.name in IN_ORDER)


def test_learning_beats_an_untrained_policy(trained: Trained):
    method, state = trained.method, trained.states[-1]
    world = make_world(make_family("point-goal"))
    untrained = method.untrained(jax.random.key(0), trained.demos)
    result = Evaluator(world, EvaluationConfig(episodes=10, steps=1, repeats=2)).split(
        method,
        state,
        world.family.tasks("heldout"),
        jax.random.key(5),
        untrained=untrained,
        controller=world.family.expert,
        known=None,
        plain=None,
    )
    after = result.conditions["stochastic"]["after_1"].figures["return"]
    gain = (after - result.levels.untrained[:, None]).ravel()
    # The p-value of so large a mean gain, were its signs random.
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (4000, gain.size))
    assert ((signs * np.abs(gain)).mean(1) >= gain.mean()).mean() < 0.01


def test_what_cannot_be_adapted_to_is_one_sentence(trained: Trained):
    method, state = trained.method, trained.states[-1]
    tasks = method.world.family.tasks("heldout", 2)
    policies = stack(method.policy(state), 2)
    data = method.world.rollout(method.actor(), policies, tasks, 3, jax.random.key(5)).trajectories
    wide = data._replace(obs=jnp.pad(data.obs, ((0, 0), (0, 0), (0, 0), (0, 1))))
    with pytest.raises(GmpsError, match="The observations have 3 numbers, but point-goal has 2;"):
        method.adapt(state, policies, wide)
    for value in (jnp.nan, jnp.inf):
        bad = data._replace(reward=data.reward.at[1, 2, 4].set(value))
        match = f"The reward of step 4 in episode 2 of task 1 is {value}; nothing can be learned"
        with pytest.raises(GmpsError, match=match):
            method.adapt(state, policies, bad)
        over = bad._replace(alive=data.alive.at[1, 2, 4].set(False))
        method.adapt(state, policies, over)  # after the end of an episode there is no reward
    one = jax.tree.map(lambda x: x[:, :1], data)
    if method.least_episodes == 1:
        method.adapt(state, policies, one)
    else:
        match = f"{type(method).__name__} cannot adapt from 1 episode, because it compares them"
        with pytest.raises(GmpsError, match=match):
            method.adapt(state, policies, one)
