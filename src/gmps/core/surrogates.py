"""Surrogates of the return that use the ratio of a new policy to the collecting one, for one task.

`r_t = pi(a_t|s_t) / pi_collect(a_t|s_t)`; at the collecting policy `r_t = 1`, and the gradient of
each surrogate is the policy gradient. Padded steps have no effect, whatever they hold.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gmps.core.dist import gaussian_kl, gaussian_log_prob
from gmps.core.losses import InnerBatch, alive_mean, living
from gmps.core.nets import GaussianPolicy


class ActionDistributions(NamedTuple):
    """What a policy does in the states of a batch."""

    #: Mean action in each state; padded steps hold what the policy does where all is zero.
    mean: Float[Array, "ep t act"]
    #: Log standard deviation that all states share.
    log_std: Float[Array, " act"]


def action_distributions(
    policy: GaussianPolicy, obs: Float[Array, "ep t obs"], alive: Bool[Array, "ep t"]
) -> ActionDistributions:
    """The policy's actions in each state."""
    return ActionDistributions(policy.means(living(obs, alive)), policy.floored_log_std)


def ratios(actions: ActionDistributions, batch: InnerBatch) -> Float[Array, "ep t"]:
    """`r_t`; 1 in padded steps."""
    log_prob = gaussian_log_prob(living(batch.act, batch.alive), actions.mean, actions.log_std)
    collected = jnp.where(batch.alive, batch.log_prob, 0)
    return jnp.exp(jnp.where(batch.alive, log_prob - collected, 0))


def surrogate_loss(actions: ActionDistributions, batch: InnerBatch) -> Float[Array, ""]:
    """`ratio_loss` of a policy that acts like this in the states of `batch`."""
    advantage = jnp.where(batch.alive, batch.advantage, 0)
    return -alive_mean(ratios(actions, batch) * advantage, batch.alive)


def ratio_loss(policy: GaussianPolicy, batch: InnerBatch) -> Float[Array, ""]:
    """`-mean_t[r_t A_t]` (Schulman et al. 2015, eq. 14).

    Its second derivative at the collecting policy keeps `grad log pi grad log pi^T`: how the
    episodes themselves depend on the policy, step by step (Rothfuss et al. 2019, section 5).
    """
    return surrogate_loss(action_distributions(policy, batch.obs, batch.alive), batch)


def clipped_surrogate(
    actions: ActionDistributions, batch: InnerBatch, clip: float
) -> Float[Array, ""]:
    """`-mean_t[min(r_t A_t, clip(r_t, 1 - clip, 1 + clip) A_t)]` (Schulman et al. 2017, eq. 7), of
    a policy that acts like this in the steps of `batch`."""
    advantage = jnp.where(batch.alive, batch.advantage, 0)
    ratio = ratios(actions, batch)
    clipped = jnp.clip(ratio, 1 - clip, 1 + clip)
    return -alive_mean(jnp.minimum(ratio * advantage, clipped * advantage), batch.alive)


def mean_kl(
    old: ActionDistributions, new: ActionDistributions, alive: Bool[Array, "ep t"]
) -> Float[Array, ""]:
    """Mean of KL(old || new) over living steps, in nats."""
    return alive_mean(gaussian_kl(*old, *new), alive)


def fisher_product(
    actions: ActionDistributions, v: ActionDistributions, alive: Bool[Array, "ep t"]
) -> ActionDistributions:
    """`F v`, `F` the Fisher information of the actions: the Hessian of `mean_kl` where old is new.

    The information about a mean is `1 / std^2`, about a log standard deviation 2.
    """
    share = alive / jnp.maximum(alive.sum(), 1)
    mean = v.mean * share[..., None] * jnp.exp(-2 * actions.log_std)
    return ActionDistributions(mean, 2 * share.sum() * v.log_std)
