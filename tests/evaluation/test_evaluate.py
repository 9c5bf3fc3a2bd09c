from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmps.core.policy import init_policy
from gmps.evaluation import evaluate, repeats
from gmps.evaluation.evaluate import Evaluator, Levels, SplitResult
from gmps.evaluation.repeats import Measured, Repeats
from gmps.evaluation.settings import EvaluationConfig
from gmps.evaluation.summaries import summarise
from gmps.methods.base import policy_actor
from gmps.tasks import make_family
from gmps.worlds.factory import make_world

CONFIG = EvaluationConfig(episodes=4, steps=2, repeats=3, evaluation_episodes=2)


class Knows:
    """A method whose first step writes the task's mean return into the last layer's bias."""

    sequential = False

    def __init__(self, world: Any):
        self.world = world

    def actor(self, stochastic: bool = True) -> Any:
        return policy_actor(self.world.family, stochastic)

    def policy(self, state: Any) -> Any:
        return state

    def share(self, step: int) -> float:
        return 1.0

    def adapt(self, state: Any, policies: Any, data: Any) -> Any:
        del state
        shift = jnp.arange(1.0, 1.0 + data.reward.shape[0])[:, None]
        policies = eqx.tree_at(
            lambda p: p.head.biases[-1], policies, policies.head.biases[-1] + shift
        )
        return eqx.tree_at(lambda p: p.head.log_std, policies, policies.head.log_std - 10.0)


@pytest.fixture(scope="module")
def result():
    world = make_world(make_family("point-goal"))
    policy = init_policy(jax.random.key(0), 2, 2, std=0.3)
    evaluator = Evaluator(world, CONFIG)
    tasks = world.family.tasks("heldout", 4)
    split = evaluator.split(
        Knows(world),  # pyright: ignore[reportArgumentType]
        policy,
        tasks,
        jax.random.key(1),
        untrained=policy,
        controller=world.family.expert,
        known=None,
        plain=None,
    )
    return split, evaluator


def test_every_condition_is_there_in_both_modes(result):
    split, evaluator = result
    names = {"before", "after_1", "after_2", "wrong_task", "random_update", "zero_step", "expert"}
    assert {k: set(v) for k, v in split.conditions.items()} == {m: names for m in evaluate.MODES}
    figures = split.conditions["stochastic"]["after_1"].figures
    assert {k: v.shape for k, v in figures.items()} == {k: (4, 3) for k in figures}
    assert {"return", "success"} <= set(figures)
    horizon = 20
    adapting, measuring = 2 * 4 * 3 * 4, (2 * 7 + 1) * 4 * 3 * 2
    assert evaluator.env_steps == split.env_steps == (adapting + measuring) * horizon


def test_zero_step_differs_from_before_by_noise_alone(result):
    split, _ = result
    before, zero = (
        split.conditions["stochastic"][n].figures["return"] for n in ("before", "zero_step")
    )
    assert not np.array_equal(before, zero)
    assert abs(before.mean() - zero.mean()) < 4 * before.std() / np.sqrt(before.size)


def test_all_conditions_act_with_the_noise_before_the_update(monkeypatch):
    # The method's update quietens its policies by ten nats.
    world, stds = make_world(make_family("point-goal")), []
    policy = init_policy(jax.random.key(0), 2, 2, std=0.3)
    run = Repeats.run

    def note(self, actor, params, *rest):
        if not isinstance(params, jax.Array):
            stds.append(np.asarray(params.action_std))
        return run(self, actor, params, *rest)

    monkeypatch.setattr(Repeats, "run", note)
    Evaluator(world, replace(CONFIG, repeats=2)).split(
        Knows(world),  # pyright: ignore[reportArgumentType]
        policy,
        world.family.tasks("heldout", 2),
        jax.random.key(1),
        untrained=policy,
        controller=world.family.expert,
        known=None,
        plain=None,
    )
    assert len(stds) == 2 * 6 + 1
    np.testing.assert_allclose(np.stack(stds), 0.3, rtol=1e-6)


def test_repeats_end_where_more_would_narrow_no_interval(result, monkeypatch):
    split, _ = result
    assert not evaluate.enough(split.conditions, split.levels, 100)
    monkeypatch.setattr(evaluate, "PRECISION", np.inf)
    world = make_world(make_family("point-goal"))
    policy = init_policy(jax.random.key(0), 2, 2, std=0.3)
    evaluator = Evaluator(world, CONFIG)
    early = evaluator.split(
        Knows(world),  # pyright: ignore[reportArgumentType]
        policy,
        world.family.tasks("heldout", 4),
        jax.random.key(1),
        untrained=policy,
        controller=world.family.expert,
        known=None,
        plain=None,
    )
    assert evaluator.env_steps == early.env_steps == split.env_steps * 2 // 3
    # The first two are those that come first where there are more.
    for mode, rows in early.conditions.items():
        for name, found in rows.items():
            whole = split.conditions[mode][name].figures["return"]
            np.testing.assert_array_equal(found.figures["return"], whole[:, :2])
    rows = evaluate.task_rows(early, "heldout", list("abcd"))
    assert [row.repeats for row in rows] == [2] * 4


def test_what_more_repeats_narrow_by_hand():
    # Means 1, 2, 3: variance 1, over three tasks 1/3. Within a task the variance is 0.08, over the
    # mean of 3 x 2 numbers 0.04/3; four repeats would halve that.
    x = np.array([[0.8, 1.2], [1.8, 2.2], [2.8, 3.2]])
    expected = 4.302652729911275 * (np.sqrt(1 / 3) - np.sqrt(1 / 3 - 0.02 / 3))
    assert evaluate.narrowing(x, 4) == pytest.approx(expected)
    assert evaluate.narrowing(x, 2) == 0
    assert evaluate.narrowing(x[:, :1], 2) == np.inf


def test_a_derangement_moves_every_task():
    for seed in range(20):
        for n in (2, 3, 7):
            moved = np.asarray(repeats._derangement(jax.random.key(seed), n))
            assert sorted(moved) == list(range(n))
            assert (moved != np.arange(n)).all()


def test_a_random_update_has_the_norm_of_the_real_one_in_each_leaf():
    before = {"a": jnp.zeros((2, 5, 3)), "b": jnp.ones((2, 4)), "fixed": jnp.ones((2, 3))}
    after = {
        "a": jnp.full((2, 5, 3), 0.1),
        "b": jnp.asarray([[2.0] * 4, [1.5] * 4]),
        "fixed": jnp.ones((2, 3)),
    }
    moved = repeats.random_update(before, after, jax.random.key(0))
    for name, start in before.items():
        real = jnp.linalg.norm((after[name] - start).reshape(2, -1), axis=1)
        random = jnp.linalg.norm((moved[name] - start).reshape(2, -1), axis=1)
        assert jnp.allclose(real, random, rtol=1e-5)
    assert not jnp.allclose(moved["b"], after["b"])


def measured(values: list[list[float]]) -> Measured:
    return Measured({"return": np.array(values)}, {})


def score_of(conditions, levels):
    result = SplitResult(None, levels, dict.fromkeys(evaluate.MODES, conditions), 0)
    rows = evaluate.task_rows(result, "heldout", ["a", "b"])
    return summarise([rows]).deterministic.adaptation_score["after_1"]


def test_adaptation_score_by_hand():
    levels = Levels(np.zeros(2), np.full(2, 10.0), "")
    conditions = {
        "before": measured([[2.0, 2.0], [2.0, 2.0]]),
        "wrong_task": measured([[4.0, 4.0], [4.0, 4.0]]),
        "random_update": measured([[1.0, 1.0], [1.0, 1.0]]),
        "after_1": measured([[7.0, 7.0], [7.0, 7.0]]),
    }
    score = score_of(conditions, levels)
    assert score.control == "wrong_task"
    assert (score.value, score.ci_low, score.ci_high) == pytest.approx((0.5, 0.5, 0.5))
    conditions["expert"] = measured([[8.0, 8.0], [8.0, 8.0]])
    assert score_of(conditions, levels).value == pytest.approx(0.75)
    conditions["before"] = measured([[9.0, 9.0], [9.0, 9.0]])
    assert score_of(conditions, levels).value is None


def test_scores_have_intervals_and_task_rows(result):
    split, _ = result
    rows = evaluate.task_rows(split, "heldout", ["a", "b", "c", "d"])
    scores = summarise([rows])
    expert = scores.deterministic.conditions["expert"]["normalised"]
    assert expert.mean == pytest.approx(1.0, abs=0.02)
    for _, level in scores.items():
        row = level.conditions["before"]["normalised"]
        assert row.ci_low <= row.mean <= row.ci_high
        assert set(level.adaptation_score) == {"after_1", "after_2"}
    assert [r.task for r in rows] == ["a", "b", "c", "d"]
    for row in rows:
        low, high = row.levels.untrained, row.levels.expert
        before = row.deterministic["before"]
        assert before["normalised"] == pytest.approx((before["return"] - low) / (high - low))
    mean = np.mean([r.deterministic["before"]["return"] for r in rows])
    assert mean == pytest.approx(
        split.conditions["deterministic"]["before"].figures["return"].mean()
    )


def test_one_task_has_no_wrong_task():
    world = make_world(make_family("point-goal"))
    policy = init_policy(jax.random.key(0), 2, 2)
    text = "The evaluation got 1 task; the wrong-task control needs at least 2: choose more tasks."
    with pytest.raises(ValueError, match=text):
        Evaluator(world, CONFIG).split(
            Knows(world),  # pyright: ignore[reportArgumentType]
            policy,
            world.family.tasks("heldout", 1),
            jax.random.key(1),
            untrained=policy,
            controller=world.family.expert,
            known=None,
            plain=None,
        )
