"""From samples to the bound: estimates with bootstrap intervals, for any problem.

Rewards, not costs: returns and `q` are sums of reward, and the gap is what the policy lacks. The
notation is that of `gmps.theory.bounds`. These are estimates, not guarantees: the largest value of
a sample is at most the true largest, and the noise of `q` widens its span.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from gmps.evaluation.stats import Statistic, stratified_bootstrap
from gmps.theory.divergence import span


class Samples(NamedTuple):
    """What was measured. Steps after the end of an episode count, as 0 loss, 0 TV and 0 KL."""

    #: Mean undiscounted return of the policy's and of the expert's episodes.
    policy_return: Float[np.ndarray, "task repeat"]
    expert_return: Float[np.ndarray, "task repeat"]
    #: KL(policy || expert) in nats, in every visited state.
    kl: Float[np.ndarray, "task repeat ep t"]
    #: Total variation in sampled visited states, whose steps are uniform over the horizon.
    tv: Float[np.ndarray, "task repeat s"]
    #: Return from there on with the expert, after actions drawn from the policy.
    q_policy: Float[np.ndarray, "task repeat s n"]
    #: The same, after actions drawn from the expert.
    q_expert: Float[np.ndarray, "task repeat s n"]


@dataclass(frozen=True)
class Figure:
    """An estimate with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimates:
    """The gap, its bounds and what they are made of; means over tasks unless said otherwise."""

    #: Return of the expert minus that of the policy.
    gap: Figure
    #: The same from `q` in visited states, by the performance difference lemma.
    decomposition: Figure
    #: `sum_t E_t[TV_t * span of Q_t]`.
    sharp: Figure
    #: `delta H sqrt(mean KL / 2)`.
    averaged: Figure
    #: `delta H sqrt(epsilon)`, the printed form.
    published: Figure
    #: Largest span of Q over sampled states and actions. Its interval, as those of `epsilon` and
    #: of the bounds with them, is that of the sample's maximum.
    delta: Figure
    #: Mean span of Q.
    mean_span: Figure
    #: Largest KL in a visited state.
    epsilon: Figure
    #: Mean KL over steps.
    mean_kl: Figure
    #: Mean total variation over steps.
    mean_tv: Figure


def estimate(samples: Samples, horizon: int, seed: int = 0) -> Estimates:
    """All figures of `Estimates`; intervals resample repeats within each task.

    Raises:
        GmpsError: empty samples, or a number that is not finite.
    """
    parts = unit_figures(samples)
    mean_kl, top_kl = parts["mean_kl"], parts["top_kl"]
    top_span = parts["top_span"]

    def figure(statistic: Statistic, *arrays: Any) -> Figure:
        value = statistic(*(x[None] for x in arrays))[0]
        return Figure(float(value), *stratified_bootstrap(statistic, *arrays, seed=seed))

    return Estimates(
        gap=figure(lambda e, p: _mean(e) - _mean(p), samples.expert_return, samples.policy_return),
        decomposition=figure(lambda x: horizon * _mean(x), parts["loss"]),
        sharp=figure(lambda x: horizon * _mean(x), parts["weighted_span"]),
        averaged=figure(lambda d, k: _top(d) * horizon * np.sqrt(_mean(k) / 2), top_span, mean_kl),
        published=figure(lambda d, k: _top(d) * horizon * np.sqrt(_top(k)), top_span, top_kl),
        delta=figure(_top, top_span),
        mean_span=figure(_mean, parts["mean_span"]),
        epsilon=figure(_top, top_kl),
        mean_kl=figure(_mean, mean_kl),
        mean_tv=figure(_mean, parts["mean_tv"]),
    )


def unit_figures(samples: Samples) -> dict[str, Float[np.ndarray, "task repeat"]]:
    """What each repeat in each task contributes to the estimates, averaged over its states."""
    spans = span(np.concatenate([samples.q_policy, samples.q_expert], -1))
    lost = samples.q_expert.mean(-1) - samples.q_policy.mean(-1)
    return {
        "loss": lost.mean(-1),
        "weighted_span": (samples.tv * spans).mean(-1),
        "top_span": spans.max(-1),
        "mean_span": spans.mean(-1),
        "mean_kl": samples.kl.mean((-1, -2)),
        "top_kl": samples.kl.max((-1, -2)),
        "mean_tv": samples.tv.mean(-1),
    }


def _mean(x: Float[np.ndarray, "draw task repeat"]) -> Any:
    return x.mean((-1, -2))


def _top(x: Float[np.ndarray, "draw task repeat"]) -> Any:
    return x.max((-1, -2))


@dataclass(frozen=True)
class Verdict:
    """Whether a bound says anything about a run, and at what error it would."""

    #: The bound, in units of return.
    bound: float
    #: True if it does not even rule out the return of an untrained policy.
    vacuous: bool
    #: The bound divided by what separates the expert from an untrained policy.
    ratio: float
    #: KL below which the bound with this delta is not vacuous; None for the sharp form, which has
    #: no single KL, and where nothing separates the two.
    informative_kl: float | None
    #: The same as a distance of mean actions, in standard deviations: `sqrt(2 KL)`.
    informative_error: float | None


def judge(estimates: Estimates, room: float, horizon: int) -> dict[str, Verdict]:
    """The verdict on `sharp`, `averaged` and `published`.

    Args:
        estimates: see `estimate`.
        room: return of the expert minus that of an untrained policy, in the same tasks.
        horizon: steps of an episode.
    """
    verdicts = {}
    # bound = delta H sqrt(KL / share), so that it equals the room at this KL.
    for name, share in (("sharp", None), ("averaged", 2.0), ("published", 1.0)):
        bound = getattr(estimates, name).value
        kl = error = None
        if share is not None and room > 0 and estimates.delta.value > 0:
            kl = share * (room / (estimates.delta.value * horizon)) ** 2
            error = float(np.sqrt(2 * kl))
        ratio = bound / room if room > 0 else float("inf")
        verdicts[name] = Verdict(bound, not ratio < 1, ratio, kl, error)
    return verdicts
