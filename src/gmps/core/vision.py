"""Policies that see: convolutions, the points that they find, and a Gaussian policy on these.

The network of GMPS, appendix C (after Finn et al. 2017, "One-shot visual imitation learning"). The
inner step moves the Gaussian policy alone, so to everything that adapts a policy an image is 35
numbers: 16 points and the hand's position.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt8

from gmps.core.actors import Actor
from gmps.core.nets import GaussianPolicy, PolicyActor, init_policy
from gmps.core.types import Demonstrations, Shared, Task
from gmps.errors import GmpsError

#: Edge of each layer's square kernel, and its stride (GMPS, appendix C).
KERNELS = (5, 3, 3)
STRIDES = (3, 3, 1)
#: Channels of each layer; of the last one, points.
CHANNELS = 16
#: Numbers that describe a picture: row and column of each point.
POINT_NUMBERS = 2 * CHANNELS
#: Pictures that are encoded at a time: their activations stay in a CPU's cache.
CHUNK = 32

Frame = UInt8[Array | np.ndarray, "height width 3"]


class Encoder(eqx.Module):
    """Three convolutions and a spatial soft-argmax: from a picture to points in [-1, 1]^2."""

    #: `(edge, edge, in, out)`.
    kernels: tuple[Float[Array, "_edge _edge _in _out"], ...]
    biases: tuple[Float[Array, " _out"], ...]

    def __call__(self, frame: Frame) -> Float[Array, "point 2"]:
        """Row and column of each point."""
        x = (jnp.asarray(frame, jnp.float32) / 255)[None]
        for kernel, bias, stride in zip(self.kernels, self.biases, STRIDES, strict=True):
            x = jax.nn.relu(convolve(x, kernel, stride) + bias)
        return soft_argmax(x[0])


def convolve(
    x: Float[Array, "n height width in"], kernel: Float[Array, "edge edge in out"], stride: int
) -> Float[Array, "n _height _width out"]:
    """Convolution with zeros around the picture, as many as keep `size / stride` rows and columns.

    One matrix product over patches of `stride x stride` cells. XLA's own convolution is as fast
    forwards, but its gradient with respect to the kernel takes six times as long within a loop on a
    CPU (jax 0.10).
    """
    edge, _, n_in, n_out = kernel.shape
    reach = -(-edge // stride)  # cells that a kernel spans
    rows, columns = (-(-size // stride) for size in x.shape[1:3])
    pads = []
    for size, count in zip(x.shape[1:3], (rows, columns), strict=True):
        before = ((count - 1) * stride + edge - size) // 2
        pads.append((before, (count + reach - 1) * stride - size - before))
    x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    n, height, width, _ = x.shape
    cells = x.reshape(n, height // stride, stride, width // stride, stride, n_in)
    cells = cells.swapaxes(2, 3).reshape(n, height // stride, width // stride, -1)
    patches = [cells[:, i : i + rows, j : j + columns] for i in range(reach) for j in range(reach)]
    more = (0, reach * stride - edge)
    kernel = jnp.pad(kernel, (more, more, (0, 0), (0, 0)))
    kernel = kernel.reshape(reach, stride, reach, stride, n_in, n_out).swapaxes(1, 2)
    return jnp.concatenate(patches, -1) @ kernel.reshape(-1, n_out)


def soft_argmax(x: Float[Array, "height width channel"]) -> Float[Array, "channel 2"]:
    """Expected row and column of each channel under its softmax, in [-1, 1].

    -1 is the first row or column and 1 the last (Levine et al. 2016, "End-to-end training of deep
    visuomotor policies", section 5.1).
    """
    height, width, channels = x.shape
    p = jax.nn.softmax(x.reshape(-1, channels), axis=0).reshape(x.shape)
    rows = jnp.linspace(-1.0, 1.0, height, dtype=x.dtype)
    columns = jnp.linspace(-1.0, 1.0, width, dtype=x.dtype)
    return jnp.stack([rows @ p.sum(1), columns @ p.sum(0)], axis=-1)


def init_encoder(key: Key[Array, ""]) -> Encoder:
    """Xavier-uniform kernels, zero biases."""
    init = jax.nn.initializers.glorot_uniform()
    sizes = (3, *[CHANNELS] * len(KERNELS))
    keys = jax.random.split(key, len(KERNELS))
    return Encoder(
        kernels=tuple(
            init(k, (edge, edge, n_in, n_out), jnp.float32)
            for k, edge, n_in, n_out in zip(keys, KERNELS, sizes[:-1], sizes[1:], strict=True)
        ),
        biases=tuple(jnp.zeros(n, jnp.float32) for n in sizes[1:]),
    )


def encode(
    encoder: Encoder,
    frames: UInt8[Array | np.ndarray, "*n height width 3"],
    hand: Float[Array | np.ndarray, "*n hand"],
) -> Float[Array, "*n feature"]:
    """Features of pictures: the numbers of all points, then the hand's position (m)."""
    lead = frames.shape[:-3]
    flat = jnp.asarray(frames).reshape(-1, *frames.shape[-3:])
    # Activations of a chunk are computed again for its gradient: to store those of all would cost
    # 60 KB a picture.
    look = jax.checkpoint(lambda encoder, frame: encoder(frame))
    points = jax.lax.map(partial(look, encoder), flat, batch_size=min(CHUNK, flat.shape[0]))
    return jnp.concatenate([points.reshape(*lead, -1), jnp.asarray(hand, jnp.float32)], -1)


class VisionPolicy(eqx.Module):
    """A Gaussian policy on the features of a picture."""

    encoder: Encoder
    #: Acts on features: see `encode`.
    head: GaussianPolicy

    def __call__(
        self, frame: Frame, hand: Float[Array, " hand"]
    ) -> tuple[Float[Array, " act"], Float[Array, " act"]]:
        """Mean and log standard deviation of the action."""
        return self.head(jnp.concatenate([self.encoder(frame).reshape(-1), hand]))

    @property
    def log_std(self) -> Any:
        """Log standard deviation of each action, before its floor; of stacked policies stacked."""
        return self.head.log_std

    @property
    def hand_size(self) -> int:
        """Numbers that the policy is shown beside the picture."""
        return self.head.obs_mean.shape[-1] - POINT_NUMBERS

    def features(
        self,
        frames: UInt8[Array | np.ndarray, "*n height width 3"],
        obs: Float[Array | np.ndarray, "*n obs"],
    ) -> Float[Array, "*n feature"]:
        """What the head acts on. Of the state's observation only the hand is read."""
        return encode(self.encoder, frames, obs[..., : self.hand_size])


def init_vision_policy(
    key: Key[Array, ""], hand_size: int, act_size: int, **settings: Any
) -> VisionPolicy:
    """A random policy; `settings` are those of `gmps.core.nets.init_policy`."""
    key_encoder, key_head = jax.random.split(key)
    head = init_policy(key_head, POINT_NUMBERS + hand_size, act_size, **settings)
    return VisionPolicy(init_encoder(key_encoder), head)


def perceive(
    policy: GaussianPolicy | VisionPolicy, labels: Demonstrations
) -> tuple[GaussianPolicy, Demonstrations]:
    """A Gaussian policy and labels whose observations are what it acts on."""
    if isinstance(policy, GaussianPolicy):
        return policy, labels
    if labels.frames is None:
        raise GmpsError(
            "The labels have no pictures, which this policy needs; take a family with a camera."
        )
    features = policy.features(labels.frames, labels.obs)
    return policy.head, labels._replace(obs=features, frames=None)


class Looks:
    """What actors share whose policies look at pictures, all with one encoder; it makes them
    actors that need frames."""

    #: Numbers at the start of the state's observation that the policy is shown beside the picture.
    hand_size: int

    @property
    def needs_frames(self) -> bool:
        """Yes."""
        return True

    def seeing(self, params: Any) -> VisionPolicy:
        """The part of the actor's policies that looks: here all of it."""
        return params

    def shared_encoder(self, params: Any) -> Encoder:
        """The encoder of all tasks.

        Raises:
            GmpsError: the tasks' encoders differ. An inner step never changes them.
        """
        if isinstance(params, Shared):
            return self.seeing(params.params).encoder
        encoders = jax.device_get(self.seeing(params).encoder)
        for x in jax.tree.leaves(encoders):
            if not (x == x[:1]).all():
                raise GmpsError(
                    "The policies of one rollout have different convolutions, but are run with "
                    "one; roll out policies that were adapted from the same one."
                )
        return jax.tree.map(lambda x: jnp.asarray(x[0]), encoders)

    def encode(
        self,
        encoder: Encoder,
        frames: UInt8[Array, "b height width 3"],
        obs: Float[Array, "b obs"],
    ) -> Float[Array, "b feature"]:
        """Features of what the cameras show. Of the state's observation only the hand is read."""
        return encode(encoder, frames, obs[:, : self.hand_size])


@dataclass(frozen=True)
class VisionActor(Looks, Actor):
    """Runs `VisionPolicy`s."""

    act_size: int
    hand_size: int
    stochastic: bool = True

    @property
    def noise_size(self) -> int:
        """One normal number for each action dimension."""
        return self.act_size

    def __call__(
        self,
        params: VisionPolicy,
        task: Task,
        obs: Float[Array, " feature"],
        noise: Float[Array, " noise"],
    ) -> tuple[Float[Array, " act"], Float[Array, ""]]:
        """The action and its log density under the stochastic policy, from features."""
        return PolicyActor(self.act_size, self.stochastic)(params.head, task, obs, noise)
