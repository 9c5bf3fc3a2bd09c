"""`gmps demo`."""

from collections.abc import Sequence
from dataclasses import dataclass

from gmps.commands.cli import late, parse
from gmps.settings import Settings, setting


@dataclass(frozen=True)
class Demo(Settings):
    """Train a robot hand to push a block, then adapt it to goals it has never seen.

    A scripted expert that sees the goal teaches a policy that does not. Takes some minutes on two
    cores; stopped, it goes on where it was when it is started again.

    example:
      gmps demo
    """

    run: str = "runs/demo"
    """Folder of the run."""
    rounds: int = setting(30, at_least=1)
    """Rounds of training."""


def run(argv: Sequence[str]) -> int:
    """Train or go on, and show the table."""
    command = parse(Demo, argv, "demo")
    late("gmps.commands.session").demonstrate(command.run, command.rounds)
    return 0
