"""Both sides of the imitation bound on tabular problems, exactly.

Notation, for a policy, an expert and a horizon H; Q is the expert's cost-to-go `action_values`:

gap       J(policy) - J(expert), what imitation loses
TV_t(s)   total variation of the two policies' actions in `s` at step `t`; likewise KL_t(s)
E_t       mean over the states that the *policy* visits at step `t`
delta     largest `Q_t(s, a) - Q_t(s, b)` of two actions in a visited state: the span of Q
epsilon   largest KL_t(s) = KL(policy || expert) in a visited state
"visited" means with positive probability under the policy. See docs/theory.md for the proofs.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from gmps.errors import GmpsError
from gmps.theory.divergence import kl_divergence, span, total_variation
from gmps.theory.tabular import (
    Policy,
    TabularProblem,
    action_values,
    expected_cost,
    state_distributions,
)


class Bounds(NamedTuple):
    """The gap and its upper bounds, from the sharpest to the loosest but for `literal`.

    `gap = decomposition <= coupled <= sharp <= averaged <= corrected <= published`.
    """

    gap: float
    #: `sum_t E_t[Q_t(s, policy) - Q_t(s, expert)]`, the performance difference: equals the gap.
    decomposition: float
    #: `sum_t E_t[TV_t * c_t]`, `c_t` the largest Q of an action that the policy takes more often
    #: than the expert, minus the smallest Q of one that it takes less often.
    coupled: float
    #: `sum_t E_t[TV_t * span of Q_t(s, .)]`.
    sharp: float
    #: `delta H sqrt(mean KL / 2)`, the mean over steps and visited states.
    averaged: float
    #: `delta H sqrt(epsilon / 2)`.
    corrected: float
    #: `delta H sqrt(epsilon)`: the printed form, with constant 1 in its O(H).
    published: float
    #: `literal_delta H sqrt(epsilon)`: the printed form with the printed premise. Not a bound.
    literal: float
    delta: float
    #: Largest `Q_t(s, policy) - Q_t(s, expert)` in a visited state, the premise as printed.
    literal_delta: float
    epsilon: float
    mean_kl: float


def imitation_bounds(problem: TabularProblem, policy: Policy, expert: Policy) -> Bounds:
    """Every figure of `Bounds`, exactly. KL may be infinite, and then so are the last bounds."""
    horizon = problem.horizon
    d = state_distributions(problem, policy)
    visited = d > 0
    q = action_values(problem, expert)
    tv, kl, spans = total_variation(policy, expert), kl_divergence(policy, expert), span(q)
    loss = np.sum((policy - expert) * q, -1)
    delta, epsilon = spans[visited].max(), kl[visited].max()
    mean_kl = np.sum(d * np.where(visited, kl, 0)) / horizon
    literal_delta = max(0.0, loss[visited].max())
    return Bounds(
        gap=expected_cost(problem, policy) - expected_cost(problem, expert),
        decomposition=float(np.sum(d * loss)),
        coupled=float(np.sum(d * tv * _coupled_difference(q, policy, expert))),
        sharp=float(np.sum(d * tv * spans)),
        averaged=_product(delta * horizon, np.sqrt(mean_kl / 2)),
        corrected=_product(delta * horizon, np.sqrt(epsilon / 2)),
        published=_product(delta * horizon, np.sqrt(epsilon)),
        literal=_product(literal_delta * horizon, np.sqrt(epsilon)),
        delta=float(delta),
        literal_delta=float(literal_delta),
        epsilon=float(epsilon),
        mean_kl=float(mean_kl),
    )


def mixture(policy: Policy, expert: Policy, beta: float) -> Policy:
    """`beta * expert + (1 - beta) * policy`: at each step a coin decides who acts.

    Raises:
        GmpsError: `beta` is outside [0, 1].
    """
    if not 0 <= beta <= 1:
        raise GmpsError(f"beta is {beta}; the expert's share must be in [0, 1].")
    return beta * expert + (1 - beta) * policy


class MixtureBounds(NamedTuple):
    """Aggregation: what is known about a policy from states that a mixture with the expert visits.

    `E_t` and means are over the states that the *mixture* visits.
    """

    #: J(mixture) - J(expert).
    mixture_gap: float
    #: `(1 - beta) sum_t E_t[TV_t * span]`, bounds `mixture_gap`.
    mixture_sharp: float
    #: `(1 - beta) delta H sqrt(mean KL / 2)`, bounds `mixture_sharp`.
    mixture_averaged: float
    #: J(policy) - J(expert): the policy on its own.
    gap: float
    #: `sum_t (E_t[TV_t * span] + shift_t * max_s TV_t span)`, bounds `gap`.
    transfer: float
    #: `delta H sqrt(mean KL / 2) (1 + beta (H - 1))`, bounds `transfer`.
    closed: float
    #: `min(1 - (1 - beta)^t, beta sum_{k<t} E_k[TV_k])`: at least the total variation between the
    #: states of the policy and of the mixture at step t.
    shift: Float[np.ndarray, " t"]
    #: Largest span of Q in a state that the policy or the mixture visits.
    delta: float
    #: Mean KL(policy || expert): the supervised error on the aggregated states.
    mean_kl: float


def mixture_bounds(
    problem: TabularProblem, policy: Policy, expert: Policy, beta: float
) -> MixtureBounds:
    """Every figure of `MixtureBounds`, exactly, for one round's share `beta` of the expert."""
    mixed, horizon = mixture(policy, expert, beta), problem.horizon
    d, own = state_distributions(problem, mixed), state_distributions(problem, policy)
    spans = span(action_values(problem, expert))
    tv = total_variation(policy, expert)
    loss = tv * spans
    t = np.arange(horizon)
    drifted = beta * np.concatenate([[0.0], np.cumsum(np.sum(d * tv, -1))[:-1]])
    shift = np.minimum(1 - (1 - beta) ** t, drifted)
    delta = spans[(d > 0) | (own > 0)].max()
    mean_kl = np.sum(d * np.where(d > 0, kl_divergence(policy, expert), 0)) / horizon
    averaged = _product(delta * horizon, np.sqrt(mean_kl / 2))
    along = float(np.sum(d * loss))
    worst = np.where(own > 0, loss, 0).max(-1)
    best = expected_cost(problem, expert)
    return MixtureBounds(
        mixture_gap=expected_cost(problem, mixed) - best,
        mixture_sharp=(1 - beta) * along,
        mixture_averaged=_product(1 - beta, averaged),
        gap=expected_cost(problem, policy) - best,
        transfer=along + float(np.sum(shift * worst)),
        closed=averaged * (1 + beta * (horizon - 1)),
        shift=shift,
        delta=float(delta),
        mean_kl=float(mean_kl),
    )


def aggregation_bound(
    delta: float, horizon: int, mean_kls: Sequence[float], betas: Sequence[float]
) -> float:
    """Bound on the mean gap of the policies of all rounds, and so on the best round's gap.

    `delta H mean_j[sqrt(KL_j / 2) (1 + beta_j (H - 1))]`, where `KL_j` is the mean KL of round
    j's policy along that round's mixture.

    Raises:
        GmpsError: no round, or not one share for each.
    """
    if not len(mean_kls) or len(mean_kls) != len(betas):
        raise GmpsError(
            f"Got {len(mean_kls)} errors and {len(betas)} shares; give one of each per round."
        )
    factors = 1 + np.asarray(betas) * (horizon - 1)
    return _product(delta * horizon, float(np.mean(np.sqrt(np.asarray(mean_kls) / 2) * factors)))


def _coupled_difference(
    q: Float[np.ndarray, "t s a"], policy: Policy, expert: Policy
) -> Float[np.ndarray, "t s"]:
    """The largest difference of Q that a maximal coupling can meet; 0 between equal policies."""
    more = np.where(policy > expert, q, -np.inf).max(-1)
    less = np.where(policy < expert, q, np.inf).min(-1)
    return np.where(np.isfinite(more) & np.isfinite(less), more - less, 0.0)


def _product(a: float, b: float) -> float:
    """`a * b` with 0 * infinity = 0: nothing is lost where nothing is at stake."""
    return 0.0 if a == 0 or b == 0 else float(a * b)
