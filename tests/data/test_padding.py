"""Unequal lengths as files say them, and padding where they do not."""

import numpy as np
import pytest
from test_demos import FAMILY, arrays, refused, save

from gmps.data.demos import load_demos
from gmps.data.padding import find_padding


def steps(demos):
    return demos.alive.sum(-1).tolist()


def test_lengths_say_where_episodes_end(tmp_path):
    content = arrays() | {"lengths": np.array([[4, 2, 0], [1, 4, 3]])}
    content["observations"][0, 1, 2:] = np.nan  # beyond the end nothing is looked at
    demos = load_demos(save(tmp_path, **content), FAMILY)
    assert steps(demos) == [[4, 2, 0], [1, 4, 3]]
    assert (demos.report.episodes, demos.report.steps) == (5, 14)
    assert demos.report.notes == demos.report.ignored == ()
    np.testing.assert_array_equal(demos.obs[0, 1, 2:], 0)
    np.testing.assert_array_equal(demos.obs[0, 1, :2], content["observations"][0, 1, :2])
    assert demos.demonstrations().valid.sum() == 14


def test_a_mask_says_the_same(tmp_path):
    mask = np.arange(4) < np.array([[4, 2, 1], [1, 4, 3]])[..., None]
    demos = load_demos(save(tmp_path, **arrays(), mask=mask), FAMILY)
    np.testing.assert_array_equal(demos.alive, mask)
    both = save(tmp_path, **arrays(), mask=mask, lengths=mask.sum(-1))
    np.testing.assert_array_equal(load_demos(both, FAMILY).alive, mask)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (
            {"lengths": np.ones((3, 2), int)},
            "The array lengths of FILE has shape (3, 2), but needs (task, episode), (2, 3).",
        ),
        (
            {"lengths": np.full((2, 3), 5)},
            "The array lengths of FILE has the value 5 at index (0, 0); a length is a whole number "
            "from 0 to the 4 steps there are.",
        ),
        (
            {"lengths": np.full((2, 3), 1.5)},
            "The array lengths of FILE has the value 1.5 at index (0, 0); a length is a whole "
            "number from 0 to the 4 steps there are.",
        ),
        (
            {"mask": np.ones((2, 3))},
            "The array mask of FILE has shape (2, 3), but needs (task, episode, t), (2, 3, 4).",
        ),
        (
            {"mask": np.array([1, 1, 0, 1]) * np.ones((2, 3, 1))},
            "The array mask of FILE has a gap before step 3 of episode 0 of task 0; the steps of "
            "an episode must follow each other.",
        ),
        (
            {"mask": np.ones((2, 3, 4)), "lengths": np.ones((2, 3), int)},
            "The arrays lengths and mask of FILE disagree; give one of them.",
        ),
        (
            {"lengths": np.array([[1, 1, 1], [0, 0, 0]])},
            "Task 1 of FILE has no steps; leave it out of the arrays.",
        ),
    ],
)
def test_lengths_that_do_not_fit(tmp_path, extra, message):
    assert refused(save(tmp_path, **arrays(), **extra)) == message


def padded(how, rewards=True):
    """An episode of 12 real steps in arrays of 20."""
    content = arrays(2, 1, 20)
    content["rewards"][0, 0, 12:] = 0
    content["actions"][0, 0, 12:] = 0
    fill = {"zeros": 0, "repeated": content["observations"][0, 0, 11], "nan": np.nan}[how]
    content["observations"][0, 0, 12:] = fill
    if how == "nan":
        content["actions"][0, 0, 12:] = np.nan
        content["rewards"][0, 0, 12:] = np.nan
    if not rewards:
        del content["rewards"]
    return content


@pytest.mark.parametrize("rewards", [True, False])
@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("zeros", "zeros"),
        ("repeated", "the last state repeated, with actions of zeros"),
        ("nan", "NaN"),
    ],
)
def test_padding_is_left_out_and_said(tmp_path, how, words, rewards):
    path = save(tmp_path, **padded(how, rewards))
    demos = load_demos(path, FAMILY)
    assert steps(demos) == [[12], [20]]
    assert words in demos.report.notes[0]
    assert "1 of 2 episodes end in padding (" in demos.report.notes[0]
    assert "8 to 8 steps each; these 8 steps are left out" in str(demos.report)
    assert demos.demonstrations().valid.sum() == 32
    # Whoever means these steps says so.
    if how != "nan":
        said = save(tmp_path, **padded(how, rewards), lengths=np.full((2, 1), 20))
        assert steps(load_demos(said, FAMILY)) == [[20], [20]]


def test_standing_still_for_pay_is_no_padding():
    content = padded("repeated")
    content["rewards"][0, 0, 12:] = 0.5
    found = find_padding(content["observations"], content["actions"], content["rewards"])
    assert found.note is None
    assert found.alive.all()


def test_zeros_in_between_and_acting_in_place_are_real():
    content = arrays(1, 1, 6)
    content["observations"][0, 0, 2:4] = 0
    content["actions"][0, 0, 2:4] = 0
    content["observations"][0, 0, 5] = content["observations"][0, 0, 4]
    assert find_padding(content["observations"], content["actions"], None).note is None


def test_whole_episodes_of_padding_are_a_task_with_fewer(tmp_path):
    content = arrays()
    for name in ("observations", "actions", "rewards"):
        content[name][1, 2] = 0
    assert steps(load_demos(save(tmp_path, **content), FAMILY)) == [[4, 4, 4], [4, 4, 0]]
    # But a task of nothing else is taken at its word.
    for name in ("observations", "actions", "rewards"):
        content[name][1] = 0
    assert steps(load_demos(save(tmp_path, **content), FAMILY)) == [[4, 4, 4], [4, 4, 4]]
