"""`gmps tasks`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from gmps.commands.cli import late, parse
from gmps.settings import Settings


@dataclass(frozen=True)
class Tasks(Settings):
    """List the task families: spaces, horizon, rewards, task lists, experts, simulators.

    example:
      gmps tasks
      gmps tasks sawyer-door examples/own_mjcf_family.py:CartGoal
    """

    families: Annotated[tuple[str, ...], tyro.conf.Positional] = ()
    """Which ones, also your own as FILE.py:NAME; by default all that come with gmps."""


def run(argv: Sequence[str]) -> int:
    """Print a few lines about each family."""
    command = parse(Tasks, argv, "tasks")
    late("gmps.commands.listing").list_families(command.families)
    return 0
