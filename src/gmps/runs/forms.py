"""A policy in other forms: ONNX, and StableHLO by `jax.export`.

Both are functions of the same names. Inputs: `observation (n, obs)` float32 and, of policies that
act on pictures, `frame (n, height, width, 3)` uint8. Output: `action (n, act)` float32, without
noise, within the robot's bounds and in its units, as of `gmps.deploy.AdaptedPolicy`.
"""

import importlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export
from jaxtyping import Array, Float, UInt8

from gmps.aside import write_atomically
from gmps.core.encoders import STRIDES, Convolutions
from gmps.core.policy import Policy
from gmps.errors import GmpsError
from gmps.runs.choices import Form

#: Of ONNX: old enough for every runtime of the last four years.
_OPSET, _IR = 17, 8
#: Where the StableHLO runs.
_PLATFORMS = ("cpu", "cuda", "rocm", "tpu")


def require_forms(forms: Iterable[Form]) -> None:
    """Raise GmpsError unless the packages that the forms need are installed."""
    if "onnx" in forms:
        _onnx()


def write_forms(
    stem: Path, policy: Policy, spaces: Mapping[str, Any], forms: Iterable[Form]
) -> Iterator[Path]:
    """Write `STEM.onnx` and `STEM.stablehlo`, as far as they are asked for; yields their paths.

    Args:
        stem: path without an ending, whose folder exists.
        policy: the policy, with arrays as leaves.
        spaces: what a meta-policy's or a policy's file says under `spaces`.
        forms: which.

    Raises:
        GmpsError: the package `onnx` is missing.
    """
    for form in forms:
        path = stem.with_name(f"{stem.name}.{form}")
        write_atomically(path, as_onnx(policy, spaces) if form == "onnx" else _hlo(policy, spaces))
        yield path


def as_onnx(policy: Policy, spaces: Mapping[str, Any]) -> bytes:
    """The policy as an ONNX model.

    Raises:
        GmpsError: the package `onnx` is missing.
    """
    onnx = _onnx()
    graph = _Graph(onnx.helper, onnx.numpy_helper)
    x = "observation"
    inputs: list[tuple[str, int, tuple[int, ...]]] = [(x, 1, (policy.obs_size,))]
    encoder = policy.encoder
    if isinstance(encoder, Convolutions):
        height, width, _ = spaces["frame"]["shape"]
        inputs.append(("frame", 2, (height, width, 3)))  # uint8
        points = _points(graph, encoder, height, width)
        x = graph.add("Concat", [points, x], axis=1)
    head = policy.head
    x = graph.add("Div", [graph.add("Sub", [x, head.obs_mean]), head.obs_std])
    for i, (weight, bias) in enumerate(head.layers):
        if i:
            x = graph.add("Relu" if head.activation == "relu" else "Tanh", [x])
        x = graph.add("Gemm", [x, weight, bias])
    middle, half = _scale(spaces)
    x = graph.add("Clip", [x, np.float32(-1), np.float32(1)])
    graph.add("Add", [graph.add("Mul", [x, half]), middle], name="action")
    helper, one = onnx.helper, onnx.TensorProto
    kinds = {1: one.FLOAT, 2: one.UINT8}
    shown = [
        helper.make_tensor_value_info(name, kinds[kind], ["n", *shape])
        for name, kind, shape in inputs
    ]
    size = int(head.log_std.shape[0])
    action = helper.make_tensor_value_info("action", one.FLOAT, ["n", size])
    made = helper.make_graph(graph.nodes, "policy", shown, [action], graph.constants)
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="gmps"
    )
    model.ir_version = _IR
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def _points(graph: "_Graph", encoder: Convolutions, height: int, width: int) -> str:
    """Row and column of each point, `(n, 2 * point)`: see `Convolutions.points`."""
    x = graph.add("Cast", ["frame"], to=1)
    x = graph.add("Transpose", [graph.add("Div", [x, np.float32(255)])], perm=[0, 3, 1, 2])
    size = (height, width)
    for kernel, bias, stride in zip(encoder.kernels, encoder.biases, STRIDES, strict=True):
        counts = [-(-n // stride) for n in size]
        totals = [
            max((count - 1) * stride + kernel.shape[0] - n, 0)
            for n, count in zip(size, counts, strict=True)
        ]
        pads = [t // 2 for t in totals] + [t - t // 2 for t in totals]
        weight = np.asarray(kernel).transpose(3, 2, 0, 1)
        x = graph.add("Conv", [x, weight, bias], pads=pads, strides=[stride, stride])
        x, size = graph.add("Relu", [x]), counts
    channels = encoder.biases[-1].shape[0]
    x = graph.add("Reshape", [x, np.array([-1, channels, size[0] * size[1]])])
    grid = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in size), indexing="ij")
    x = graph.add("MatMul", [graph.add("Softmax", [x], axis=2), np.stack(grid, -1).reshape(-1, 2)])
    return graph.add("Reshape", [x, np.array([-1, 2 * channels])])


class _Graph:
    """Nodes and constants, named as they are added."""

    def __init__(self, helper: Any, numpy_helper: Any):
        self._helper, self._numpy = helper, numpy_helper
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, kind: str, inputs: Iterable[Any], name: str | None = None, **options: Any) -> str:
        """A node whose inputs are names, or arrays for constants; returns its output's name."""
        name = name or f"{kind.lower()}_{len(self.nodes)}"
        names = [x if isinstance(x, str) else self._constant(np.asarray(x)) for x in inputs]
        self.nodes.append(self._helper.make_node(kind, names, [name], name=name, **options))
        return name

    def _constant(self, array: np.ndarray) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(self._numpy.from_array(np.ascontiguousarray(array), name))
        return name


def _hlo(policy: Policy, spaces: Mapping[str, Any]) -> bytes:
    """The policy as StableHLO, for `jax.export.deserialize`."""
    middle, half = _scale(spaces)

    def action(
        observation: Float[Array, "n obs"], frame: UInt8[Array, "n height width 3"] | None = None
    ) -> Float[Array, "n act"]:
        axes = (0, None if frame is None else 0)
        mean, _ = jax.vmap(policy, axes)(observation, frame)
        return jnp.asarray(middle) + half * jnp.clip(mean, -1, 1)

    (n,) = jax_export.symbolic_shape("n")
    shown = [jax.ShapeDtypeStruct((n, policy.obs_size), jnp.float32)]
    if spaces["frame"] is not None:
        shown.append(jax.ShapeDtypeStruct((n, *spaces["frame"]["shape"]), jnp.uint8))
    return bytes(jax_export.export(jax.jit(action), platforms=_PLATFORMS)(*shown).serialize())


def _scale(spaces: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    low, high = (np.asarray(spaces["action"][end], np.float32) for end in ("low", "high"))
    return 0.5 * (low + high), 0.5 * (high - low)


def _onnx() -> Any:
    try:
        for name in ("checker", "helper", "numpy_helper"):
            importlib.import_module(f"onnx.{name}")
        return importlib.import_module("onnx")
    except ModuleNotFoundError as error:
        raise GmpsError(
            'ONNX needs the package onnx, which is not installed: pip install "gmps[onnx]".'
        ) from error
