"""`gmps doctor`."""

from collections.abc import Sequence
from dataclasses import dataclass

from gmps.commands.cli import late, parse
from gmps.settings import Settings


@dataclass(frozen=True)
class Doctor(Settings):
    """Check the installation: versions, devices, simulation, rendering.

    examples:
      gmps doctor
      gmps doctor --json > doctor.json      # to send with a report of a fault
    """

    #: One JSON object with everything a maintainer would ask for.
    json: bool = False


def run(argv: Sequence[str]) -> int:
    """Print a line for each check, or everything as JSON; status 1 if a needed thing is missing."""
    options = parse(Doctor, argv, "doctor")
    return late("gmps.commands.examining").examine(options.json)
