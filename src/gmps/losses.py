"""The inner loss (policy gradient) and the outer losses (imitation), for one task."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gmps.nets import GaussianPolicy

Imitation = Literal["mse", "nll"]


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


def alive_mean(x: Float[Array, "*n"], alive: Bool[Array, "*n"]) -> Float[Array, ""]:
    """Mean of `x` over living steps."""
    return jnp.sum(jnp.where(alive, x, 0)) / jnp.maximum(alive.sum(), 1)


def log_probs(
    policy: GaussianPolicy, obs: Float[Array, "ep t obs"], act: Float[Array, "ep t act"]
) -> Float[Array, "ep t"]:
    """Log density of each action."""
    return jax.vmap(jax.vmap(policy.log_prob))(obs, act)


def policy_gradient_loss(policy: GaussianPolicy, batch: InnerBatch) -> Float[Array, ""]:
    """`-mean_t[w_t log pi(a_t|s_t) A_t]` (GMPS, eq. 1 with per-step importance weights)."""
    log_prob = log_probs(policy, batch.obs, batch.act)
    return -alive_mean(batch.weight * log_prob * batch.advantage, batch.alive)


def imitation_loss(
    policy: GaussianPolicy,
    obs: Float[Array, "n obs"],
    act: Float[Array, "n act"],
    valid: Bool[Array, " n"],
    kind: Imitation = "mse",
) -> Float[Array, ""]:
    """How far the policy is from the expert's actions.

    `mse`: squared error of the mean, averaged over steps and action dimensions (released code);
    `nll`: negative log likelihood, averaged over steps (the paper's text).
    """
    if kind == "nll":
        return -alive_mean(jax.vmap(policy.log_prob)(obs, act), valid)
    mean, _ = jax.vmap(policy)(obs)
    return alive_mean(jnp.mean((mean - act) ** 2, -1), valid)
