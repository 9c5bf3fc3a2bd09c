"""Surrogates of the return that use the ratio of a new policy to the collecting one, for one task.

`r_t = pi(a_t|s_t) / pi_collect(a_t|s_t)`; at the collecting policy `r_t = 1`, and the gradient of
each surrogate is the policy gradient. Padded steps have no effect, whatever they hold.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gmps.core.dist import gaussian_kl
from gmps.core.losses import InnerBatch, alive_mean, living, log_probs
from gmps.core.nets import GaussianPolicy


def ratios(policy: GaussianPolicy, batch: InnerBatch) -> Float[Array, "ep t"]:
    """`r_t`; 1 in padded steps."""
    obs, act = living(batch.obs, batch.alive), living(batch.act, batch.alive)
    collected = jnp.where(batch.alive, batch.log_prob, 0)
    return jnp.exp(jnp.where(batch.alive, log_probs(policy, obs, act) - collected, 0))


def ratio_loss(policy: GaussianPolicy, batch: InnerBatch) -> Float[Array, ""]:
    """`-mean_t[r_t A_t]` (Schulman et al. 2015, eq. 14).

    Its second derivative at the collecting policy keeps `grad log pi grad log pi^T`: how the
    episodes themselves depend on the policy, step by step (Rothfuss et al. 2019, section 5).
    """
    advantage = jnp.where(batch.alive, batch.advantage, 0)
    return -alive_mean(ratios(policy, batch) * advantage, batch.alive)


def clipped_ratio_loss(policy: GaussianPolicy, batch: InnerBatch, clip: float) -> Float[Array, ""]:
    """`-mean_t[min(r_t A_t, clip(r_t, 1 - clip, 1 + clip) A_t)]` (Schulman et al. 2017, eq. 7)."""
    advantage = jnp.where(batch.alive, batch.advantage, 0)
    ratio = ratios(policy, batch)
    clipped = jnp.clip(ratio, 1 - clip, 1 + clip)
    return -alive_mean(jnp.minimum(ratio * advantage, clipped * advantage), batch.alive)


def action_distributions(
    policy: GaussianPolicy, obs: Float[Array, "ep t obs"], alive: Bool[Array, "ep t"]
) -> tuple[Float[Array, "ep t act"], Float[Array, " act"]]:
    """Means in each state, and the log standard deviation they share."""
    means, _ = jax.vmap(jax.vmap(policy))(living(obs, alive))
    return means, policy.floored_log_std


def mean_kl(
    old: tuple[Float[Array, "ep t act"], Float[Array, " act"]],
    new: tuple[Float[Array, "ep t act"], Float[Array, " act"]],
    alive: Bool[Array, "ep t"],
) -> Float[Array, ""]:
    """Mean of KL(old || new) over living steps, in nats."""
    kl = lambda p, q: gaussian_kl(p, old[1], q, new[1])  # noqa: E731
    return alive_mean(jax.vmap(jax.vmap(kl))(old[0], new[0]), alive)
