"""Distances between distributions: of actions in a table, and Gaussian.

Two policies drawn *independently* differ more often than their total variation says; drawn by a
maximal coupling they differ exactly that often. docs/theory.md has the argument.
"""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erf, log_ndtr, ndtr
from jaxtyping import Array, Float


def total_variation(p: Float[np.ndarray, "*b a"], q: Float[np.ndarray, "*b a"]) -> Any:
    """`1/2 sum |p - q|`, in [0, 1]."""
    return 0.5 * np.abs(p - q).sum(-1)


def kl_divergence(p: Float[np.ndarray, "*b a"], q: Float[np.ndarray, "*b a"]) -> Any:
    """KL(p || q) in nats; infinite where `p` has mass that `q` has not."""
    # Terms `p log(p/q) - p + q` are never negative, so rounding cannot make the sum so.
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log(p / q) - p + q, q)
    return np.maximum(terms, 0).sum(-1)


def disagreement(p: Float[np.ndarray, "*b a"], q: Float[np.ndarray, "*b a"]) -> Any:
    """Probability that *independent* draws from `p` and `q` differ: `1 - sum p q`.

    Never below the total variation; equal to it if and only if, for every action, one of the two
    has no mass on it or all of its mass.
    """
    return 1 - np.sum(p * q, -1)


def maximal_coupling(p: Float[np.ndarray, " a"], q: Float[np.ndarray, " a"]) -> np.ndarray:
    """Joint distribution `(a, a)` of draws from `p` and `q` that differ as rarely as possible.

    Off the diagonal lies exactly the total variation.
    """
    common = np.minimum(p, q)
    rest_p, rest_q = p - common, q - common
    apart = rest_p.sum()
    off = np.outer(rest_p, rest_q) / apart if apart > 0 else np.zeros((len(p), len(p)))
    return np.diag(common) + off


def span(values: Float[np.ndarray, "*b a"]) -> Any:
    """Largest minus smallest, along the last axis."""
    return np.ptp(values, -1)


def tv_from_kl(kl: Any) -> Any:
    """The total variation that a KL (nats) allows: `min(sqrt(KL / 2), sqrt(1 - exp(-KL)))`.

    Pinsker's inequality; for large KL that of Bretagnolle and Huber, which never exceeds 1.
    """
    kl = np.asarray(kl)
    return np.minimum(np.sqrt(kl / 2), np.sqrt(-np.expm1(-kl)))


def gaussian_tv(
    mean_p: Float[Array, " act"], mean_q: Float[Array, " act"], std: Float[Array, " act"]
) -> Float[Array, ""]:
    """Total variation of two Gaussians that share their standard deviations."""
    shift = jnp.sqrt(jnp.sum(((mean_p - mean_q) / std) ** 2))
    return erf(shift / (2 * math.sqrt(2)))


def clipped_gaussian_kl(
    mean_p: Float[Array, " act"], mean_q: Float[Array, " act"], std: Float[Array, " act"]
) -> Float[Array, ""]:
    """KL(p || q) in nats of Gaussian actions after clipping to [-1, 1], equal deviations.

    Each action has an atom at -1, one at 1 and the Gaussian's density between. Clipping can only
    lower a KL (data processing), so this is never above `dist.gaussian_kl`: what the world cannot
    tell apart does not count as an error.
    """
    return jnp.sum(_clipped_kl(mean_p, mean_q, std))


def executed_tv(
    mean_p: Float[Array, " act"], mean_q: Float[Array, " act"], std: Float[Array, " act"]
) -> Float[Array, ""]:
    """An upper bound on the total variation of two Gaussians' clipped actions.

    The least of three: the total variation before clipping, and both bounds of `tv_from_kl`.
    """
    kl = clipped_gaussian_kl(mean_p, mean_q, std)
    bound = jnp.minimum(jnp.sqrt(kl / 2), jnp.sqrt(-jnp.expm1(-kl)))
    return jnp.minimum(bound, gaussian_tv(mean_p, mean_q, std))


def _clipped_kl(p: Float[Array, " act"], q: Float[Array, " act"], std: Float[Array, " act"]) -> Any:
    """KL of each action; `p`, `q` are means."""
    low, high = (-1 - p) / std, (1 - p) / std
    shift = (p - q) / std
    atoms = ndtr(low) * (log_ndtr(low) - log_ndtr(low + shift)) + ndtr(-high) * (
        log_ndtr(-high) - log_ndtr(-high - shift)
    )
    inside = ndtr(high) - ndtr(low)
    # Between the atoms the log ratio is linear: shift * z + shift^2 / 2 for z = (x - p) / std.
    density = lambda z: jnp.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)  # noqa: E731
    linear = shift * (density(low) - density(high)) + 0.5 * shift**2 * inside
    return jnp.clip(atoms + linear, 0, 0.5 * shift**2)
