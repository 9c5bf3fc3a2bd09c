"""`gmps certify RUN`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from gmps.commands.cli import late, leading, parse
from gmps.settings import Settings
from gmps.theory.settings import CertifyConfig


@dataclass(frozen=True)
class Certify(Settings):
    """Bound how far the adapted policies of a run can be from their expert, on held-out tasks.

    Estimates what the theorem of GMPS is made of by putting the simulator back into visited states,
    and says whether the bound says anything. Writes certificate.json and report.html into the run.

    example:
      gmps certify runs/push --history 5
    """

    checkpoint: Literal["best", "latest"] = "best"
    """The checkpoint with the best return after the update on training tasks, or the last one."""
    family: str | None = None
    """Another definition of the run's family, as FILE.py:NAME, in place of the run's own."""
    config: Annotated[CertifyConfig, tyro.conf.arg(name="")] = field(default_factory=CertifyConfig)


def run(argv: Sequence[str]) -> int:
    """Measure, report, print the table."""
    folder, options = leading(argv, "certify", "RUN", "RUN is a folder that `gmps train` wrote.")
    command = parse(Certify, options, "certify RUN", Certify())
    late("gmps.commands.certifying").certify(folder, command)
    return 0
