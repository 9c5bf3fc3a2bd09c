"""A learned advantage of whole episodes: how much better an episode was than the others, for each
number of the latent, read from its rewards.
"""

import functools
from typing import NamedTuple, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

#: Weight of the past in the running scale of the rewards.
MEMORY = 0.9
#: Smallest deviation of a segment, as a share of the largest: the start of an episode, where all
#: rewards are alike, is not blown up.
MIN_SHARE = 0.05


class RewardScale(NamedTuple):
    """Means and deviations over tasks and episodes, of each segment and of the return."""

    mean: Float[Array, " segment"]
    std: Float[Array, " segment"]
    #: Deviation of the return over the episodes of a task, the mean over tasks.
    return_std: Float[Array, ""]

    @staticmethod
    def unknown(segments: int) -> "RewardScale":
        """Before the first episode."""
        zero, one = jnp.zeros(segments, jnp.float32), jnp.ones(segments, jnp.float32)
        return RewardScale(zero, one, jnp.ones((), jnp.float32))

    def update(self, rewards: Float[Array, "task ep segment"], first: bool) -> "RewardScale":
        """A running mean over rounds; the `first` one counts alone."""
        std = rewards.std((0, 1))
        floor = jnp.maximum(MIN_SHARE * std.max(), jnp.finfo(std.dtype).tiny)
        spread = jnp.maximum(rewards.sum(-1).std(1).mean(), floor)
        new = RewardScale(rewards.mean((0, 1)), jnp.maximum(std, floor), spread)
        if first:
            return new
        return RewardScale(*(MEMORY * a + (1 - MEMORY) * b for a, b in zip(self, new, strict=True)))


class Advantage(Protocol):
    """How much better an episode was than the others of its task."""

    def __call__(
        self, scale: RewardScale, rewards: Float[Array, "ep segment"]
    ) -> Float[Array, "ep z"]:
        """The advantages of one task's episodes, for each number of z."""
        ...


class SoftmaxAdvantage(eqx.Module):
    """`A = n softmax(b (R - mean) / std) - 1`, with mean and std over the task's own `n` episodes.

    To first order in `b` that is the standardised return, so the inner step is the policy gradient;
    as `b` grows it goes to the latent of the best episode (the weights are those of relative
    entropy policy search: Peters et al. 2010). That is what helps in a task unlike those of
    training, where the return of a mean of two latents says nothing about their mean.
    """

    #: Logarithm of `b`.
    log_sharpness: Float[Array, ""]

    def __call__(
        self, scale: RewardScale, rewards: Float[Array, "ep segment"]
    ) -> Float[Array, "ep 1"]:
        """The advantages of one task's episodes, alike for every number of z."""
        del scale
        returns = rewards.sum(-1)
        spread = jnp.maximum(returns.std(), jnp.finfo(returns.dtype).tiny)
        better = jnp.exp(self.log_sharpness) * (returns - returns.mean()) / spread
        return (len(returns) * jax.nn.softmax(better) - 1)[:, None]


class EpisodeAdvantage(eqx.Module):
    """`A = (R - mean) / std + f(rewards)`, minus its mean over the episodes of the task.

    The first part is the return on one scale for all tasks, with a learned weight for each segment
    of the episode; `f`, a network of one hidden layer, starts at 0. Unlike a return that is
    standardised in each task, it keeps how good the task's episodes are: so how far to go.
    """

    weight: Float[Array, "segment z"]
    hidden: Float[Array, "segment hidden"]
    bias: Float[Array, " hidden"]
    out: Float[Array, "hidden z"]

    def __call__(
        self, scale: RewardScale, rewards: Float[Array, "ep segment"]
    ) -> Float[Array, "ep z"]:
        """The advantages of one task's episodes."""
        centred = rewards - scale.mean
        value = (centred / scale.return_std) @ self.weight
        value += jnp.tanh((centred / scale.std) @ self.hidden + self.bias) @ self.out
        return value - value.mean(0)


def init_advantage(
    key: Key[Array, ""], segments: int, latent: int, hidden: int, step_size: float
) -> EpisodeAdvantage:
    """`step_size` times the return, for each number of the latent."""
    scale = 0.5 / jnp.sqrt(segments)
    return EpisodeAdvantage(
        weight=jnp.full((segments, latent), step_size, jnp.float32),
        hidden=scale * jax.random.normal(key, (segments, hidden), jnp.float32),
        bias=jnp.zeros(hidden, jnp.float32),
        out=jnp.zeros((hidden, latent), jnp.float32),
    )


@functools.partial(jax.jit, static_argnames="segments", inline=True)
def segment(reward: Float[Array, "*n t"], segments: int) -> Float[Array, "*n segment"]:
    """Sums over `segments` nearly equal parts of the time axis."""
    steps = reward.shape[-1]
    part = jnp.arange(steps) * segments // steps
    return reward @ jax.nn.one_hot(part, segments, dtype=reward.dtype)
