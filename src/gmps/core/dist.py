"""Diagonal Gaussian distributions over actions, on the last axis."""

import jax.numpy as jnp
from jaxtyping import Array, Float

_LOG_2PI = 1.8378770664093453


def gaussian_log_prob(
    x: Float[Array, "*n act"], mean: Float[Array, "*n act"], log_std: Float[Array, "... act"]
) -> Float[Array, "*n"]:
    """Log density of `x` under N(mean, diag(exp(log_std)^2))."""
    z = (x - mean) * jnp.exp(-log_std)
    return -0.5 * jnp.sum(z * z + _LOG_2PI, -1) - jnp.sum(log_std, -1)


def gaussian_kl(
    mean_p: Float[Array, "*n act"],
    log_std_p: Float[Array, "... act"],
    mean_q: Float[Array, "*n act"],
    log_std_q: Float[Array, "... act"],
) -> Float[Array, "*n"]:
    """KL(p || q) in nats between two diagonal Gaussians."""
    ratio = jnp.exp(2 * (log_std_p - log_std_q))
    shift = ((mean_p - mean_q) * jnp.exp(-log_std_q)) ** 2
    return jnp.sum(log_std_q - log_std_p + 0.5 * (ratio + shift - 1), -1)
