"""Returns, the linear feature baseline and generalised advantages, for one task.

Arrays have axes `(ep, t)`; callers `vmap` over tasks.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Num

from gmps.core.choices import Baseline
from gmps.core.types import Trajectories
from gmps.errors import GmpsError


def check_without_state(baseline: Baseline) -> None:
    """Raise GmpsError where the baseline reads the state, which a policy of pictures has not."""
    if baseline == "linear":
        raise GmpsError(
            "baseline is 'linear', which reads the state; a policy of pictures needs 'time' or "
            "'zero'."
        )


def discounted_returns(
    reward: Float[Array, "ep t"], discount: float, last_value: Float[Array, " ep"]
) -> Float[Array, "ep t"]:
    """`G_t = r_t + discount * G_{t+1}`, with `last_value` behind the last step."""

    def backward(following: Array, r: Array) -> tuple[Array, Array]:
        g = r + discount * following
        return g, g

    return jax.lax.scan(backward, last_value, reward.T, reverse=True)[1].T


def gae(
    reward: Float[Array, "ep t"],
    value: Float[Array, "ep t"],
    alive: Bool[Array, "ep t"],
    last_value: Float[Array, " ep"],
    discount: float,
    gae_lambda: float,
) -> Float[Array, "ep t"]:
    """Generalised advantage estimates (Schulman et al. 2016, eq. 16).

    `last_value` is the value after the last living step: 0 where the episode ended in a terminal
    state, the value of the last observation where the horizon cut it off. Padded steps get 0.
    """
    following_alive = jnp.concatenate([alive[:, 1:], jnp.zeros_like(alive[:, :1])], axis=1)
    following_value = jnp.concatenate([value[:, 1:], jnp.zeros_like(value[:, :1])], axis=1)
    next_value = jnp.where(following_alive, following_value, last_value[:, None])
    delta = jnp.where(alive, reward + discount * next_value - value, 0.0)
    return discounted_returns(delta, discount * gae_lambda, jnp.zeros_like(last_value))


def baseline_features(
    obs: Float[Array, "ep t obs"], start: Num[Array, " ep"] | float = 0.0
) -> Float[Array, "ep t feature"]:
    """Features of the linear baseline (Duan et al. 2016): obs, obs^2, time to the third power, 1.

    Observations are clipped to [-10, 10]; time is `(start + t) / 100`, `start` the first step's
    number, one for all episodes or one for each.
    """
    clipped = jnp.clip(obs, -10.0, 10.0)
    first = jnp.broadcast_to(jnp.asarray(start, obs.dtype), obs.shape[:1])
    time = (first[:, None, None] + jnp.arange(obs.shape[1], dtype=obs.dtype)[:, None]) / 100
    return jnp.concatenate(
        [clipped, clipped**2, time, time**2, time**3, jnp.ones_like(time)], axis=-1
    )


def fit_linear_baseline(
    features: Float[Array, "ep t feature"],
    target: Float[Array, "ep t"],
    alive: Bool[Array, "ep t"],
    ridge: float = 1e-5,
) -> Float[Array, " feature"]:
    """Ridge regression of `target` on the features of living steps.

    Solved by a QR factorisation of the augmented system: the normal equations lose half of the
    digits, which float32 does not have to spare.
    """
    n_features = features.shape[-1]
    rows = jnp.where(alive[..., None], features, 0).reshape(-1, n_features)
    penalty = ridge**0.5 * jnp.eye(n_features, dtype=features.dtype)
    q, r = jnp.linalg.qr(jnp.concatenate([rows, penalty]))
    right = jnp.concatenate(
        [jnp.where(alive, target, 0).reshape(-1), jnp.zeros(n_features, target.dtype)]
    )
    return jax.scipy.linalg.solve_triangular(r, q.T @ right)


def standardise(
    x: Float[Array, "ep t"], alive: Bool[Array, "ep t"], eps: float = 1e-8
) -> Float[Array, "ep t"]:
    """Zero mean and unit standard deviation over living steps; padded steps get 0."""
    n = jnp.maximum(alive.sum(), 1)
    mean = jnp.sum(jnp.where(alive, x, 0)) / n
    std = jnp.sqrt(jnp.sum(jnp.where(alive, (x - mean) ** 2, 0)) / n)
    return jnp.where(alive, (x - mean) / (std + eps), 0)


def advantages(
    data: Trajectories,
    *,
    discount: float = 0.99,
    gae_lambda: float = 1.0,
    baseline: Baseline = "linear",
) -> Float[Array, "ep t"]:
    """Standardised advantages of one task, with the baseline fitted on the same data.

    Episodes cut off by the horizon, or earlier, are continued with the baseline's value of the last
    observation at the time it was made; terminal states are worth 0. Padded steps get 0 and have no
    effect, whatever they hold.
    """
    zero = jnp.zeros_like(data.reward[:, 0])
    reward = jnp.where(data.alive, data.reward, 0)
    if baseline == "zero":
        raw = gae(reward, jnp.zeros_like(reward), data.alive, zero, discount, gae_lambda)
        return standardise(raw, data.alive)
    seen = slice(None) if baseline == "linear" else slice(0)
    features = baseline_features(data.obs[..., seen])
    target = discounted_returns(reward, discount, zero)
    weights = fit_linear_baseline(features, target, data.alive)
    last = baseline_features(data.last_obs[:, None, seen], data.alive.sum(1))[:, 0] @ weights
    last_value = jnp.where(data.terminated, 0.0, last)
    raw = gae(reward, features @ weights, data.alive, last_value, discount, gae_lambda)
    return standardise(raw, data.alive)
