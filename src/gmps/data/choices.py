"""The words that options choose among: reading them imports no JAX."""

from typing import Literal

#: Formats of demonstrations that are written.
Format = Literal["minari", "robomimic", "lerobot"]
