"""The words that options choose among: reading them imports no JAX."""

from typing import Literal

#: Other forms of a policy.
Form = Literal["onnx", "stablehlo"]
