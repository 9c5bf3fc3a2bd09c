"""Parts of a report: curves, paths, numbers."""

import re

import numpy as np
import pytest

from gmps.evaluation.conditions import condition_label
from gmps.report.curves import Curve, Panel, draw, mean_curve, series
from gmps.report.paths import draw_tasks
from gmps.report.text import duration, number


def test_series_adds_up_all_steps_but_the_evaluations():
    rows = [
        {"round": 0, "steps/meta": 10, "steps/expert": 5, "steps/evaluation": 99, "a": 1.0},
        {"round": 1, "steps/meta": 20, "steps/demonstration": 7, "a": None},
        {"round": 2, "steps/meta": 30, "a": 3.0},
    ]
    x, y = series(rows, "a")
    assert x.tolist() == [15, 30]
    assert y.tolist() == [1, 3]


def test_mean_over_seeds_on_common_steps():
    curve = Curve(
        "return",
        "group",
        1,
        False,
        [np.array([0.0, 1, 2, 3]), np.array([1.0, 3])],
        [np.array([0.0, 1, 2, 3]), np.array([11.0, 13])],
    )
    x, y = mean_curve(curve)
    assert x.tolist() == [1, 2, 3]
    assert y.tolist() == [6, 7, 8]


def test_one_point_is_drawn():
    curve = Curve("return", "group", 1, False, [np.array([1.0])], [np.array([2.0])])
    assert draw(Panel("Return", [curve])).count("<use") == 1


def test_paths_of_one_episode_and_of_many_share_a_scale():
    arrays = {
        "goal": np.array([[1.0, 0.0], [0.0, 1.0]]),
        "before/ant": np.zeros((2, 5, 2)),
        "after_1/ant": np.ones((2, 3, 5, 2)),
        "task_names": np.array(["a", "b"]),
    }
    pictures = draw_tasks(arrays)
    assert [title for title, _ in pictures] == ["a", "b"]
    for _, svg in pictures:
        assert svg.count('<polyline class="path before main"') == 1
        assert svg.count('<polyline class="path after_1 main"') == 3
        # 172 units for the 1 m that everything spans, so a third of the side is below 0.5 m.
        assert ">20 cm</text>" in svg
    assert 'class="goal"><circle cx="186.0" cy="186.0"' in pictures[0][1]
    assert 'class="goal"><circle cx="14.0" cy="14.0"' in pictures[1][1]


def test_paths_of_another_shape():
    arrays = {"goal": np.zeros((2, 2)), "before/ant": np.zeros((3, 5, 2))}
    message = "The paths before/ant have shape (3, 1, 5, 2), but need the axes"
    with pytest.raises(ValueError, match=re.escape(message)):
        draw_tasks(arrays)


@pytest.mark.parametrize(
    ("x", "measure", "text"),
    [
        (538.98, "return", "539"),
        (12345.6, "return", "12,346"),
        (45.32, "return", "45.3"),
        (0.02134, "final_error", "0.0213"),
        (-0.5, "normalised", "−0.50"),
        (0.854, "success", "85 %"),
        (0, "return", "0"),
        (None, "return", "–"),
        (float("nan"), "return", "–"),
    ],
)
def test_numbers(x, measure, text):
    assert number(x, measure) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(5, "5 s"), (600, "10 min"), (7000, "1 h 57 min"), (0.2, "0 s")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_labels():
    assert condition_label("after_1") == "After 1 update"
    assert condition_label("after_3") == "After 3 updates"
    assert condition_label("something_new") == "Something new"
