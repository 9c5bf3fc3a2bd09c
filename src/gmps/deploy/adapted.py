"""The policy of one task, and its file: what `gmps adapt` writes, read with numpy alone."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from gmps.deploy.networks import ConvEncoder, GaussianNetwork
from gmps.deploy.spaces import Spaces
from gmps.errors import GmpsError
from gmps.tensors import read_tensors, write_tensors

_VECTORS = ("bias_transform", "log_std", "obs_mean", "obs_std")


class AdaptedPolicy:
    """The policy of one task: `policy(obs)` is its action without noise."""

    def __init__(
        self,
        network: GaussianNetwork,
        encoder: ConvEncoder | None,
        spaces: Mapping[str, Any],
        facts: Mapping[str, Any] = MappingProxyType({}),
    ):
        """Args:
        network: acts.
        encoder: of frames, where it acts on pictures.
        spaces: sizes, bounds and names, as in `meta.json`.
        facts: what is known about it, JSON values.
        """
        self.network, self.encoder = network, encoder
        self.facts = {**facts, "spaces": dict(spaces)}
        self.spaces = Spaces.read(spaces)
        self._mean = network.fold()

    def __call__(self, obs: Any, frame: Any = None) -> np.ndarray:
        """The action, `(act,)`, in the robot's units; arguments as of `Episode.act`."""
        return self.spaces.units(self._mean(self.spaces.given(self.encoder, obs, frame)))

    def save(self, path: str | Path) -> None:
        """Write the policy as `.safetensors`, for `load_policy` and `gmps.load`; never overwrites.

        Raises:
            GmpsError: the file exists.
        """
        path = Path(path)
        if path.exists():
            raise GmpsError(f"{path} already exists; choose another file.")
        network, encoder = self.network, self.encoder
        arrays = {f".head.weights[{i}]": x for i, x in enumerate(network.weights)}
        arrays |= {f".head.biases[{i}]": x for i, x in enumerate(network.biases)}
        arrays |= {f".head.{name}": getattr(network, name) for name in _VECTORS}
        if encoder is not None:
            arrays |= {f".encoder.kernels[{i}]": x for i, x in enumerate(encoder.kernels)}
            arrays |= {f".encoder.biases[{i}]": x for i, x in enumerate(encoder.biases)}
        sizes = {
            "obs_size": self.spaces.obs_size,
            "camera": encoder is not None,
            "act_size": self.spaces.act_size,
            "hidden": [len(x) for x in network.biases[:-1]],
            "bias_size": len(network.bias_transform),
            "activation": network.activation,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        plain = {name: np.ascontiguousarray(x, np.float32) for name, x in arrays.items()}
        write_tensors(path, plain, {**self.facts, "sizes": sizes}, {})


def load_policy(path: str | Path) -> AdaptedPolicy:
    """The policy of a file that `gmps adapt` or `AdaptedPolicy.save` wrote.

    Raises:
        GmpsError: the file is missing or damaged, holds no policy, or was written before policies
            said what their actions mean.
    """
    arrays, header = read_tensors(path)
    facts = dict(header["metadata"])
    if "sizes" not in facts:
        raise GmpsError(f"{path} holds no policy; `gmps adapt` writes policies.")
    spaces = facts.pop("spaces", None)
    if spaces is None:
        raise GmpsError(
            f"{path} was written by an earlier version, and does not say what its actions mean; "
            "adapt again."
        )
    sizes = facts.pop("sizes")
    try:
        layers = range(len(sizes["hidden"]) + 1)
        network = GaussianNetwork(
            tuple(arrays[f".head.weights[{i}]"] for i in layers),
            tuple(arrays[f".head.biases[{i}]"] for i in layers),
            activation=sizes["activation"],
            **{name: arrays[f".head.{name}"] for name in _VECTORS},
        )
        encoder = None
        if spaces["frame"] is not None:
            strides = tuple(spaces["frame"]["strides"])
            each = range(len(strides))
            encoder = ConvEncoder(
                tuple(arrays[f".encoder.kernels[{i}]"] for i in each),
                tuple(arrays[f".encoder.biases[{i}]"] for i in each),
                strides,
            )
        return AdaptedPolicy(network, encoder, spaces, facts)
    except (KeyError, TypeError, ValueError) as error:
        raise GmpsError(f"{path} is damaged: {error!r}; copy it again.") from error
