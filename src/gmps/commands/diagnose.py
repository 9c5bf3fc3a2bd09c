"""`gmps diagnose RUN`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from gmps.commands.cli import late, leading, parse
from gmps.evaluation.diagnose_settings import DiagnoseConfig
from gmps.settings import Settings


@dataclass(frozen=True)
class Diagnose(Settings):
    """Say why adaptation works or fails: does the update tell the tasks apart, and does it help?

    Makes several updates of each task, each from episodes of its own, and compares them. Says too
    how well a demonstrated state alone tells its task, and what latents say. Writes diagnosis.json
    into the run.

    example:
      gmps diagnose runs/push --episodes 5 20 40
    """

    checkpoint: Literal["best", "latest"] = "best"
    """The checkpoint with the best return after the update on training tasks, or the last one."""
    family: str | None = None
    """Another definition of the run's family, as FILE.py:NAME, in place of the run's own."""
    config: Annotated[DiagnoseConfig, tyro.conf.arg(name="")] = field(
        default_factory=DiagnoseConfig
    )


def run(argv: Sequence[str]) -> int:
    """Measure, print the table and what it means."""
    folder, options = leading(argv, "diagnose", "RUN", "RUN is a folder that `gmps train` wrote.")
    command = parse(Diagnose, options, "diagnose RUN", Diagnose())
    late("gmps.commands.diagnosing").diagnose_run(folder, command)
    return 0
