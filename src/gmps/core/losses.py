"""The inner loss (policy gradient) and the outer losses (imitation), for one task.

All are functions of the policy's mean actions, which `GaussianPolicy.means` computes for a batch.
"""

from typing import NamedTuple, get_args

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

from gmps.core.choices import Imitation
from gmps.core.dist import gaussian_log_prob
from gmps.core.nets import GaussianPolicy
from gmps.errors import GmpsError

#: Error of an action, in units of the action range's half, up to which `huber` is quadratic.
HUBER_WIDTH = 0.5


def check_imitation(kind: str) -> None:
    """Raise GmpsError unless `kind` is an imitation loss."""
    if kind not in get_args(Imitation):
        raise GmpsError(f"imitation is {kind!r}; it must be 'mse', 'huber' or 'nll'.")


class InnerBatch(NamedTuple):
    """What one policy-gradient step consumes. Every field is data: no gradient enters it."""

    obs: Float[Array, "ep t obs"]
    act: Float[Array, "ep t act"]
    #: Standardised advantages.
    advantage: Float[Array, "ep t"]
    #: Log density of `act` under the policy that collected it.
    log_prob: Float[Array, "ep t"]
    #: Importance weights; 1 on the policy's own data.
    weight: Float[Array, "ep t"]
    alive: Bool[Array, "ep t"]
    #: What the camera shows beside `obs`; None where there is none, and once both are encoded.
    frames: UInt8[Array | np.ndarray, "ep t height width 3"] | None = None


def alive_mean(x: Float[Array, "*n"], alive: Bool[Array, "*n"]) -> Float[Array, ""]:
    """Mean of `x` over living steps."""
    return jnp.sum(jnp.where(alive, x, 0)) / jnp.maximum(alive.sum(), 1)


def living(x: Float[Array, "*n feature"], alive: Bool[Array, "*n"]) -> Float[Array, "*n feature"]:
    """`x` with zeros in padded steps.

    A mask behind the network would not do: 0 times an infinite derivative is not a number.
    """
    return jnp.where(alive[..., None], x, 0)


def log_probs(
    policy: GaussianPolicy, obs: Float[Array, "*n obs"], act: Float[Array, "*n act"]
) -> Float[Array, "*n"]:
    """Log density of each action; not a number where the observation or the action is none."""
    return gaussian_log_prob(act, policy.means(obs), policy.floored_log_std)


def policy_gradient_loss(policy: GaussianPolicy, batch: InnerBatch) -> Float[Array, ""]:
    """`-mean_t[w_t log pi(a_t|s_t) A_t]` (GMPS, eq. 1 with per-step importance weights).

    Padded steps have no effect, whatever they hold.
    """
    scale = jnp.where(batch.alive, batch.weight * batch.advantage, 0)
    log_prob = log_probs(policy, living(batch.obs, batch.alive), living(batch.act, batch.alive))
    return -alive_mean(scale * log_prob, batch.alive)


def imitation_loss(
    policy: GaussianPolicy,
    obs: Float[Array, "n obs"],
    act: Float[Array, "n act"],
    valid: Bool[Array, " n"],
    kind: Imitation = "mse",
) -> Float[Array, ""]:
    """How far the policy is from the expert's actions.

    `mse`: squared error of the mean, averaged over steps and action dimensions (released code);
    `huber`: the same for small errors, linear for large ones, so that states where the mean is far
    beyond the action range do not drown the others;
    `nll`: negative log likelihood, averaged over steps (the paper's text). Padding has no effect,
    whatever it holds. Raises GmpsError for another kind.
    """
    check_imitation(kind)
    obs, act = living(obs, valid), living(act, valid)
    if kind == "nll":
        return -alive_mean(log_probs(policy, obs, act), valid)
    return alive_mean(jnp.mean(action_cost(policy.means(obs) - act, kind), -1), valid)


def action_cost(error: Float[Array, "*n"], kind: Imitation) -> Float[Array, "*n"]:
    """Squared error of an action; with `huber`, linear beyond `HUBER_WIDTH` (Huber 1964)."""
    if kind == "huber":
        size = jnp.abs(error)
        return jnp.where(size <= HUBER_WIDTH, error**2, 2 * HUBER_WIDTH * size - HUBER_WIDTH**2)
    return error**2
