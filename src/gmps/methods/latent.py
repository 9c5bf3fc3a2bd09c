"""Policies with a Gaussian latent, drawn once for an episode, and the actor that runs them."""

import abc
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmps.core.actors import Actor
from gmps.core.dist import gaussian_kl, gaussian_log_prob
from gmps.core.encoders import Encoder
from gmps.core.losses import InnerBatch
from gmps.core.nets import GaussianPolicy
from gmps.core.policy import EncodingActor, Policy
from gmps.core.types import Task, Trajectories


class Latent(NamedTuple):
    """The distribution of a latent `z`: N(mean, diag(exp(log_std)^2)). Also step sizes of both."""

    mean: Float[Array, "*n z"]
    log_std: Float[Array, "*n z"]


class LatentPolicy(eqx.Module):
    """A policy of `[features, z]`, and the distribution of its `z`."""

    #: `z` takes the place of its bias transformation, whose own value has no effect.
    net: Policy
    latent: Latent

    def given_noise(self) -> GaussianPolicy:
        """The head of `[features, e]`: see `given_noise`."""
        return given_noise(self.net.head, self.latent)

    @property
    def action_std(self) -> Float[Array, "*task act"]:
        """The standard deviation of the actions, given `z`."""
        return self.net.action_std

    def with_std(self, std: Float[Array, " act"]) -> Self:
        """The same, its actions given `z` with this standard deviation."""
        return replace(self, net=self.net.with_std(std))

    def export(self) -> Policy:
        """The policy at the mean of its latent, which becomes its bias transformation."""
        return with_latent(self.net, self.latent.mean)


def with_latent(net: Policy, z: Float[Array, " z"]) -> Policy:
    """The policy that has `z`: of what the learner is shown alone."""
    return replace(net, head=replace(net.head, bias_transform=z))


def given_noise(head: GaussianPolicy, latent: Latent) -> GaussianPolicy:
    """The head of `[features, e]`, where `z = mean + exp(log_std) e`.

    The first layer is linear in `z`, so the noise is one more input of an ordinary head:
    `[s, z] @ [U; V] = [s, e] @ [U; diag(exp(log_std)) V] + mean @ V`. Losses and outer steps take
    it as it is, and their gradients reach the latent's mean and deviation.
    """
    mean, log_std = latent
    size = head.obs_mean.shape[0]
    of_obs, of_z = head.weights[0][:size], head.weights[0][size:]
    return replace(
        head,
        weights=(jnp.concatenate([of_obs, jnp.exp(log_std)[:, None] * of_z]), *head.weights[1:]),
        biases=(head.biases[0] + mean @ of_z, *head.biases[1:]),
        bias_transform=head.bias_transform[:0],
        obs_mean=jnp.concatenate([head.obs_mean, jnp.zeros_like(mean)]),
        obs_std=jnp.concatenate([head.obs_std, jnp.ones_like(mean)]),
    )


def prior(shape: int | tuple[int, ...]) -> Latent:
    """The standard normal distribution; `shape` ends with the size of `z`."""
    return Latent(jnp.zeros(shape, jnp.float32), jnp.zeros(shape, jnp.float32))


def prior_kl(latent: Latent) -> Float[Array, ""]:
    """KL(latent || N(0, I)) in nats, of one task."""
    zero = jnp.zeros_like(latent.mean)
    return gaussian_kl(latent.mean, latent.log_std, zero, zero)


def with_held(batch: InnerBatch, data: Trajectories) -> InnerBatch:
    """The batch with the noise of each episode behind its observations, for `given_noise`."""
    steps = batch.obs.shape[:3]
    held = jnp.broadcast_to(data.held[:, :, None], (*steps, data.held.shape[-1]))
    return batch._replace(obs=jnp.concatenate([batch.obs, held], -1))


def spread_evenly(noise: Float[Array, "ep z"]) -> Float[Array, "ep z"]:
    """Antithetic pairs `e, -e` with the identity for second moment, from independent draws.

    The first half of the episodes is made orthogonal and the second half mirrors it: the mean of
    `e` is 0 and that of `e e^T` is I, exactly, so the estimated gradient of a quadratic is exact
    too. Fewer pairs than numbers of `z` are orthogonal, each as long as usual. An odd episode out
    has 0.
    """
    pairs, size = noise.shape[0] // 2, noise.shape[1]
    half = noise[:pairs]
    q, r = jnp.linalg.qr(half if pairs >= size else half.T)
    # The signs of Q alone are a convention; with those of R they are as random as the draws.
    if pairs >= size:
        half = jnp.sqrt(1.0 * pairs) * q * jnp.sign(jnp.diagonal(r))
    else:
        half = jnp.sqrt(1.0 * size) * (q * jnp.sign(jnp.diagonal(r))).T
    return jnp.concatenate([half, -half, jnp.zeros_like(noise[2 * pairs :])])


@dataclass(frozen=True)
class EpisodeLatentActor(Actor):
    """An actor that draws a latent once for an episode; `stochastic=False` takes the means of the
    latent and of the action."""

    act_size: int
    latent_size: int
    stochastic: bool = True

    @property
    def held_noise(self) -> int:
        """The noise of `z` comes first and stays for the episode."""
        return self.latent_size

    @property
    def noise_size(self) -> int:
        """One normal number for each number of `z` and of the action."""
        return self.latent_size + self.act_size

    def __call__(
        self, params: Any, task: Task, obs: Float[Array, " obs"], noise: Float[Array, " noise"]
    ) -> tuple[Float[Array, " act"], Float[Array, ""]]:
        """The action and its log density, given `z`, under the stochastic policy."""
        del task
        if not self.stochastic:
            noise = jnp.zeros_like(noise)
        return self.act(params, obs, noise[: self.latent_size], noise[self.latent_size :])

    @abc.abstractmethod
    def act(
        self,
        params: Any,
        obs: Float[Array, " obs"],
        of_latent: Float[Array, " z"],
        of_act: Float[Array, " act"],
    ) -> tuple[Float[Array, " act"], Float[Array, ""]]:
        """The action and its log density, given the noise of both."""


@dataclass(frozen=True)
class LatentActor(EpisodeLatentActor, EncodingActor):
    """Runs a `LatentPolicy`."""

    needs_frames: bool = False

    def encoder(self, params: LatentPolicy) -> Encoder:
        """That of the network without the latent."""
        return params.net.encoder

    def act(
        self,
        params: LatentPolicy,
        obs: Float[Array, " obs"],
        of_latent: Float[Array, " z"],
        of_act: Float[Array, " act"],
    ) -> tuple[Float[Array, " act"], Float[Array, ""]]:
        """The action from features, and its log density."""
        mean, log_std = params.given_noise()(jnp.concatenate([obs, of_latent]))
        act = mean + jnp.exp(log_std) * of_act
        return act, gaussian_log_prob(act, mean, log_std)


@dataclass(frozen=True)
class SpreadLatentActor(LatentActor):
    """A `LatentActor` whose `z` are spread evenly over the episodes of a task."""

    def held_spread(self, noise: Float[Array, "ep z"]) -> Float[Array, "ep z"]:
        """See `spread_evenly`."""
        return spread_evenly(noise)
