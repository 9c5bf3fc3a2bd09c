"""`gmps push SOURCE DEST`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gmps.commands.cli import console, late, leading, parse
from gmps.settings import Settings

_RULE = "SOURCE is a run or a meta-policy; DEST is hf:OWNER/NAME or a new folder."


@dataclass(frozen=True)
class Push(Settings):
    """Hand a run or a meta-policy on: to a Hugging Face repository, or to a folder.

    Neither code nor the report goes with it, and of the checkpoints the last and the best.

    example:
      gmps push policy hf:me/push-policy
      gmps push runs/push shared/push
    """

    public: bool = False
    """Let everybody see a repository that is made for it; by default it is private."""


def run(argv: Sequence[str]) -> int:
    """Push."""
    source, options = leading(argv, "push", "SOURCE DEST", _RULE)
    dest, options = leading(options, f"push {source}", "DEST", _RULE)
    command = parse(Push, options, "push SOURCE DEST")
    place = late("gmps.hub.places").place(dest)
    contents, where = late("gmps.hub.transfer").push(Path(source), place, command.public)
    console.print(f"pushed: {contents.kind}, {len(contents.files)} files, {contents.size:,} bytes")
    console.print(where)
    return 0
