import re

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gmps.evaluation.stats import iqm, stratified_bootstrap, summarise, task_iqm


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([5.0], 5.0),
        ([1.0, 2.0, 6.0], 3.0),  # floor(3 / 4) = 0: nothing is cut
        ([100.0, 2.0, 4.0, -7.0], 3.0),
        ([0.0, 1.0, 2.0, 3.0, 40.0], 2.0),
        ([8.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 4.5),
    ],
)
def test_iqm_by_hand(x, expected):
    assert iqm(x) == pytest.approx(expected)


@given(hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(-1e6, 1e6)))
def test_iqm_equals_scipys_trimmed_mean(x):
    assert iqm(x) == pytest.approx(scipy.stats.trim_mean(x, 0.25), rel=1e-9, abs=1e-6)


def test_iqm_reduces_the_named_axes():
    x = np.random.default_rng(0).normal(size=(3, 5, 7))
    by_hand = [iqm(x[:, i]) for i in range(5)]
    np.testing.assert_allclose(iqm(x, axis=(0, 2)), by_hand)
    np.testing.assert_allclose(iqm(x, axis=(-1, 0)), by_hand)


def test_iqm_of_nothing_is_an_error():
    message = "The interquartile mean needs at least one value, got shape (0,)."
    with pytest.raises(ValueError, match=re.escape(message)):
        iqm([])


def test_summary_by_hand():
    # Task means 1, 2, 3, 100: the middle half is 2 and 3. Episodes: median of 0 2 2 2 2 4 100 100.
    scores = np.array([[0.0, 2.0], [2.0, 2.0], [2.0, 4.0], [100.0, 100.0]])
    summary = summarise(scores)
    assert summary.iqm == 2.5
    assert summary.median == 2.0
    assert summary.ci_low <= 2.5 <= summary.ci_high


def test_two_episode_bootstrap_matches_enumeration():
    # One task with episodes 0 and 1: a draw's mean is 0, 1/2, 1 with probability 1/4, 1/2, 1/4.
    draws = []

    def record(x):
        draws.append(x.mean((-1, -2)))
        return draws[-1]

    interval = stratified_bootstrap(record, np.array([[0.0, 1.0]]), n=20_000)
    values, counts = np.unique(np.concatenate(draws), return_counts=True)
    np.testing.assert_array_equal(values, [0, 0.5, 1])
    assert scipy.stats.chisquare(counts, 20_000 * np.array([0.25, 0.5, 0.25])).pvalue > 1e-3
    assert interval == (0.0, 1.0)


def test_tasks_are_strata():
    # Episodes within a task are equal, so resampling within tasks changes nothing.
    scores = np.repeat(np.arange(8.0)[:, None], 5, axis=1)
    summary = summarise(scores)
    assert summary.ci_low == summary.iqm == summary.ci_high == 3.5
    wide = summarise(scores, resample_tasks=True)
    assert wide.ci_low < 3.5 < wide.ci_high


def test_seeds_are_resampled_as_wholes():
    # Seed 0 scores 0 everywhere and seed 1 scores 1: a draw mixes whole seeds, never tasks.
    scores = np.stack([np.zeros((6, 4)), np.ones((6, 4))])
    seen = set()

    def record(x):
        assert (x == x[:, :, :1, :1]).all()
        means = x.mean((1, 2, 3))
        seen.update(means.tolist())
        return means

    assert stratified_bootstrap(record, scores) == (0.0, 1.0)
    assert seen == {0.0, 0.5, 1.0}


def test_arrays_are_resampled_with_the_same_seeds_and_tasks():
    rng = np.random.default_rng(0)
    level = rng.normal(size=(3, 4, 1))
    before, after = np.repeat(level, 5, -1), np.repeat(level + 2, 9, -1)
    interval = stratified_bootstrap(
        lambda b, a: a.mean((1, 2, 3)) - b.mean((1, 2, 3)), before, after, resample_tasks=True
    )
    np.testing.assert_allclose(interval, [2, 2])


def test_deterministic_given_a_seed_and_independent_of_chunks(monkeypatch):
    x = np.random.default_rng(0).normal(size=(2, 5, 7))
    assert summarise(x, seed=3) == summarise(x, seed=3)
    assert summarise(x, seed=3) != summarise(x, seed=4)
    whole = summarise(x, n=20_000)
    monkeypatch.setattr("gmps.evaluation.stats._CHUNK_NUMBERS", 10_000)
    np.testing.assert_allclose(summarise(x, n=20_000), whole, atol=0.02)


@pytest.mark.parametrize("axes", ["task", "seed"])
def test_interval_covers_the_truth(axes):
    """Of 300 intervals on normal data, those that hold the truth are 95 % within 4 sigma.

    Four binomial sigma are 5 %; percentile intervals of so few samples are known to be a few
    per cent too narrow, so the lower limit is 87 %.
    """
    rng = np.random.default_rng(0)
    task_means = np.arange(8.0)
    shape = (8, 25) if axes == "task" else (25, 8, 1)
    trials = 300
    hits = 0
    for trial in range(trials):
        noise = rng.normal(size=shape)
        summary = summarise(task_means[:, None] + noise, n=500, seed=trial)
        target = iqm(task_means)
        hits += summary.ci_low <= target <= summary.ci_high
    assert 0.87 <= hits / trials <= 0.995


def test_interval_narrows_with_the_root_of_the_episodes():
    rng = np.random.default_rng(0)
    width = {}
    for episodes in (25, 400):
        s = summarise(rng.normal(size=(10, episodes)))
        width[episodes] = s.ci_high - s.ci_low
    assert width[25] / width[400] == pytest.approx(4, rel=0.3)


def test_task_iqm_levels():
    x = np.random.default_rng(0).normal(size=(11, 3, 4, 5))
    np.testing.assert_allclose(task_iqm(x, 3), [iqm(y.mean(-1)) for y in x])
    np.testing.assert_allclose(task_iqm(x, 2), [[iqm(z.mean(-1)) for z in y] for y in x])


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.zeros(3), "Scores have the axes (task, ep) or (seed, task, ep), got shape (3,)."),
        (np.zeros((3, 0)), "Scores need at least one seed, task and episode, got shape (3, 0)."),
        (np.array([[0, 1], [np.nan, 2]]), "Scores must be finite, got nan at index (1, 0)."),
    ],
)
def test_bad_scores(scores, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        summarise(scores)


def test_unequal_tasks():
    message = "need equal seeds and tasks, got shapes (3, 4) and (2, 4)."
    with pytest.raises(ValueError, match=re.escape(message)):
        stratified_bootstrap(lambda a, b: a, np.zeros((3, 4)), np.zeros((2, 4)))
