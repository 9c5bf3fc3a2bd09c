"""Policies: an encoder of what they are shown, and a Gaussian head that acts on the features.

There is one type for states and for pictures. The inner step moves the head, so losses and
everything that adapts a policy work on heads and on features, and never meet a picture.
"""

import abc
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt8

from gmps.core.actors import Actor
from gmps.core.dist import gaussian_log_prob
from gmps.core.encoders import Encoder, Identity, init_convolutions
from gmps.core.losses import InnerBatch
from gmps.core.nets import GaussianPolicy, Network, init_head
from gmps.core.types import Demonstrations, Params, Shared, Task
from gmps.errors import GmpsError

Shown = TypeVar("Shown", InnerBatch, Demonstrations)


class Policy(Network):
    """A Gaussian policy of what it is shown: an observation, or a picture and proprioception."""

    encoder: Encoder
    #: Acts on the encoder's features.
    head: GaussianPolicy

    def __call__(
        self,
        obs: Float[Array | np.ndarray, " obs"],
        frame: UInt8[Array | np.ndarray, "height width 3"] | None = None,
    ) -> tuple[Float[Array, " act"], Float[Array, " act"]]:
        """Mean and log standard deviation of the action."""
        return self.head(self.encoder(obs, frame))

    @property
    def obs_size(self) -> int:
        """Numbers of the observation that it is shown."""
        return self.head.obs_mean.shape[-1] - self.encoder.frame_features

    @property
    def action_std(self) -> Float[Array, "*task act"]:
        """The standard deviation of the actions, for others who are to act as noisily."""
        return jnp.exp(self.head.log_std)

    def with_std(self, std: float | Float[Array, " act"]) -> "Policy":
        """The policy, or stacked policies, acting with these standard deviations."""
        return replace(self, head=self.head.with_std(std))

    def export(self) -> "Policy":
        """The policy as it is handed on: itself."""
        return self


def init_policy(
    key: Key[Array, ""], obs_size: int, act_size: int, *, camera: bool = False, **settings: Any
) -> Policy:
    """A random policy.

    Args:
        key: of its weights.
        obs_size: numbers of the observation that it is shown; with a camera, of proprioception.
        act_size: numbers of an action.
        camera: whether it is shown pictures.
        settings: of its head, as `gmps.core.nets.init_head` takes them.
    """
    if not camera:
        return Policy(Identity(), init_head(key, obs_size, act_size, **settings))
    key_encoder, key_head = jax.random.split(key)
    encoder = init_convolutions(key_encoder, obs_size)
    features = encoder.frame_features + obs_size
    return Policy(encoder, init_head(key_head, features, act_size, **settings))


def encoded(encoder: Encoder, shown: Shown) -> Shown:
    """Samples with features in place of observations and pictures: what a head consumes."""
    features = encoder(shown.obs, shown.frames)
    if isinstance(shown, Demonstrations) and shown.mixing is not None:
        return shown._replace(obs=mixed(features, shown.mixing), frames=None, mixing=None)
    return shown._replace(obs=features, frames=None)


def mixed(
    features: Float[Array, "task n feature"], mixing: Float[Array, "task n other"]
) -> Float[Array, "task n feature"]:
    """Features moved along what sets each other task's apart from the mean of all tasks at the same
    place: see `gmps.data.augmentation`. No gradient makes them move less."""
    apart = jax.lax.stop_gradient(features - features.mean(0))
    return features + jnp.einsum("ino,onf->inf", mixing, apart)


class EncodingActor(Actor):
    """An actor whose policies encode what they are shown, all of a rollout with one encoder."""

    @abc.abstractmethod
    def encoder(self, params: Any) -> Encoder:
        """The encoder of its policies, stacked where they are."""

    def shared_encoder(self, params: Params) -> Encoder:
        """The encoder of all tasks.

        Raises:
            GmpsError: the tasks' encoders differ. An inner step never changes them.
        """
        if isinstance(params, Shared):
            return self.encoder(params.params)
        encoders = jax.device_get(self.encoder(params))
        if not all((x == x[:1]).all() for x in jax.tree.leaves(encoders)):
            raise GmpsError(
                "The policies of one rollout have different convolutions, but are run with one; "
                "roll out policies that were adapted from the same one."
            )
        return jax.tree.map(lambda x: jnp.asarray(x[0]), encoders)

    def encode(
        self,
        encoder: Encoder,
        obs: Float[Array, "b obs"],
        frames: UInt8[Array, "b height width 3"] | None,
    ) -> Float[Array, "b feature"]:
        """Features of what is shown."""
        return encoder(obs, frames)


@dataclass(frozen=True)
class PolicyActor(EncodingActor):
    """Runs `Policy`s; `stochastic=False` takes the mean."""

    act_size: int
    stochastic: bool = True
    needs_frames: bool = False

    @property
    def noise_size(self) -> int:
        """One normal number for each action dimension."""
        return self.act_size

    def encoder(self, params: Policy) -> Encoder:
        """The policy's own."""
        return params.encoder

    def __call__(
        self,
        params: Policy,
        task: Task,
        obs: Float[Array, " feature"],
        noise: Float[Array, " noise"],
    ) -> tuple[Float[Array, " act"], Float[Array, ""]]:
        """The action and its log density under the stochastic policy, from features."""
        del task
        mean, log_std = params.head(obs)
        act = mean + jnp.exp(log_std) * noise if self.stochastic else mean
        return act, gaussian_log_prob(act, mean, log_std)
