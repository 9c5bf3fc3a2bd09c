"""Demonstrations that are not what they seem are named."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gmps.data.checks import (
    Ranges,
    _same_goals,
    action_questions,
    goal_questions,
    goal_unit_questions,
    horizon_questions,
    own_ranges,
    questions,
    reward_questions,
    reward_words,
    start_questions,
    summary,
    unit_questions,
)
from gmps.data.demos import load_demos
from gmps.presets import preset
from gmps.tasks import make_family
from gmps.tasks.base import Part, Spec
from gmps.training.demonstrated import demonstrated
from places import DATA

ARM: Any = SimpleNamespace(
    name="arm",
    spec=Spec(obs_size=5, act_size=2, context_size=1, horizon=20, control_dt=0.1),
    parts=(Part("hand", 2, "m"), Part("joints", 2, "rad"), Part("load", 1, "kg")),
)
POINT = make_family("point-goal")
OWN = Ranges(
    np.array([-0.5, -0.5, -1, -1, 0]),
    np.array([0.5, 0.5, 1, 1, 1]),
    np.array([0, 0, 0.1, 0.1, 0]),
    np.array([0, 0, 0.2, 0.2, 0]),
    -2.0,
    0.0,
)
LOW, HIGH = np.array([-0.4, -0.4, -0.8, -0.8, 0]), np.array([0.4, 0.4, 0.8, 0.8, 1])


@pytest.mark.parametrize(
    ("low", "high", "sentence"),
    [
        (
            [120, 150, 0, 0, 0],
            [340, 200, 1, 1, 1],
            "hand is in [120, 340]; the family's is in m and in [-0.5, 0.5]: millimetres?",
        ),
        (
            [-30, 0, 0, 0, 0],
            [30, 10, 1, 1, 1],
            "hand is in [-30, 30]; the family's is in m and in [-0.5, 0.5]: centimetres?",
        ),
        (
            [0, 0, -50, 0, 0],
            [0.1, 0.1, 28, 1, 1],
            "joints is in [-50, 28]; the family's is in rad and in [-1, 1]: degrees?",
        ),
        (
            [0, 0, 0, 0, 0],
            [0, 0, 0, 0, 900],
            "load is in [0, 900]; the family's is in kg and in [0, 1]: another unit?",
        ),
    ],
)
def test_units(low, high, sentence):
    assert unit_questions(np.array(low), np.array(high), ARM, OWN) == [sentence]
    nameless: Any = SimpleNamespace(name="arm", spec=ARM.spec, parts=())
    found = unit_questions(np.array(low), np.array(high), nameless, OWN)
    assert found[0].startswith("number ")


def test_what_is_alike_is_not_asked_about():
    assert unit_questions(LOW, HIGH, ARM, OWN) == []
    assert start_questions(OWN.start_low, OWN.start_high, ARM, OWN) == []
    assert unit_questions(1000 * LOW, 1000 * HIGH, ARM, None) == []
    assert action_questions(0.0, 0.9) == []
    assert goal_questions(np.array([[0.0, 1.0], [1.0, 0.0]]), POINT) == []
    assert goal_unit_questions(np.array([[0.0, 1.0], [1.0, 0.0]]), POINT) == []
    assert reward_questions(np.array([-1.9, 0.0]), POINT, OWN) == []
    assert reward_questions(None, POINT, OWN) == []
    assert horizon_questions(12, 20, ARM) == []


def test_starts():
    start = np.array([0, 0, 8.0, 8, 0])
    assert start_questions(start, start + 0.5, ARM, OWN) == [
        "joints starts in [8, 8.5]; the family's starts in [0.1, 0.2]: another frame or unit?"
    ]
    # A fifth of its size, 0.5 m, is 0.1 m.
    hand = np.array([0.11, 0, 0.1, 0.1, 0])
    assert start_questions(hand, hand + 0.05, ARM, OWN) == [
        "hand starts in [0, 0.16]; the family's starts in [0, 0]: another frame or unit?"
    ]
    assert start_questions(hand - 0.02, hand, ARM, OWN) == []


def test_actions_goals_and_horizon():
    assert action_questions(0.53, 2.0) == [
        "53% of the numbers of actions are beyond [-1, 1], the largest 2, and are clipped; in "
        "other units? `gmps demos import` takes --scale act=0.5."
    ]
    assert "The largest number of an action is 0.001" in action_questions(0.0, 0.001)[0]
    goals = np.array([[0.0, 1], [2, 1], [0, 1.0001], [2, 1]])
    assert _same_goals(goals) == ["The tasks 0 and 2, 1 and 3 have the same goal."]
    assert horizon_questions(60, 60, ARM) == [
        "Episodes have up to 60 steps, and those of arm end after 20: another horizon or rate?"
    ]
    assert horizon_questions(10, 10, ARM) == [
        "All episodes have 10 steps, and those of arm 20: another horizon or rate?"
    ]


def test_goals_of_another_unit_or_far_outside():
    """The goals of point-goal have x from -1 to 1 and y from 0 to 0.998 m."""
    goals = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert goal_unit_questions(1000 * goals, POINT) == [
        "Goals have numbers up to 1e+03; the largest of point-goal is 1: millimetres?"
    ]
    assert goal_questions(1000 * goals, POINT) == []
    assert goal_unit_questions(3 * goals, POINT) == []
    assert goal_questions(3 * goals, POINT) == [
        "The goal of task 1 has 3 as number 2, far outside of the tasks of point-goal, where it is "
        "0 to 0.998: another frame or unit?"
    ]


def test_rewards():
    assert reward_questions(100 * np.array([-1.9, 0.0]), POINT, OWN) == [
        "Rewards are in [-190, 0] a step; those of point-goal are in [-2, 0]: another scale? The "
        "demonstrators' level is taken from them."
    ]
    rng = np.random.default_rng(0)
    ours = rng.normal(size=50) + 1
    assert reward_words(100 * ours, ours) == "they are 100 times the family's"
    assert "a step in the mean, the family's" in reward_words(rng.normal(size=50), ours)


def test_ranges_of_a_family():
    own = own_ranges(make_family("point-goal"))
    assert own is not None
    # The scripted expert reaches goals on the upper half of the unit circle, from the origin.
    assert own.high.max() == pytest.approx(1.0, abs=1.2)
    assert own.high[1] > 0.9
    assert np.abs(own.start_low).max() < 0.1
    # Minus the distance to the goal: at most that of the corner (-2, -2), 3.83 m.
    assert -3.83 < own.reward_low < -2 < -0.1 < own.reward_high < 0
    outside: Any = SimpleNamespace(name="robot")
    assert own_ranges(outside) is None  # nothing moves for a check


def demonstrations(path, scale=1.0, steps=20, goal_scale=1.0, **more):
    """A point that goes straight to the goals of some tasks, one of them held out."""
    goals = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    obs = np.arange(steps)[:, None] * goals[:, None, None] * 0.05 * scale
    act = np.broadcast_to(goals[:, None, None] * 0.5, obs.shape)
    np.savez(path, observations=obs, actions=act, goals=goal_scale * goals, **more)
    return path


def test_training_begins_with_a_summary(tmp_path):
    family = make_family("point-goal")
    path = demonstrations(tmp_path / "a.npz")
    demos = load_demos(path, family)
    assert summary(demos, [1, 2], 1, "recomputed") == (
        "2 of 3 tasks used, 1 held out; 2 episodes; 0 % clipped; 20 to 20 steps; rewards recomputed"
    )
    config = replace(preset("point-goal"), demos=str(path))
    found = demonstrated(config, family, family.tasks("heldout"), True)
    assert found.notes == (
        "2 of 3 tasks used, 1 held out; 2 episodes; 0 % clipped; 20 to 20 steps; rewards unknown: "
        "the file has none",
    )
    assert found.warnings == ()
    config = replace(preset("point-goal"), demos=str(demonstrations(tmp_path / "b.npz", 1000, 30)))
    warnings = demonstrated(config, family, family.tasks("heldout"), True).warnings
    assert warnings[0].startswith("position is in [0, 1.45e+03]; the family's is in m and in [")
    assert warnings[0].endswith(": millimetres?")
    assert warnings[1].startswith("Episodes have up to 30 steps, and those of point-goal end aft")


def test_training_names_goals_and_rewards_of_another_unit(tmp_path):
    family = make_family("point-goal")
    rewards = np.full((3, 1, 20), -100.0)
    path = demonstrations(tmp_path / "a.npz", goal_scale=1000.0, rewards=rewards)
    config = replace(preset("point-goal"), demos=str(path))
    goals, level = demonstrated(config, family, family.tasks("heldout"), True).warnings
    assert goals == "Goals have numbers up to 1e+03; the largest of point-goal is 1: millimetres?"
    assert level.startswith("Rewards are in [-100, -100] a step; those of point-goal are in [-")


@pytest.mark.parametrize("name", ["ant-goal", "sawyer-push-sac"])
def test_the_authors_demonstrations_raise_no_questions(name):
    path = DATA / f"{name}-demos.npz"
    if not path.exists():
        pytest.skip("the authors' demonstrations are not here")
    family = make_family(name.removesuffix("-sac"))
    assert questions(load_demos(path, family), family, own_ranges(family)) == []
