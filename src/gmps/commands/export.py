"""`gmps export RUN`, and of a file that `gmps adapt` wrote."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gmps.commands.cli import late, leading, parse
from gmps.runs.choices import Form
from gmps.settings import Settings


@dataclass(frozen=True)
class Export(Settings):
    """Write a trained policy for a robot's computer: explore, adapt and act with numpy alone.

    The folder holds weights, how to explore and to adapt, and a model card. `gmps.deploy` reads it;
    see docs/deploy.md. With --forms it holds the policy before adaptation in these forms too; RUN
    may then be a file that `gmps adapt` wrote.

    example:
      gmps export runs/push --out policy --forms onnx stablehlo
      gmps export adapted.safetensors --forms onnx
    """

    out: str | None = None
    """Folder to write, by default RUN/policy; of a file, the path without an ending, by default
    its own. It must not exist yet."""
    forms: tuple[Form, ...] = ()
    """Other forms of the policy: onnx (needs gmps[onnx]), stablehlo."""
    checkpoint: Literal["best", "latest"] = "best"
    """Which checkpoint to export."""
    family: str | None = None
    """Another definition of the run's family, as FILE.py:NAME, in place of the run's own."""


def run(argv: Sequence[str]) -> int:
    """Export."""
    folder, options = leading(argv, "export", "RUN", "RUN is a folder that `gmps train` wrote.")
    command = parse(Export, options, "export RUN")
    late("gmps.commands.exporting").export_policy(folder, command)
    return 0
