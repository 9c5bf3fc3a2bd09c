"""Intervals contain the truth as often as they say: simulated with the results' own spread."""

import json
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from scipy.stats import t

from gmps.errors import GmpsError
from gmps.evaluation.stats import difference_interval, rate_interval, seed_task_interval
from interval_of_means import many_intervals
from places import BENCHMARKS

CONDITIONS = ("before", "after_1", "plain", "wrong_task")
#: What is subtracted from `after_1` where differences are simulated.
OTHERS = ("before", "plain", "wrong_task")


class Spread(NamedTuple):
    """What varies in one stored figure: seeds, tasks, and seeds within tasks."""

    mean: float
    seed_std: float
    task: np.ndarray
    residual: np.ndarray


@cache
def spreads(figure: str, differences: bool) -> list[Spread]:
    """Variance components of a figure, or of its differences after one step, in all stored studies
    of three seeds or more."""
    found = []
    for path in sorted((BENCHMARKS / "results").glob("*.json")):
        content = json.loads(path.read_text())
        per_seed = content.get("per_seed") if isinstance(content, dict) else None
        seeds = per_seed.values() if isinstance(per_seed, dict) else ()
        rows = [[t for t in seed.get("tasks", []) if t["split"] == "heldout"] for seed in seeds]
        named = {}
        for condition in CONDITIONS:
            values = [
                [t["deterministic"][condition][figure] for t in seed]
                for seed in rows
                if seed and all(figure in t["deterministic"].get(condition, {}) for t in seed)
            ]
            if len(values) >= 3:
                named[condition] = np.array(values)
        if differences and named:
            named = {x: named["after_1"] - named[x] for x in OTHERS if x in named}
        found += [components(x) for x in named.values() if np.ptp(x) > 0]
    return [spread for spread in found if spread.residual.std() > 0]


def components(y: np.ndarray) -> Spread:
    """Analysis of variance of `(seed, task)`, the parts scaled to their unbiased deviations."""
    seeds, tasks = y.shape
    mean, by_seed, by_task = y.mean(), y.mean(1) - y.mean(), y.mean(0) - y.mean()
    residual = y - mean - by_seed[:, None] - by_task[None]
    within = (residual**2).sum() / ((seeds - 1) * (tasks - 1))
    of_seed = max(0.0, (by_seed**2).sum() / (seeds - 1) - within / tasks)
    of_task = max(0.0, (by_task**2).sum() / (tasks - 1) - within / seeds)
    unit = lambda x: x.ravel() / max(x.std(), 1e-12)  # noqa: E731
    return Spread(mean, of_seed**0.5, unit(by_task) * of_task**0.5, unit(residual) * within**0.5)


def draw(spread: Spread, n: int, seeds: int, tasks: int, rng: np.random.Generator) -> np.ndarray:
    return (
        spread.mean
        + spread.seed_std * rng.normal(size=(n, seeds, 1))
        + rng.choice(spread.task, (n, 1, tasks))
        + rng.choice(spread.residual, (n, seeds, tasks))
    )


@pytest.mark.parametrize("tasks", [13, 20])
@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("differences", [False, True], ids=["figures", "differences"])
@pytest.mark.parametrize("figure", ["normalised", "success"])
def test_coverage(figure, differences, seeds, tasks):
    rng, covered = np.random.default_rng(seeds * tasks), []
    for spread in spreads(figure, differences):
        # Components have the mean 0, so the mean of the population is that of the figure.
        y = draw(spread, 500, seeds, tasks, rng)
        # Where all of a draw are alike, a rate's interval is another one.
        y = y[np.ptp(y, (1, 2)) > 1e-9]
        low, high = many_intervals(y)
        covered.append(np.mean((low <= spread.mean) & (spread.mean <= high)))
    assert len(covered) > 50
    assert np.mean(covered) >= 0.93


def test_the_simulated_intervals_are_those_that_are_used():
    y = np.random.default_rng(0).normal(size=(4, 3, 13))
    used = [seed_task_interval(np.mean, x) for x in y]
    np.testing.assert_allclose(many_intervals(y).T, used)


def test_a_worked_interval():
    # Two seeds, three tasks, no residual: means 1, 3 and 0, 2, 4.
    y = np.array([[0.0, 1.0, 2.0], [2.0, 3.0, 4.0]])
    low, high = seed_task_interval(np.mean, y)
    # Leaving one out: seeds give 3, 1 (variance 1); tasks 2.5, 2, 1.5 (variance 1/3).
    variance = 1 + 1 / 3
    freedom = variance**2 / (1 + (1 / 3) ** 2 / 2)
    assert (low + high) / 2 == pytest.approx(2)
    assert high - 2 == pytest.approx(t.ppf(0.975, freedom) * variance**0.5)


def test_one_seed_covers_tasks_alone():
    y = np.array([[0.0, 1.0, 2.0]])
    low, high = seed_task_interval(np.mean, y)
    assert high - 1 == pytest.approx(4.3027 * (1 / 3) ** 0.5, abs=1e-3)
    assert low == pytest.approx(2 - high)
    assert seed_task_interval(np.mean, y[:, :1]) == (-np.inf, np.inf)


def test_rates():
    assert rate_interval(np.ones((3, 20))) == (pytest.approx(0.025 ** (1 / 20)), 1.0)
    assert rate_interval(np.zeros((3, 20))) == (0.0, pytest.approx(1 - 0.025 ** (1 / 20)))
    low, high = rate_interval(np.array([[1.0, 1, 1, 0], [1, 1, 1, 1]]))
    assert 0 <= low < 0.875 < high == 1.0


def test_a_paired_difference_leaves_out_what_both_share():
    rng = np.random.default_rng(0)
    task = 10 * rng.normal(size=(1, 20))
    a, b = (task + x + 0.1 * rng.normal(size=(3, 20)) for x in (1.0, 0.0))
    paired = difference_interval(a, b)
    assert 0.9 < paired.low < paired.high < 1.1
    assert np.diff(seed_task_interval(np.mean, a)) > 5


def test_differences_of_rates():
    ones, zeros = np.ones((3, 20)), np.zeros((3, 20))
    edge = 1 - 0.025 ** (1 / 20)
    assert difference_interval(ones, zeros, rates=True) == (pytest.approx(1 - edge), 1)
    assert difference_interval(ones, ones, rates=True) == pytest.approx((-edge, edge))
    half = np.tile([0.0, 1.0], 10)[None]
    low, high = difference_interval(half, zeros[:1], rates=True)
    assert (low + high) / 2 == pytest.approx(0.5)


@pytest.mark.parametrize("bad", [np.zeros((0, 3)), np.zeros(3), np.array([[np.nan, 1.0]])])
def test_bad_figures_are_refused(bad):
    with pytest.raises(GmpsError, match="Figures are finite and have the axes"):
        seed_task_interval(np.mean, bad)
    with pytest.raises(GmpsError, match="need equal seeds and tasks"):
        seed_task_interval(np.mean, np.zeros((2, 3)), np.zeros((3, 2)))
