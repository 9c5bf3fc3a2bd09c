from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmps.core.losses import InnerBatch
from gmps.core.types import Demonstrations
from gmps.evaluation.evaluate import Evaluator
from gmps.evaluation.settings import EvaluationConfig
from gmps.experts.base import ExpertActor
from gmps.methods import gmps
from gmps.methods.gmps import Gmps, GmpsState
from gmps.methods.gmps_settings import GmpsConfig
from gmps.tasks import make_family
from gmps.worlds.factory import make_world

CONFIG = GmpsConfig(
    episodes=10, hidden=(32, 32), std=0.3, outer_steps=10, labels=50, pretrain_steps=500
)


@pytest.fixture(scope="module")
def method() -> Gmps:
    world = make_world(make_family("point-goal"))
    return Gmps(CONFIG, world, world.family.tasks("train", 8), world.family.expert)


@pytest.fixture(scope="module")
def demos(method: Gmps) -> Demonstrations:
    assert method.controller is not None
    actor = ExpertActor(method.controller, 2)
    roll = method.world.rollout(actor, jnp.full(8, 0.3), method.tasks, 4, jax.random.key(9))
    obs = roll.trajectories.obs.reshape(8, -1, 2)
    act = jax.vmap(jax.vmap(method.controller, (None, 0)))(method.tasks, obs)
    return Demonstrations(obs, act, jnp.ones(obs.shape[:2], bool))


@pytest.fixture(scope="module")
def start(method: Gmps, demos: Demonstrations) -> GmpsState:
    return method.init(jax.random.key(0), demos)


@pytest.fixture(scope="module")
def trained(method: Gmps, start: GmpsState) -> tuple[GmpsState, list[dict[str, float]]]:
    state, rows = start, []
    for i in range(25):
        state, gathered = method.gather(state, jax.random.key(2 * i))
        state, metrics = method.update(state, gathered, jax.random.key(2 * i + 1))
        rows.append({**gathered.metrics, **{k: float(v) for k, v in metrics.items()}})
    return state, rows


def batch_with(weight: list[list[float]], alive: list[list[bool]]) -> InnerBatch:
    w = jnp.asarray(weight)[None]
    zero = jnp.zeros((*w.shape, 1))
    return InnerBatch(zero, zero, w * 0, w * 0, w, jnp.asarray(alive)[None])


def test_effective_sample_size_by_hand():
    even = batch_with([[1.0, 1.0], [1.0, 1.0]], [[True, True], [True, True]])
    half = batch_with([[1.0, 1.0], [0.0, 0.0]], [[True, True], [True, True]])
    padded = batch_with([[1.0, 3.0], [9.0, 9.0]], [[True, True], [False, False]])
    values = [float(gmps.effective_sample_size(b)) for b in (even, half, padded)]
    assert values == pytest.approx([1.0, 0.5, 16 / 20])


def test_learning_beats_before_wrong_task_and_random_update(method: Gmps, trained):
    state, rows = trained
    evaluator = Evaluator(method.world, EvaluationConfig(episodes=10, steps=1, repeats=3))
    result = evaluator.split(
        method,
        state,
        method.world.family.tasks("heldout"),
        jax.random.key(5),
        untrained=method.policy(state),
        controller=method.controller,
        known=None,
        plain=None,
    )
    for conditions in result.conditions.values():
        after = conditions["after_1"].figures["return"]
        for control in ("before", "wrong_task", "random_update"):
            gain = (after - conditions[control].figures["return"]).ravel()
            assert sign_flip_test(gain) < 0.01, control
    assert rows[-1]["loss/imitation"] < 0.7 * rows[0]["loss/imitation"]


def sign_flip_test(gain: np.ndarray, draws: int = 4000) -> float:
    """p-value of a mean gain at least this large if signs were random."""
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (draws, gain.size))
    return float(((signs * np.abs(gain)).mean(1) >= gain.mean()).mean())


def test_the_sign_flip_test_can_fail():
    assert sign_flip_test(np.random.default_rng(1).normal(0, 1, 24)) > 0.01


def test_a_block_ends_when_its_weights_have_worn_out(method: Gmps, start: GmpsState):
    state, gathered = method.gather(start, jax.random.key(1))
    strict = replace(method, config=replace(CONFIG, max_kl=1e-4))
    _, metrics = strict.update(state, gathered, jax.random.key(2))
    assert int(metrics["block/steps"]) == 1
    free = replace(method, config=replace(CONFIG, max_kl=float("inf"), min_ess=0.0))
    _, metrics = free.update(state, gathered, jax.random.key(2))
    assert int(metrics["block/steps"]) == CONFIG.outer_steps
    assert 0 < float(metrics["block/ess"]) <= 1
    assert float(metrics["block/kl"]) > 0


def test_collapse_returns_to_the_last_good_state(method: Gmps, trained):
    state, _ = trained
    wrecked = jax.tree.map(lambda x: x * 5, state.params.policy.head.weights)
    bad = state._replace(
        params=state.params._replace(
            policy=eqx.tree_at(lambda p: p.head.weights, state.params.policy, wrecked)
        )
    )
    bad, gathered = method.gather(bad, jax.random.key(1))
    mended, metrics = method.update(bad, gathered, jax.random.key(2))
    assert bool(metrics["block/collapsed"])
    for a, b in zip(jax.tree.leaves(mended.params), jax.tree.leaves(state.good[0]), strict=True):
        assert np.array_equal(a, b)
    assert mended.mean_loss == state.mean_loss


def test_not_a_number_is_a_collapse(method: Gmps, trained):
    state, _ = trained
    state, gathered = method.gather(state, jax.random.key(1))
    broken = jax.tree.map(lambda x: x * jnp.nan, gathered.batches[0].advantage)
    batches = (gathered.batches[0]._replace(advantage=broken),)
    mended, metrics = method.update(state, gathered._replace(batches=batches), jax.random.key(2))
    assert bool(metrics["block/collapsed"])
    assert all(jnp.isfinite(x).all() for x in jax.tree.leaves(mended.params))


def test_stored_actions_are_the_experts_whoever_acted(method: Gmps, start: GmpsState):
    controller = method.controller
    assert controller is not None
    mixed = replace(method, config=replace(CONFIG, beta="geometric"))
    state, gathered = mixed.gather(start, jax.random.key(3))
    for task in range(8):
        count = int(state.data.count[task])
        obs, act = state.data.obs[task, :count], state.data.act[task, :count]
        expected = jax.vmap(controller, (None, 0))(method.tasks[task], obs)
        assert jnp.allclose(act, jnp.clip(expected, -1, 1), atol=1e-6)
    visited = 4 * 20
    assert int(state.data.count[0] - start.data.count[0]) == 3 * visited
    assert gathered.steps == {"meta": 8 * (10 + 4) * 20, "evaluation": 0}


def test_without_an_expert_nothing_is_labelled_and_visits_only_measure(
    method: Gmps, demos: Demonstrations
):
    alone = replace(method, controller=None)
    start = alone.init(jax.random.key(0), demos)
    state, gathered = alone.gather(start, jax.random.key(1))
    assert state.data.obs.shape == demos.obs.shape
    assert gathered.steps == {"meta": 8 * 10 * 20, "evaluation": 8 * 4 * 20}


def test_rounds_are_deterministic_in_their_key(method: Gmps, start: GmpsState):
    def once() -> list[np.ndarray]:
        state, gathered = method.gather(start, jax.random.key(7))
        state, _ = method.update(state, gathered, jax.random.key(8))
        return [np.asarray(x) for x in jax.tree.leaves(state)]

    for a, b in zip(once(), once(), strict=True):
        assert np.array_equal(a, b, equal_nan=True)


def test_a_round_keeps_the_structure_of_the_state(start: GmpsState, trained):
    state, _ = trained
    assert jax.tree.structure(state) == jax.tree.structure(start)
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(start), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)


def test_two_inner_steps_use_their_own_episodes(method: Gmps, start: GmpsState):
    twice = replace(method, config=replace(CONFIG, inner_steps=2))
    state, gathered = twice.gather(start, jax.random.key(1))
    first, second = gathered.batches
    assert not jnp.array_equal(first.obs, second.obs)
    _, metrics = twice.update(state, gathered, jax.random.key(2))
    assert np.isfinite(float(metrics["loss/imitation"]))
