"""Estimates of the bound: by hand, against exact figures, and on a simulated family."""

from dataclasses import fields

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from gmps.core.dist import gaussian_kl
from gmps.core.policy import init_policy
from gmps.core.types import stack
from gmps.tasks import make_family
from gmps.theory.divergence import clipped_gaussian_kl, executed_tv, gaussian_tv
from gmps.theory.estimate import Samples, estimate, judge
from gmps.theory.sample import collect
from gmps.theory.settings import CertifyConfig, SamplingConfig
from gmps.worlds.factory import make_world


def test_estimates_by_hand():
    # One task, one repeat, horizon 2; two states, two actions of each policy.
    samples = Samples(
        policy_return=np.array([[3.0]]),
        expert_return=np.array([[4.0]]),
        kl=np.array([[[[0.5, 0.0]]]]),
        tv=np.array([[[0.5, 0.25]]]),
        q_policy=np.array([[[[1.0, 2.0], [0.0, 0.0]]]]),
        q_expert=np.array([[[[4.0, 3.0], [0.0, 1.0]]]]),
    )
    found = estimate(samples, horizon=2)
    assert {f.name: getattr(found, f.name).value for f in fields(found)} == pytest.approx(
        {
            "gap": 1,
            "decomposition": 2 * (2 + 0.5) / 2,
            "discrepancy": 2.5 - 1,
            "sharp": 2 * (0.5 * 3 + 0.25 * 1) / 2,
            "averaged": 3 * 2 * np.sqrt(0.25 / 2),
            "published": 3 * 2 * np.sqrt(0.5),
            "delta": 3,
            "mean_span": 2,
            "epsilon": 0.5,
            "mean_kl": 0.25,
            "mean_tv": 0.375,
        }
    )
    # One adaptation to one task says nothing of others, and a maximum never does.
    assert {getattr(found, f.name).low for f in fields(found)} == {None}
    verdicts = judge(found, room=3.0, horizon=2)
    assert [verdicts[name].vacuous for name in ("sharp", "averaged", "published")] == [0, 0, 1]
    # The bound equals the room at this KL: 3 = 3 * 2 * sqrt(0.25).
    assert verdicts["published"].informative_kl == pytest.approx(0.25)
    assert verdicts["published"].informative_error == pytest.approx(np.sqrt(0.5))
    assert verdicts["sharp"].informative_kl is None
    hopeless = judge(found, room=0.0, horizon=2)["published"]
    assert hopeless.vacuous and hopeless.informative_kl is None


def censored(mean, std, grid):
    """Probabilities of the two atoms and of the cells of a grid, for one clipped action."""
    inside = np.diff(norm.cdf(grid, mean, std))
    return np.concatenate([[norm.cdf(-1, mean, std)], inside, [norm.sf(1, mean, std)]])


@pytest.mark.parametrize(
    ("p", "q", "std"), [(0.2, -0.3, 0.5), (1.4, 0.9, 0.3), (-2.0, 1.0, 1.0), (3.0, 3.5, 0.5)]
)
def test_clipped_divergences_against_a_fine_grid(p, q, std, x64):
    grid = np.linspace(-1, 1, 200_001)
    mass_p, mass_q = censored(p, std, grid), censored(q, std, grid)
    used = mass_p > 0
    kl = np.sum(mass_p[used] * np.log(mass_p[used] / mass_q[used]))
    one = [jnp.array([x]) for x in (p, q, std)]
    assert float(clipped_gaussian_kl(*one)) == pytest.approx(kl, rel=1e-4)
    assert float(clipped_gaussian_kl(*one)) <= 0.5 * ((p - q) / std) ** 2
    tv = 0.5 * np.abs(mass_p - mass_q).sum()
    assert tv - 1e-6 <= float(executed_tv(*one)) <= float(gaussian_tv(*one)) + 1e-9


def test_clipping_costs_nothing_in_the_middle_and_everything_far_out():
    mean, std = jnp.array([0.1, -0.1]), jnp.full(2, 0.1)
    log_std = jnp.log(std)
    whole = gaussian_kl(mean, log_std, 2 * mean, log_std)
    assert clipped_gaussian_kl(mean, 2 * mean, std) == pytest.approx(float(whole), rel=1e-4)
    # Both always execute 1: nobody can tell them apart.
    assert clipped_gaussian_kl(jnp.array([9.0]), jnp.array([5.0]), jnp.array([0.5])) < 1e-6
    assert executed_tv(jnp.array([9.0]), jnp.array([5.0]), jnp.array([0.5])) < 1e-3


def test_gaussian_total_variation_by_integration():
    grid = np.linspace(-8, 9, 100_001)
    gap = 0.5 * np.abs(norm.pdf(grid, 0) - norm.pdf(grid, 1.3)).sum() * (grid[1] - grid[0])
    got = gaussian_tv(jnp.array([0.0]), jnp.array([1.3]), jnp.array([1.0]))
    assert float(got) == pytest.approx(gap, rel=1e-4)


def test_on_a_family_the_decomposition_gives_the_gap_and_the_bound_lies_above():
    family = make_family("point-goal")
    config = SamplingConfig(repeats=4, episodes=8, states=6, pairs=3, continuations=2)
    tasks = jnp.repeat(family.tasks("heldout", 4), 4, 0)
    samples, steps = collect(
        make_world(family),
        family.expert,
        stack(init_policy(jax.random.key(3), 2, 2), 16),
        tasks,
        jnp.full(2, 0.5),
        config,
        jax.random.key(0),
    )
    assert samples.q_policy.shape == (4, 4, 6, 3)
    assert samples.kl.shape == (4, 4, 8, 20)
    # Two rollouts, then one state in each sixth of the horizon; lengths are quarters of it.
    assert steps == 16 * (2 * 8 * 20 + 6 * 2 * (20 + 20 + 15 + 10 + 10 + 5))
    found = estimate(samples, family.spec.horizon)
    assert found.gap.value > 5
    assert found.decomposition.value == pytest.approx(found.gap.value, rel=0.1)
    assert found.gap.high is not None and found.gap.high < found.sharp.value
    assert found.sharp.value < found.averaged.value < found.published.value
    # Task by task the two are much closer together than tasks are.
    assert found.discrepancy.low is not None and found.discrepancy.high is not None
    assert found.discrepancy.value == pytest.approx(found.decomposition.value - found.gap.value)
    width = found.discrepancy.high - found.discrepancy.low
    assert width < 0.5 * 2 * (found.gap.high - found.gap.value)


def test_values_are_those_of_the_given_action_and_then_the_expert():
    # Almost no noise: from near the origin the expert reaches (1, 0) in ten steps, -4.5 in all.
    # A policy that stands still for one step pays 1 for it and then the same.
    family = make_family("point-goal")
    still = jax.tree.map(jnp.zeros_like, init_policy(jax.random.key(0), 2, 2))
    still = eqx.tree_at(lambda p: p.head.obs_std, still, jnp.ones(2))
    samples, _ = collect(
        make_world(family),
        family.expert,
        stack(still, 1),
        jnp.array([[1.0, 0.0]]),
        jnp.full(2, 1e-4),
        SamplingConfig(repeats=1, episodes=1, states=20, pairs=1, continuations=1),
        jax.random.key(0),
    )
    # With 20 states over 20 steps, state s is that of step s; the point never moves.
    left = np.arange(20, 0, -1)
    walk = np.concatenate([np.arange(0.9, 0.05, -0.1), np.zeros(11)])
    value = -np.array([walk[:n].sum() for n in left])
    np.testing.assert_allclose(samples.q_expert[0, 0, :, 0], value, atol=0.3)
    later = -np.array([1 + walk[: n - 1].sum() for n in left])
    np.testing.assert_allclose(samples.q_policy[0, 0, :, 0], later, atol=0.3)
    np.testing.assert_allclose(samples.tv, 1, atol=1e-4)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="pairs is 0; it must be at least 1"):
        SamplingConfig(pairs=0)
    with pytest.raises(ValueError, match=r"std is 0\.0; the KL needs policies with noise"):
        CertifyConfig(std=0.0)
    with pytest.raises(ValueError, match="history is -1; it must be at least 0"):
        CertifyConfig(history=-1)
