"""The words that settings choose among: reading them imports no JAX."""

from typing import Literal

#: A family's lists of tasks.
Split = Literal["train", "heldout"]
#: Who simulates a MuJoCo family: MuJoCo on CPU threads, or MJX in JAX.
Sim = Literal["native", "mjx"]
