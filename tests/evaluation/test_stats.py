import re

import numpy as np
import pytest
import scipy.stats

from gmps.evaluation.stats import stratified_bootstrap


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


def mean(x):
    return x.mean((-1, -2))


def test_tasks_are_strata():
    # Episodes within a task are equal, so resampling within tasks changes nothing.
    scores = np.repeat(np.arange(8.0)[:, None], 5, axis=1)
    assert stratified_bootstrap(mean, scores) == (3.5, 3.5)


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


def test_deterministic_given_a_seed_and_independent_of_chunks(monkeypatch):
    x = np.random.default_rng(0).normal(size=(5, 7))
    assert stratified_bootstrap(mean, x, seed=3) == stratified_bootstrap(mean, x, seed=3)
    assert stratified_bootstrap(mean, x, seed=3) != stratified_bootstrap(mean, x, seed=4)
    whole = stratified_bootstrap(mean, x, n=20_000)
    monkeypatch.setattr("gmps.evaluation.stats._CHUNK_NUMBERS", 10_000)
    np.testing.assert_allclose(stratified_bootstrap(mean, x, n=20_000), whole, atol=0.02)


def test_interval_covers_the_mean_of_these_tasks():
    """Of 300 intervals on normal data, those that hold the truth are 95 % within 4 sigma.

    Four binomial sigma are 5 %; percentile intervals of so few samples are known to be a few
    per cent too narrow, so the lower limit is 87 %.
    """
    rng = np.random.default_rng(0)
    task_means = np.arange(8.0)
    trials = 300
    hits = 0
    for trial in range(trials):
        scores = task_means[:, None] + rng.normal(size=(8, 25))
        low, high = stratified_bootstrap(mean, scores, n=500, seed=trial)
        hits += low <= task_means.mean() <= high
    assert 0.87 <= hits / trials <= 0.995


def test_interval_narrows_with_the_root_of_the_episodes():
    rng = np.random.default_rng(0)
    width = {}
    for episodes in (25, 400):
        width[episodes] = np.diff(stratified_bootstrap(mean, rng.normal(size=(10, episodes))))
    assert width[25] / width[400] == pytest.approx(4, rel=0.3)


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
        stratified_bootstrap(mean, scores)


def test_unequal_tasks():
    message = "need equal seeds and tasks, got shapes (3, 4) and (2, 4)."
    with pytest.raises(ValueError, match=re.escape(message)):
        stratified_bootstrap(lambda a, b: a, np.zeros((3, 4)), np.zeros((2, 4)))
