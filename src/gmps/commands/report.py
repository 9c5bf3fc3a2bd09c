"""`gmps report RUN...`."""

from collections.abc import Sequence
from dataclasses import dataclass

import tyro

from gmps.commands.cli import console, late, parse
from gmps.errors import GmpsError
from gmps.settings import Settings


@dataclass(frozen=True)
class Report(Settings):
    """Write one self-contained HTML page about one run, or comparing several.

    example:
      gmps report runs/push-0 runs/push-1 runs/push-2 --out push.html
    """

    runs: tyro.conf.Positional[list[str]]
    """Run folders."""
    out: str | None = None
    """The page; by default report.html in the folder of a single run."""


def run(argv: Sequence[str]) -> int:
    """Write the page."""
    command = parse(Report, argv, "report")
    if not command.runs:
        raise GmpsError("Name at least one run folder: `gmps report RUN`.")
    if command.out is None and len(command.runs) > 1:
        raise GmpsError(f"{len(command.runs)} runs need a place for the page: give --out FILE.")
    runs: Sequence[str] = command.runs
    out = command.out or f"{runs[0]}/report.html"
    written = late("gmps.report").write_report(runs, out)
    console.print(f"written: {written}")
    return 0
