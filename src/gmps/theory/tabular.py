"""Exact finite-horizon decision problems with few states, in float64.

Steps are counted `t = 0 .. H - 1`; policies, costs and transitions may depend on `t`. As in the
appendix of GMPS, costs are minimised: a reward `r` is a cost `-r`.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from gmps.errors import GmpsError

#: `policy[t, s, a]`: probability of action `a` in state `s` at step `t`.
Policy = Float[np.ndarray, "t s a"]

#: Largest deviation from 1 of a distribution's sum.
_SUM_TOLERANCE = 1e-9


class TabularProblem(NamedTuple):
    """A finite-horizon decision problem; use `check_problem` on numbers from outside."""

    #: Probabilities of the first state.
    start: Float[np.ndarray, " s"]
    #: `transition[t, s, a, s']`: probability of `s'` after action `a` in `s` at step `t`.
    transition: Float[np.ndarray, "t s a s"]
    #: Cost of action `a` in `s` at step `t`; any finite number.
    cost: Float[np.ndarray, "t s a"]

    @property
    def horizon(self) -> int:
        """Number of steps H."""
        return self.cost.shape[0]


def check_problem(problem: TabularProblem, *policies: Policy) -> None:
    """Refuse what is no decision problem, or no policy for it.

    Raises:
        GmpsError: shapes that do not fit, a cost that is not finite, or rows that are no
            probabilities.
    """
    shape = problem.cost.shape
    if len(shape) != 3 or not problem.cost.size:
        raise GmpsError(f"Costs need the axes (t, s, a), none of them empty, got shape {shape}.")
    if not np.isfinite(problem.cost).all():
        raise GmpsError("Costs must be finite numbers.")
    states = shape[1]
    _check_rows("The start distribution", problem.start, (states,))
    _check_rows("The transition", problem.transition, (*shape, states))
    for policy in policies:
        _check_rows("A policy", policy, shape)


def _check_rows(name: str, rows: np.ndarray, shape: tuple[int, ...]) -> None:
    if rows.shape != shape:
        raise GmpsError(f"{name} has shape {rows.shape}; these costs need {shape}.")
    if not (rows >= 0).all() or not (np.abs(rows.sum(-1) - 1) <= _SUM_TOLERANCE).all():
        raise GmpsError(f"{name} needs probabilities: at least 0, with sum 1 along the last axis.")


def state_distributions(problem: TabularProblem, policy: Policy) -> Float[np.ndarray, "t s"]:
    """`d_t(s)`: probability of being in `s` at step `t` when the policy acts from the start on."""
    d = np.empty(policy.shape[:2])
    d[0] = problem.start
    for t in range(problem.horizon - 1):
        d[t + 1] = np.einsum("s,sa,san->n", d[t], policy[t], problem.transition[t])
    return d


def action_values(problem: TabularProblem, policy: Policy) -> Float[np.ndarray, "t s a"]:
    """`Q_t(s, a)`: expected cost from step `t` to the end, of `a` in `s` and then the policy."""
    q = np.empty(problem.cost.shape)
    value = np.zeros(problem.cost.shape[1])
    for t in reversed(range(problem.horizon)):
        q[t] = problem.cost[t] + problem.transition[t] @ value
        value = np.sum(policy[t] * q[t], -1)
    return q


def advantages(problem: TabularProblem, policy: Policy) -> Float[np.ndarray, "t s a"]:
    """`A_t(s, a) = Q_t(s, a) - Q_t(s, policy)`: how much more `a` costs than the policy."""
    q = action_values(problem, policy)
    return q - np.sum(policy * q, -1, keepdims=True)


def expected_cost(problem: TabularProblem, policy: Policy) -> float:
    """`J`: expected cost of a whole episode."""
    d = state_distributions(problem, policy)
    return float(np.einsum("ts,tsa,tsa->", d, policy, problem.cost))


def greedy(problem: TabularProblem) -> Policy:
    """The optimal policy, deterministic; of equally good actions the first."""
    choice = np.empty(problem.cost.shape[:2], int)
    value = np.zeros(problem.cost.shape[1])
    for t in reversed(range(problem.horizon)):
        q = problem.cost[t] + problem.transition[t] @ value
        choice[t], value = q.argmin(-1), q.min(-1)
    return np.eye(problem.cost.shape[2])[choice]


def random_problem(
    rng: np.random.Generator, horizon: int, states: int, actions: int, sharpness: float = 1.0
) -> TabularProblem:
    """Costs uniform in [0, 1], all distributions from `random_distributions`."""
    shape = (horizon, states, actions)
    return TabularProblem(
        random_distributions(rng, (states,), sharpness),
        random_distributions(rng, (*shape, states), sharpness),
        rng.uniform(size=shape),
    )


def random_distributions(
    rng: np.random.Generator, shape: tuple[int, ...], sharpness: float = 1.0
) -> Float[np.ndarray, "*shape"]:
    """Distributions along the last axis, symmetric Dirichlet with parameter `1 / sharpness`."""
    return rng.dirichlet(np.full(shape[-1], 1 / sharpness), shape[:-1])
