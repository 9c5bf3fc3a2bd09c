"""What a policy makes of what it is shown: the observation as it is, or points in a picture.

The convolutions are those of GMPS, appendix C (after Finn et al. 2017, "One-shot visual imitation
learning"). An inner step never moves an encoder, so to everything that adapts a policy a picture is
35 numbers: 16 points and the hand's position.
"""

import abc
from functools import partial
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt8

from gmps.core.nets import Network
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


class Encoder(Network):
    """From what a policy is shown to the features that its head acts on; any leading axes."""

    #: How many of its features describe a picture, the first ones; the others are observation.
    frame_features: ClassVar[int]

    @abc.abstractmethod
    def __call__(
        self,
        obs: Float[Array | np.ndarray, "*n obs"],
        frames: UInt8[Array | np.ndarray, "*n height width 3"] | None = None,
    ) -> Float[Array, "*n feature"]:
        """Features of observations, and of what the camera shows beside them."""

    @property
    def needs_frames(self) -> bool:
        """Whether it is shown pictures."""
        return self.frame_features > 0


class Identity(Encoder):
    """Observations as they are; a camera is not looked at."""

    frame_features: ClassVar[int] = 0

    def __call__(
        self,
        obs: Float[Array | np.ndarray, "*n obs"],
        frames: UInt8[Array | np.ndarray, "*n height width 3"] | None = None,
    ) -> Float[Array, "*n obs"]:
        """The observations."""
        del frames
        return jnp.asarray(obs)


class Convolutions(Encoder):
    """Three convolutions and a spatial soft-argmax: from a picture to points in [-1, 1]^2.

    Features are the numbers of all points, then proprioception: the first numbers of the
    observation. What else an observation says has no influence.
    """

    frame_features: ClassVar[int] = POINT_NUMBERS

    #: `(edge, edge, in, out)`.
    kernels: tuple[Float[Array, "_edge _edge _in _out"], ...]
    biases: tuple[Float[Array, " _out"], ...]
    #: Numbers of the observation that it passes on beside the points.
    proprioception_size: int = eqx.field(static=True)

    def __call__(
        self,
        obs: Float[Array | np.ndarray, "*n obs"],
        frames: UInt8[Array | np.ndarray, "*n height width 3"] | None = None,
    ) -> Float[Array, "*n feature"]:
        """Features of pictures and of the observations beside them.

        Raises:
            GmpsError: there are no pictures.
        """
        if frames is None:
            raise GmpsError(
                "There are no pictures, which this policy needs; take a family with a camera."
            )
        lead = frames.shape[:-3]
        flat = jnp.asarray(frames).reshape(-1, *frames.shape[-3:])
        # Activations of a chunk are computed again for its gradient: to store those of all would
        # cost 60 KB a picture.
        find = jax.checkpoint(lambda encoder, frame: encoder.points(frame))
        points = jax.lax.map(partial(find, self), flat, batch_size=min(CHUNK, flat.shape[0]))
        proprioception = jnp.asarray(obs[..., : self.proprioception_size], jnp.float32)
        return jnp.concatenate([points.reshape(*lead, -1), proprioception], -1)

    def points(self, frame: Frame) -> Float[Array, "point 2"]:
        """Row and column of each point in one picture."""
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


def init_convolutions(key: Key[Array, ""], proprioception_size: int) -> Convolutions:
    """Xavier-uniform kernels, zero biases."""
    init = jax.nn.initializers.glorot_uniform()
    sizes = (3, *[CHANNELS] * len(KERNELS))
    keys = jax.random.split(key, len(KERNELS))
    return Convolutions(
        kernels=tuple(
            init(k, (edge, edge, n_in, n_out), jnp.float32)
            for k, edge, n_in, n_out in zip(keys, KERNELS, sizes[:-1], sizes[1:], strict=True)
        ),
        biases=tuple(jnp.zeros(n, jnp.float32) for n in sizes[1:]),
        proprioception_size=proprioception_size,
    )
