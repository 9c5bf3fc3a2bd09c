"""Intervals of a certificate contain the truth of other tasks as often as they say."""

import json

import numpy as np
import pytest

from gmps.evaluation.stats import seed_task_interval
from gmps.theory.estimate import Figure, mean_figure
from interval_of_means import many_intervals
from places import BENCHMARKS, ROOT

STORED = json.loads((BENCHMARKS / "results" / "theory_certificates.json").read_text())
#: Figures of which the stored certificates keep a mean for each task.
KEPT = ("gap", "sharp", "mean_kl", "expert", "adapted", "before")


def stored(certificate: dict, name: str) -> tuple[np.ndarray, float]:
    """A figure's means by task, and the deviation of one repeat in one task.

    The stored intervals are percentiles of a bootstrap that resampled the repeats in each task, as
    certificates were made then: 3.92 deviations of the mean wide, and too narrow by
    `sqrt((repeats - 1) / repeats)`.
    """
    means = np.array([row[name] for row in certificate["rows"]])
    found = certificate["figures"].get(name) or certificate["levels"][name]
    repeats = certificate["settings"]["sampling"]["repeats"]
    of_mean = (found["high"] - found["low"]) / 3.92 * (repeats / (repeats - 1)) ** 0.5
    return means, of_mean * (repeats * len(means)) ** 0.5


@pytest.mark.parametrize("repeats", [2, 4])
@pytest.mark.parametrize("tasks", [8, 13, 20])
def test_coverage(tasks: int, repeats: int):
    rng, covered, before = np.random.default_rng(tasks * repeats), [], []
    for certificate in STORED:
        for name in KEPT:
            means, noise = stored(certificate, name)
            # What the repeats add to the spread of the stored means is taken out of it.
            own = len(certificate["rows"]), certificate["settings"]["sampling"]["repeats"]
            varies = max(means.var(ddof=1) - noise**2 / own[1], 0)
            truth = means.mean() + (means - means.mean()) / means.std() * varies**0.5
            y = rng.choice(truth, (1000, tasks, 1)) + noise * rng.normal(
                size=(1000, tasks, repeats)
            )
            low, high = many_intervals(y)
            covered.append(np.mean((low <= truth.mean()) & (truth.mean() <= high)))
            # Other repeats in the same tasks, as intervals used to be made.
            half = 1.96 * noise / (tasks * repeats) ** 0.5
            before.append(np.mean(np.abs(y.mean((1, 2)) - truth.mean()) <= half))
    assert np.mean(covered) >= 0.93
    assert np.mean(before) < 0.5


def test_the_simulated_intervals_are_those_that_are_used():
    y = np.random.default_rng(0).normal(size=(4, 8, 3))
    used = [mean_figure(x) for x in y]
    np.testing.assert_allclose(many_intervals(y).T, [(x.low, x.high) for x in used])


def test_a_worked_interval():
    # Three tasks, two repeats that agree: leaving a task out gives 2.5, 2, 1.5.
    found = mean_figure(np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]))
    half = 4.3027 * (1 / 3) ** 0.5
    assert (found.low, found.high) == (
        pytest.approx(2 - half, abs=1e-3),
        2 * found.value - found.low,
    )
    # One task: other repeats. One repeat of it: nothing is known.
    alone = mean_figure(np.array([[0.0, 1.0, 2.0]]))
    assert alone.high == pytest.approx(1 + half, abs=1e-3)
    assert mean_figure(np.array([[5.0]])) == Figure(5.0)


def shown(found: dict, name: str) -> str:
    """A figure over other tasks as the manual prints it; stored certificates have its means by
    task, not its repeats."""
    means, _ = stored(found, name)
    low, high = seed_task_interval(np.mean, means[None])

    def short(x: float) -> str:
        text = f"{x:.0f}" if abs(x) >= 100 else f"{x:.1f}"
        return text.replace("-", "−")

    return f"{short(means.mean())} [{short(low)}, {short(high)}]"


def test_the_manual_prints_the_stored_certificates():
    page = (ROOT / "docs" / "theory.md").read_text(encoding="utf-8")
    three = [STORED[0], STORED[1], STORED[4]]
    for name, label in (("gap", "observed gap"), ("sharp", "sharp bound")):
        cells = " | ".join(shown(found, name) for found in three)
        assert f"| **{label}** | {cells} |" in page
