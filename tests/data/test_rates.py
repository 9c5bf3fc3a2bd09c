"""Rates, by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from gmps.data import rates
from gmps.data.demos import load_demos
from gmps.data.importing import import_demos
from gmps.data.mapping import Mapping
from gmps.tasks import make_family


def column(*values):
    return np.array(values, float)[:, None]


def test_five_steps_of_the_recording_in_one_of_the_family():
    when = rates.steps(11, 5)  # the last step is a part of one
    assert_allclose(when.start, [0, 5])
    assert_allclose(when.end, [5, 10])
    positions = column(*range(11))
    assert_allclose(rates.states(positions, None, when.start)[:, 0], [0, 5])
    # Where to be when the step ends; how far in all; how fast in the mean.
    targets = positions + 1
    assert_allclose(rates.actions(targets, "target", when)[:, 0], [5, 10])
    ones = np.ones((11, 1))
    assert_allclose(rates.actions(ones, "displacement", when)[:, 0], [5, 5])
    assert_allclose(rates.actions(positions, "rate", when)[:, 0], [2, 7])
    assert_allclose(rates.rewards(positions[:, 0], when), [2, 7])
    assert rates.frames(when, 11).tolist() == [0, 5]


def test_a_recording_that_is_slower_than_the_family():
    when = rates.steps(2, 0.5)
    assert_allclose(when.start, [0, 0.5, 1, 1.5])
    assert_allclose(rates.states(column(0, 2), np.array([6.0]), when.start)[:, 0], [0, 1, 2, 4])
    assert_allclose(rates.states(column(0, 2), None, when.start)[:, 0], [0, 1, 2, 2])
    assert_allclose(rates.actions(column(4, 8), "displacement", when)[:, 0], [2, 2, 4, 4])
    assert_allclose(rates.actions(column(4, 8), "rate", when)[:, 0], [4, 4, 8, 8])
    assert_allclose(rates.actions(column(4, 8), "target", when)[:, 0], [4, 4, 8, 8])
    assert rates.frames(when, 2).tolist() == [0, 0, 1, 1]


def test_a_ratio_that_is_no_whole_number_keeps_the_way_covered():
    rng = np.random.default_rng(0)
    moves = rng.normal(size=(30, 2))
    when = rates.steps(30, 1.25)
    assert len(when.start) == 24
    covered = rates.actions(moves, "displacement", when)
    assert_allclose(covered.sum(0), moves.sum(0))
    assert_allclose(rates.actions(moves, "rate", when), covered / 1.25)


@pytest.mark.parametrize("hz", [10, 50])
def test_absolute_targets_become_actions(tmp_path, hz):
    """A point that is told where to be 5 cm further, ten or fifty times a second, in mm."""
    path = tmp_path / "takes"
    path.mkdir()
    each = 50 * 10 / hz  # mm in a step of the recording
    steps = 20 * hz // 10
    for i, way in enumerate(([1, 0], [0, 1])):
        at = np.arange(steps)[:, None] * np.array(way) * each
        np.savez(path / f"{i}.npz", position=at, target=at + each * np.array(way), goal=way)
    mapping = Mapping(
        map=("position=obs", "target=act"),
        # A full action is 0.1 m.
        scale=("position=0.001", "act=0.01"),
        actions="target:position",
        hz=hz,
    )
    family = make_family("point-goal")
    report = import_demos(path, family, tmp_path / "out", mapping)
    demos = load_demos(tmp_path / "out", family)
    assert demos.obs.shape == (2, 1, 20, 2)
    assert_allclose(demos.act[0, 0], np.tile([0.5, 0], (20, 1)), atol=1e-6)
    assert_allclose(demos.obs[1, 0], np.arange(20)[:, None] * [0, 0.05], atol=1e-6)
    assert ("brought from 50 to 10 steps a second" in str(report)) == (hz == 50)


def test_another_rate_needs_to_know_what_an_action_is(tmp_path):
    path = tmp_path / "takes"
    path.mkdir()
    np.savez(path / "0.npz", obs=np.zeros((9, 2)), act=np.zeros((9, 2)), goal=[0, 1])
    with pytest.raises(ValueError, match="has 50 steps a second and point-goal 10: say what an ac"):
        import_demos(path, make_family("point-goal"), tmp_path / "out", Mapping(hz=50))
    with pytest.raises(ValueError, match=r"0 of .* is shorter than one step of point-goal"):
        mapping = Mapping(hz=1000, actions="rate")
        import_demos(path, make_family("point-goal"), tmp_path / "out", mapping)
    with pytest.raises(ValueError, match="target:hand of point-goal needs a part of the observati"):
        mapping = Mapping(actions="target:hand")
        import_demos(path, make_family("point-goal"), tmp_path / "out", mapping)
