"""Policies with a Gaussian latent, drawn once for an episode, and the actor that runs them."""

from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from gmps.core.actors import Actor
from gmps.core.dist import gaussian_kl, gaussian_log_prob
from gmps.core.losses import InnerBatch
from gmps.core.nets import GaussianPolicy, with_std
from gmps.core.types import Demonstrations, Task, Trajectories
from gmps.core.vision import Looks, VisionPolicy
from gmps.methods.gaussian import PolicySettings, head_of, untrained_policy
from gmps.worlds.base import World

Net = TypeVar("Net", bound=GaussianPolicy | VisionPolicy)


class Latent(NamedTuple):
    """The distribution of a latent `z`: N(mean, diag(exp(log_std)^2)). Also step sizes of both."""

    mean: Float[Array, "*n z"]
    log_std: Float[Array, "*n z"]


class LatentPolicy(eqx.Module):
    """A Gaussian policy of `[observation, z]`, and the distribution of its `z`.

    Where the policy looks at pictures, the observation is what its encoder makes of them.
    """

    #: `z` takes the place of its bias transformation, whose own value has no effect.
    net: GaussianPolicy | VisionPolicy
    latent: Latent

    def given_noise(self) -> GaussianPolicy:
        """The policy of `[observation, e]`, where `z = mean + exp(log_std) e`.

        The first layer is linear in `z`, so the noise is one more input of an ordinary policy:
        `[s, z] @ [U; V] = [s, e] @ [U; diag(exp(log_std)) V] + mean @ V`. Losses and outer steps
        take it as it is, and their gradients reach the latent's mean and deviation.
        """
        net, (mean, log_std) = head_of(self.net), self.latent
        size = net.obs_mean.shape[0]
        of_obs, of_z = net.weights[0][:size], net.weights[0][size:]
        return replace(
            net,
            weights=(
                jnp.concatenate([of_obs, jnp.exp(log_std)[:, None] * of_z]),
                *net.weights[1:],
            ),
            biases=(net.biases[0] + mean @ of_z, *net.biases[1:]),
            bias_transform=net.bias_transform[:0],
            obs_mean=jnp.concatenate([net.obs_mean, jnp.zeros_like(mean)]),
            obs_std=jnp.concatenate([net.obs_std, jnp.ones_like(mean)]),
        )

    def at_mean(self) -> GaussianPolicy | VisionPolicy:
        """The policy of observations or pictures alone that has the latent's mean for `z`."""
        return at(self.net, self.latent.mean)


def at(net: Net, z: Float[Array, " z"]) -> Net:
    """The policy of observations or pictures alone that has `z`."""
    return eqx.tree_at(lambda p: head_of(p).bias_transform, net, z)


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
    too. With fewer pairs than numbers of `z` there are only the pairs. An odd episode out has 0.
    """
    pairs, size = noise.shape[0] // 2, noise.shape[1]
    half = noise[:pairs]
    if pairs >= size:
        q, r = jnp.linalg.qr(half)
        # The signs of Q alone are a convention; with those of R they are as random as the draws.
        half = jnp.sqrt(1.0 * pairs) * q * jnp.sign(jnp.diagonal(r))
    return jnp.concatenate([half, -half, jnp.zeros_like(noise[2 * pairs :])])


@dataclass(frozen=True)
class LatentActor(Actor):
    """Runs a `LatentPolicy`; `stochastic=False` takes the means of `z` and of the action."""

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
        self,
        params: LatentPolicy,
        task: Task,
        obs: Float[Array, " obs"],
        noise: Float[Array, " noise"],
    ) -> tuple[Float[Array, " act"], Float[Array, ""]]:
        """The action and its log density, given `z`, under the stochastic policy."""
        del task
        if not self.stochastic:
            noise = jnp.zeros_like(noise)
        of_z, of_act = noise[: self.latent_size], noise[self.latent_size :]
        mean, log_std = params.given_noise()(jnp.concatenate([obs, of_z]))
        act = mean + jnp.exp(log_std) * of_act
        return act, gaussian_log_prob(act, mean, log_std)


@dataclass(frozen=True)
class SpreadLatentActor(LatentActor):
    """A `LatentActor` whose `z` are spread evenly over the episodes of a task."""

    def held_spread(self, noise: Float[Array, "ep z"]) -> Float[Array, "ep z"]:
        """See `spread_evenly`."""
        return spread_evenly(noise)


@dataclass(frozen=True)
class SeeingLatentActor(Looks, SpreadLatentActor):
    """A `SpreadLatentActor` whose policies look at pictures."""

    hand_size: int = field(kw_only=True)

    def seeing(self, params: LatentPolicy) -> VisionPolicy:
        """The network without the latent."""
        assert isinstance(params.net, VisionPolicy)
        return params.net


class LatentMethod:
    """What methods share whose policies are `LatentPolicy`s."""

    config: PolicySettings
    world: World

    def untrained(
        self, key: Key[Array, ""], demos: Demonstrations
    ) -> GaussianPolicy | VisionPolicy:
        """A policy without latent that has learned nothing, scaled to the experts' data."""
        return untrained_policy(self.config, self.world.family, key, demos)

    def action_std(self, policy: LatentPolicy) -> Float[Array, " act"]:
        """The standard deviation of the actions, given `z`."""
        return jnp.exp(policy.net.log_std)

    def with_noise_of(self, policies: LatentPolicy, policy: LatentPolicy) -> LatentPolicy:
        """The policies, their actions given `z` as noisy as those of `policy`."""
        return LatentPolicy(with_std(policies.net, self.action_std(policy)), policies.latent)

    def export(self, policy: LatentPolicy) -> GaussianPolicy | VisionPolicy:
        """The policy at the mean of its latent, which becomes its bias transformation."""
        return policy.at_mean()
