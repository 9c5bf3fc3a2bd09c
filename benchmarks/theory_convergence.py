"""How the estimates of `gmps certify` approach the exact figures, on a tabular problem.

The sampler below does to a random tabular problem what `gmps.theory.sample` does to a simulator:
visited states, actions of both policies in them, the expert's continuations with shared noise. The
estimates are `gmps.theory.estimate`, the exact figures `gmps.theory.bounds`.

example:
  python benchmarks/theory_convergence.py
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from matplotlib.figure import Figure
from reports import write_report

from gmps.theory.bounds import imitation_bounds
from gmps.theory.divergence import kl_divergence, span, total_variation
from gmps.theory.estimate import Samples, estimate
from gmps.theory.tabular import (
    TabularProblem,
    action_values,
    random_distributions,
    random_problem,
    state_distributions,
)

SHOWN = ("gap", "decomposition", "sharp", "mean_kl", "delta", "averaged", "published")


@dataclass(frozen=True)
class Convergence:
    """Settings."""

    sizes: tuple[int, ...] = (16, 64, 256, 1024)
    """Visited states, each from an episode of its own; a sixteenth as many continuations."""
    repetitions: int = 10
    """Independent estimates of each size."""
    pairs: int = 16
    """Actions of each policy that are compared in a state."""
    seed: int = 0
    """Seed of the problem and of the samples."""
    out: str = "benchmarks/results/theory_convergence.json"
    """File of the results."""
    figure: str = "docs/images/theory-convergence.png"
    """File of the picture."""


def draw(rng: np.random.Generator, rows: np.ndarray, u: Any = None) -> np.ndarray:
    """One index for each distribution along the last axis, from uniform numbers."""
    u = rng.random(rows.shape[:-1]) if u is None else u
    return np.minimum((rows.cumsum(-1) < u[..., None]).sum(-1), rows.shape[-1] - 1)


def episodes(
    rng: np.random.Generator, problem: TabularProblem, policy: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Visited states `(n, t)` and costs of whole episodes `(n,)`."""
    state = draw(rng, np.broadcast_to(problem.start, (n, len(problem.start))))
    visited, cost = [], np.zeros(n)
    for t in range(problem.horizon):
        visited.append(state)
        act = draw(rng, policy[t, state])
        cost += problem.cost[t, state, act]
        state = draw(rng, problem.transition[t, state, act])
    return np.stack(visited, 1), cost


def continued(
    rng: np.random.Generator,
    problem: TabularProblem,
    expert: np.ndarray,
    begin: np.ndarray,
    state: np.ndarray,
    act: np.ndarray,
    more: int,
) -> np.ndarray:
    """Mean cost from step `begin` on: the given action, then the expert, `more` times each.

    `begin` and `state` are `(n,)`, `act` is `(n, k)`. The k actions of a state share all noise.
    """
    (n, k), horizon = act.shape, problem.horizon
    here = np.broadcast_to(state[:, None, None], (n, k, more))
    chosen = np.broadcast_to(act[:, :, None], (n, k, more))
    total = np.zeros((n, k, more))
    for i in range(horizon):
        t = np.minimum(begin + i, horizon - 1)[:, None, None]
        u = rng.random((2, n, 1, more))
        if i > 0:
            rows = expert[t, here]
            chosen = draw(rng, rows, np.broadcast_to(u[0], rows.shape[:-1]))
        alive = begin[:, None, None] + i < horizon
        total += np.where(alive, problem.cost[t, here, chosen], 0)
        rows = problem.transition[t, here, chosen]
        here = draw(rng, rows, np.broadcast_to(u[1], rows.shape[:-1]))
    return total.mean(-1)


def sample(
    rng: np.random.Generator,
    problem: TabularProblem,
    policy: np.ndarray,
    expert: np.ndarray,
    n: int,
    pairs: int,
) -> Samples:
    """One task, `n` repeats of one episode, each with one compared state."""
    visited, cost = episodes(rng, problem, policy, n)
    _, best = episodes(rng, problem, expert, n)
    steps = np.arange(problem.horizon)
    t = rng.permutation(np.arange(n) % problem.horizon)
    state = visited[np.arange(n), t]
    acts = [draw(rng, np.repeat(p[t, state][:, None], pairs, 1)) for p in (policy, expert)]
    q = continued(rng, problem, expert, t, state, np.concatenate(acts, 1), max(1, n // 16))
    tv = total_variation(policy, expert)[t, state]
    return Samples(
        policy_return=-cost[None],
        expert_return=-best[None],
        kl=kl_divergence(policy, expert)[steps, visited][None, :, None],
        tv=tv[None, :, None],
        q_policy=-q[None, :, None, :pairs],
        q_expert=-q[None, :, None, pairs:],
    )


def exact(problem: TabularProblem, policy: np.ndarray, expert: np.ndarray) -> dict[str, float]:
    """The exact figures under the names of the estimates."""
    found = imitation_bounds(problem, policy, expert)._asdict()
    spans = span(action_values(problem, expert))
    found["mean_span"] = float(np.mean(np.sum(state_distributions(problem, policy) * spans, -1)))
    return {name: float(found[name]) for name in (*SHOWN, "mean_span")}


def study(settings: Convergence) -> dict[str, Any]:
    """Exact figures, and the estimates of every size and repetition."""
    rng = np.random.default_rng(settings.seed)
    problem = random_problem(rng, 8, 6, 4)
    expert = random_distributions(rng, (8, 6, 4), 0.3)
    # A policy that errs towards what costs most, so that there is a gap to estimate.
    costly = np.eye(4)[action_values(problem, expert).argmax(-1)]
    policy = 0.5 * expert + 0.3 * costly + 0.2 * random_distributions(rng, (8, 6, 4), 0.3)
    truth = exact(problem, policy, expert)
    estimates: dict[str, dict[str, list[float]]] = {}
    for n in settings.sizes:
        runs = [
            estimate(sample(rng, problem, policy, expert, n, settings.pairs), problem.horizon)
            for _ in range(settings.repetitions)
        ]
        estimates[str(n)] = {name: [getattr(r, name).value for r in runs] for name in SHOWN}
        covered = np.mean([r.gap.low <= truth["gap"] <= r.gap.high for r in runs])
        print(f"{n:5d} states: gap's interval covers the truth in {covered:.0%}", end="")
        for name in SHOWN:
            error = np.abs(np.array(estimates[str(n)][name]) / truth[name] - 1).mean()
            print(f", {name} off by {error:.1%}", end="")
        print()
    return {"exact": truth, "estimates": estimates}


def plot(results: dict[str, Any], file: str) -> None:
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.add_subplot()
    sizes = np.array([int(n) for n in results["estimates"]])
    for name in SHOWN:
        values = np.array([results["estimates"][str(n)][name] for n in sizes])
        error = np.abs(values / results["exact"][name] - 1)
        axes.plot(sizes, error.mean(1), marker="o", label=name.replace("_", " "))
    axes.plot(sizes, 0.5 * (sizes / sizes[0]) ** -0.5, "k:", label="slope −1/2")
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="visited states sampled",
        ylabel="mean relative error",
        title="Estimates against exact figures, tabular problem",
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, ncols=2)
    figure.savefig(file, dpi=120)


def main(settings: Convergence) -> None:
    results = {"settings": settings.__dict__, **study(settings)}
    write_report(results, Path(settings.out))
    plot(results, settings.figure)


if __name__ == "__main__":
    main(tyro.cli(Convergence))
