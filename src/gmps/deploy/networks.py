"""The policies' networks in numpy: the same numbers as `gmps.core`, without its packages.

Rows are samples. A network acts on one observation in some ten microseconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

#: Floor of the standard deviation (GMPS, released settings).
MIN_STD = 1e-6
_LOG_2PI = 1.8378770664093453

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class GaussianNetwork:
    """A multilayer perceptron with a bias transformation and a constant standard deviation."""

    #: Layer weights `(in, out)`; the first layer's input is `[observation, bias_transform]`.
    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    bias_transform: np.ndarray
    log_std: np.ndarray
    obs_mean: np.ndarray
    obs_std: np.ndarray
    #: `relu` or `tanh`.
    activation: str

    @classmethod
    def read(cls, arrays: Arrays, prefix: str, activation: str) -> "GaussianNetwork":
        """The network whose arrays are named `prefix/weights/0` and so on.

        Raises:
            KeyError: an array is missing.
        """
        count = sum(name.startswith(f"{prefix}/weights/") for name in arrays)
        return cls(
            weights=tuple(arrays[f"{prefix}/weights/{i}"] for i in range(count)),
            biases=tuple(arrays[f"{prefix}/biases/{i}"] for i in range(count)),
            bias_transform=arrays[f"{prefix}/bias_transform"],
            log_std=arrays[f"{prefix}/log_std"],
            obs_mean=arrays[f"{prefix}/obs_mean"],
            obs_std=arrays[f"{prefix}/obs_std"],
            activation=activation,
        )

    def arrays(self, prefix: str) -> dict[str, np.ndarray]:
        """The inverse of `read`."""
        named = {f"{prefix}/weights/{i}": x for i, x in enumerate(self.weights)}
        named |= {f"{prefix}/biases/{i}": x for i, x in enumerate(self.biases)}
        for name in ("bias_transform", "log_std", "obs_mean", "obs_std"):
            named[f"{prefix}/{name}"] = getattr(self, name)
        return named

    @property
    def std(self) -> np.ndarray:
        """Standard deviation of each action, `(act,)`."""
        return np.maximum(np.exp(self.log_std), np.float32(MIN_STD))

    def at(self, z: np.ndarray) -> "GaussianNetwork":
        """The network whose bias transformation is `z`."""
        return replace(self, bias_transform=np.asarray(z, np.float32))

    def fold(self) -> "Folded":
        """The network for acting: normalisation and bias transformation folded into its layers."""
        size = len(self.obs_mean)
        first = self.weights[0][:size] / self.obs_std[:, None]
        offset = self.biases[0] + self.bias_transform @ self.weights[0][size:]
        layers = [(first, offset), *zip(self.weights[1:], self.biases[1:], strict=True)]
        return Folded(self.obs_mean.copy(), tuple(layers), self.activation)

    def forward(
        self, obs: np.ndarray, z: np.ndarray | None = None
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Mean actions `(n, act)` of observations `(n, obs)`, and the inputs of all layers but the
        first. `z`, `(n, bias)`, takes the place of the bias transformation."""
        size = len(self.obs_mean)
        of_obs, of_bias = self.weights[0][:size], self.weights[0][size:]
        x = (obs - self.obs_mean) / self.obs_std @ of_obs + self.biases[0]
        x = x + (self.bias_transform if z is None else z) @ of_bias
        hidden = []
        for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            hidden.append(activate(self.activation, x))
            x = hidden[-1] @ weight + bias
        return x, hidden

    def backward(
        self, hidden: list[np.ndarray], towards_mean: np.ndarray
    ) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
        """Gradients of the layers after the first, and what arrives at the first one's output, of
        a loss whose derivative by the mean actions is `towards_mean`, `(n, act)`."""
        layers, delta = [], towards_mean
        for weight, h in zip(reversed(self.weights[1:]), reversed(hidden), strict=True):
            layers.append((h.T @ delta, delta.sum(0)))
            delta = (delta @ weight.T) * slope(self.activation, h)
        return layers[::-1], delta


@dataclass(frozen=True)
class Folded:
    """Layers that act: `mean(obs)` in some ten microseconds."""

    shift: np.ndarray
    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    activation: str

    def __call__(self, obs: np.ndarray) -> np.ndarray:
        """Mean action `(act,)` of one observation `(obs,)`."""
        (weight, bias), *rest = self.layers
        x = (obs - self.shift) @ weight + bias
        for weight, bias in rest:
            x = activate(self.activation, x) @ weight + bias
        return x


def activate(kind: str, x: np.ndarray) -> np.ndarray:
    """The hidden layers' activation."""
    return np.maximum(x, 0) if kind == "relu" else np.tanh(x)


def slope(kind: str, out: np.ndarray) -> np.ndarray:
    """Its derivative where its output is `out`."""
    return (out > 0).astype(out.dtype) if kind == "relu" else 1 - out**2


def log_prob(act: np.ndarray, mean: np.ndarray, log_std: np.ndarray) -> np.ndarray:
    """Log density of actions `(..., act)` under a Gaussian."""
    log_std = np.maximum(log_std, np.log(MIN_STD))
    z = (act - mean) * np.exp(-log_std)
    return -0.5 * np.sum(z * z + _LOG_2PI, -1) - np.sum(log_std)


@dataclass(frozen=True)
class ConvEncoder:
    """Convolutions and a spatial soft-argmax: from a picture to the points that it shows."""

    #: `(edge, edge, in, out)` each.
    kernels: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    strides: tuple[int, ...]

    @classmethod
    def read(cls, arrays: Arrays, prefix: str, strides: Sequence[int]) -> "ConvEncoder":
        """The encoder whose arrays are named `prefix/kernels/0` and so on."""
        count = len(strides)
        return cls(
            tuple(arrays[f"{prefix}/kernels/{i}"] for i in range(count)),
            tuple(arrays[f"{prefix}/biases/{i}"] for i in range(count)),
            tuple(strides),
        )

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """Row and column of each point in [-1, 1], flat, of a frame `(height, width, 3)` uint8."""
        x = frame.astype(np.float32) / 255
        for kernel, bias, stride in zip(self.kernels, self.biases, self.strides, strict=True):
            x = np.maximum(convolve(x, kernel, stride) + bias, 0)
        return soft_argmax(x).reshape(-1)


def convolve(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """Convolution of `(height, width, in)` with zeros around, `ceil(size / stride)` rows."""
    edge = kernel.shape[0]
    pads, counts = [], []
    for size in x.shape[:2]:
        count = -(-size // stride)
        total = max((count - 1) * stride + edge - size, 0)
        pads.append((total // 2, total - total // 2))
        counts.append(count)
    padded = np.pad(x, (*pads, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (edge, edge), axis=(0, 1))
    windows = windows[::stride, ::stride][: counts[0], : counts[1]]
    patches = windows.transpose(0, 1, 3, 4, 2).reshape(counts[0] * counts[1], -1)
    return (patches @ kernel.reshape(-1, kernel.shape[-1])).reshape(*counts, -1)


def soft_argmax(x: np.ndarray) -> np.ndarray:
    """Expected row and column of each channel under its softmax, `(channel, 2)` in [-1, 1]."""
    height, width, channels = x.shape
    flat = x.reshape(-1, channels)
    weight = np.exp(flat - flat.max(0))
    p = (weight / weight.sum(0)).reshape(x.shape)
    rows = np.linspace(-1, 1, height, dtype=np.float32)
    columns = np.linspace(-1, 1, width, dtype=np.float32)
    return np.stack([rows @ p.sum(1), columns @ p.sum(0)], -1)


def step_tree(network: GaussianNetwork, sizes: Arrays, gradient: dict[str, Any]) -> GaussianNetwork:
    """`parameter - step size * gradient` for each array that `gradient` names."""
    arrays = network.arrays("")
    for name, value in gradient.items():
        moved = arrays[name] - sizes[f"step_sizes{name}"] * value
        arrays[name] = moved.astype(np.float32)
    return GaussianNetwork.read(arrays, "", network.activation)
