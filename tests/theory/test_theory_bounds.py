"""The imitation bound on tabular problems: properties on random ones, numbers worked by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmps.theory.bounds import aggregation_bound, imitation_bounds, mixture, mixture_bounds
from gmps.theory.divergence import (
    disagreement,
    kl_divergence,
    maximal_coupling,
    total_variation,
    tv_from_kl,
)
from gmps.theory.tabular import (
    TabularProblem,
    action_values,
    advantages,
    check_problem,
    expected_cost,
    greedy,
    random_distributions,
    random_problem,
    state_distributions,
)

#: Rounding of float64 sums of up to a few hundred numbers below 10.
ROUNDING = 1e-11
thousands = settings(max_examples=2500, deadline=None, derandomize=True, database=None)


@st.composite
def cases(draw):
    """A random problem with two policies: near or far apart, sharp or blunt, some deterministic."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    horizon, states, actions = (draw(st.integers(1, n)) for n in (8, 5, 4))
    problem = random_problem(rng, horizon, states, actions, draw(st.sampled_from([0.3, 1, 20])))
    shape = (horizon, states, actions)
    expert, policy = (
        random_distributions(rng, shape, draw(st.sampled_from([0.3, 1, 8]))) for _ in range(2)
    )
    match draw(st.sampled_from(["random", "near", "equal", "greedy expert", "deterministic"])):
        case "near":
            policy = expert + draw(st.sampled_from([1e-6, 1e-3, 0.1])) * (policy - expert)
        case "equal":
            policy = expert
        case "greedy expert":
            expert = greedy(problem)
        case "deterministic":
            policy = np.eye(actions)[rng.integers(actions, size=shape[:2])]
    return problem, policy, expert


def non_decreasing(*figures):
    return all(a <= b + ROUNDING for a, b in itertools.pairwise(figures))


@thousands
@given(cases())
def test_no_bound_is_violated_and_each_is_as_sharp_as_it_says(case):
    problem, policy, expert = case
    check_problem(problem, policy, expert)
    b = imitation_bounds(*case)
    assert b.gap == pytest.approx(b.decomposition, abs=ROUNDING)
    assert non_decreasing(b.gap, b.coupled, b.sharp, b.averaged, b.corrected, b.published)
    assert b.literal_delta <= b.delta + ROUNDING
    if np.isfinite(b.published):
        assert b.published == pytest.approx(np.sqrt(2) * b.corrected)
    if np.array_equal(policy, expert):
        assert b.gap == b.coupled == b.sharp == b.published == 0


@thousands
@given(cases(), st.sampled_from([0.0, 0.05, 0.3, 0.9, 1.0]))
def test_aggregation_with_a_mixture_is_bounded(case, beta):
    problem, policy, expert = case
    b = mixture_bounds(*case, beta)
    assert non_decreasing(b.mixture_gap, b.mixture_sharp, b.mixture_averaged)
    assert non_decreasing(b.gap, b.transfer, b.closed)
    mixed = mixture(policy, expert, beta)
    own, visited = (state_distributions(problem, p) for p in (policy, mixed))
    assert np.all(total_variation(own, visited) <= b.shift + ROUNDING)
    # A mixture is nearer to the expert than the policy, in proportion and in KL.
    tv = total_variation(policy, expert)
    np.testing.assert_allclose(total_variation(mixed, expert), (1 - beta) * tv, atol=ROUNDING)
    kl = kl_divergence(policy, expert)
    convex = np.zeros_like(kl) if beta == 1 else (1 - beta) * kl
    assert np.all(kl_divergence(mixed, expert) <= convex + ROUNDING)
    if beta == 0:
        plain = imitation_bounds(*case)
        assert b.gap == b.mixture_gap == plain.gap
        assert b.transfer == pytest.approx(plain.sharp, abs=ROUNDING)
        if np.isfinite(plain.averaged):
            assert b.closed == pytest.approx(plain.averaged, abs=ROUNDING)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_over_rounds_the_best_policy_is_within_the_aggregation_bound(seed, rounds):
    rng = np.random.default_rng(seed)
    problem = random_problem(rng, 5, 3, 3)
    expert = random_distributions(rng, (5, 3, 3))
    betas = 0.5 ** np.arange(rounds)
    policies = [random_distributions(rng, (5, 3, 3)) for _ in range(rounds)]
    each = [mixture_bounds(problem, p, expert, b) for p, b in zip(policies, betas, strict=True)]
    delta = max(b.delta for b in each)
    bound = aggregation_bound(delta, 5, [b.mean_kl for b in each], betas)
    gaps = [b.gap for b in each]
    assert min(gaps) <= np.mean(gaps) <= bound + ROUNDING


@settings(max_examples=1000, deadline=None, derandomize=True, database=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.sampled_from([0.3, 1, 8]))
def test_divergences_obey_their_inequalities(seed, actions, sharpness):
    rng = np.random.default_rng(seed)
    p, q = random_distributions(rng, (2, actions), sharpness)
    tv, kl = total_variation(p, q), kl_divergence(p, q)
    assert -ROUNDING <= tv <= disagreement(p, q) + ROUNDING
    assert tv <= tv_from_kl(kl) + ROUNDING
    assert tv_from_kl(kl) <= min(1, np.sqrt(kl))
    joint = maximal_coupling(p, q)
    assert (joint >= 0).all()
    np.testing.assert_allclose(joint.sum(1), p, atol=ROUNDING)
    np.testing.assert_allclose(joint.sum(0), q, atol=ROUNDING)
    assert joint.sum() - np.trace(joint) == pytest.approx(tv, abs=ROUNDING)
    # Independent draws differ as rarely only where nobody has a choice.
    chosen = np.eye(actions)[rng.integers(actions)]
    assert disagreement(p, chosen) == pytest.approx(total_variation(p, chosen), abs=ROUNDING)


def bandit(costs, horizon=1):
    """One state; the action alone decides the cost, the same at every step."""
    cost = np.broadcast_to(np.asarray(costs, float), (horizon, 1, len(costs)))
    return TabularProblem(np.ones(1), np.ones((*cost.shape, 1)), cost)


def always(probabilities, horizon=1):
    return np.broadcast_to(np.asarray(probabilities, float), (horizon, 1, len(probabilities)))


def test_equal_stochastic_policies_disagree_when_drawn_independently():
    # The step of the published proof: 0-1 loss of independent draws <= total variation.
    coin = np.array([0.5, 0.5])
    assert disagreement(coin, coin) == 0.5
    assert total_variation(coin, coin) == kl_divergence(coin, coin) == 0
    assert disagreement(coin, coin) > np.sqrt(kl_divergence(coin, coin))


def test_the_theorem_fails_with_the_premise_as_printed():
    # Worked by hand: costs 0 and 1, chances of the second 0.5 and 0.6, ten steps. The literal
    # delta is 0.1, KL(policy || expert) = 0.4 log 0.8 + 0.6 log 1.2 = 0.020135, gap 10 * 0.1.
    b = imitation_bounds(bandit([0, 1], 10), always([0.4, 0.6], 10), always([0.5, 0.5], 10))
    assert b.gap == pytest.approx(1)
    assert b.literal_delta == pytest.approx(0.1)
    assert b.epsilon == pytest.approx(0.4 * np.log(0.8) + 0.6 * np.log(1.2))
    assert b.literal == pytest.approx(0.141900, abs=1e-6)
    assert b.literal < b.gap
    # Its constant cannot be mended: halving the difference halves the gap, and quarters the bound.
    c = imitation_bounds(bandit([0, 1], 10), always([0.45, 0.55], 10), always([0.5, 0.5], 10))
    assert c.gap / b.gap == pytest.approx(0.5)
    assert c.literal / b.literal == pytest.approx(0.25, rel=0.01)
    # With the span of Q as delta all is well: 10 * 1 * sqrt(0.020135).
    assert b.delta == pytest.approx(1)
    assert b.published == pytest.approx(1.41900, abs=1e-5)


def test_two_actions_reach_the_sharp_bound():
    rng = np.random.default_rng(0)
    problem = random_problem(rng, 6, 4, 2)
    expert = np.full((6, 4, 2), 0.5)
    costly = np.eye(2)[action_values(problem, expert).argmax(-1)]
    policy = 0.7 * expert + 0.3 * costly
    b = imitation_bounds(problem, policy, expert)
    assert b.gap > 0.1
    assert b.gap == pytest.approx(b.coupled, abs=1e-12)
    assert b.gap == pytest.approx(b.sharp, abs=1e-12)


def test_the_averaged_bound_is_reached_in_the_limit_of_small_differences():
    # Costs 0 and 1, a fair expert: TV = x and KL -> 2 x^2, so that Pinsker turns into an equality.
    ratios = []
    for x in (0.1, 0.01, 0.001):
        policy = always([0.5 - x, 0.5 + x], 3)
        b = imitation_bounds(bandit([0, 1], 3), policy, always([0.5, 0.5], 3))
        ratios.append(b.averaged / b.gap - 1)
        assert b.gap == pytest.approx(3 * x)
    assert 0 < ratios[2] < 1e-6 < ratios[1] < 1e-4 < ratios[0] < 1e-2


def test_a_deterministic_expert_makes_the_bound_infinite_but_not_the_sharp_one():
    b = imitation_bounds(bandit([0, 1]), always([0.9, 0.1]), always([1, 0]))
    assert b.epsilon == b.published == np.inf
    assert b.gap == pytest.approx(0.1)
    assert b.sharp == pytest.approx(0.1)


def test_cloning_alone_loses_quadratically_in_the_horizon():
    # State 0 is the expert's; one slip leads to state 1 for good, where the policy errs always.
    horizon, slip = 50, 0.001
    cost = np.zeros((horizon, 2, 2))
    cost[:, :, 1] = 1
    transition = np.zeros((horizon, 2, 2, 2))
    transition[:, 0, 0, 0] = transition[:, 0, 1, 1] = transition[:, 1, :, 1] = 1
    problem = TabularProblem(np.array([1.0, 0.0]), transition, cost)
    expert = np.broadcast_to([1.0, 0.0], cost.shape)
    policy = np.broadcast_to(np.array([[1 - slip, slip], [0.0, 1.0]]), cost.shape)
    b = mixture_bounds(problem, policy, expert, beta=1.0)
    # Off the path by step t with chance 1 - (1 - slip)^t, and then every step costs 1.
    off = 1 - (1 - slip) ** np.arange(horizon)
    assert b.gap == pytest.approx(np.sum(off + (1 - off) * slip))
    assert b.mixture_gap == 0
    assert b.transfer >= b.gap > 20 * horizon * slip
    np.testing.assert_allclose(b.shift, slip * np.arange(horizon))
    assert b.transfer == pytest.approx(horizon * slip + np.sum(b.shift))


def test_values_by_hand():
    # Two steps, action 1 leads to state 1, costs 1 there, whatever is done.
    cost = np.zeros((2, 2, 2))
    cost[:, 1] = 1
    transition = np.zeros((2, 2, 2, 2))
    transition[:, :, 0, 0] = transition[:, :, 1, 1] = 1
    problem = TabularProblem(np.array([1.0, 0.0]), transition, cost)
    policy = np.broadcast_to([0.75, 0.25], (2, 2, 2))
    assert expected_cost(problem, policy) == 0.25
    assert action_values(problem, policy)[0].tolist() == [[0, 1], [1, 2]]
    assert advantages(problem, policy)[0, 0].tolist() == [-0.25, 0.75]
    assert state_distributions(problem, policy).tolist() == [[1, 0], [0.75, 0.25]]
    assert greedy(problem)[0, 0].tolist() == [1, 0]


def test_what_is_no_problem_is_refused():
    problem = random_problem(np.random.default_rng(0), 2, 3, 2)
    with pytest.raises(ValueError, match=r"A policy has shape \(2, 3\); these costs need \(2, 3"):
        check_problem(problem, np.ones((2, 3)))
    with pytest.raises(ValueError, match="A policy needs probabilities"):
        check_problem(problem, np.ones((2, 3, 2)))
    with pytest.raises(ValueError, match="Costs must be finite"):
        check_problem(problem._replace(cost=np.full((2, 3, 2), np.nan)))
    with pytest.raises(ValueError, match=r"Costs need the axes \(t, s, a\)"):
        check_problem(problem._replace(cost=np.ones((2, 3))))
    with pytest.raises(ValueError, match=r"beta is 1\.5; the expert's share must be in"):
        mixture(np.ones(1), np.ones(1), 1.5)
    with pytest.raises(ValueError, match="Got 2 errors and 1 shares; give one of each per round"):
        aggregation_bound(1.0, 5, [0.1, 0.2], [0.0])
