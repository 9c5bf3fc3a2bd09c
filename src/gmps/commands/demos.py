"""`gmps demos import` and `gmps demos info`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro
from rich.table import Table

from gmps.cli import console, leading, parse
from gmps.data.demos import import_npz, info
from gmps.tasks import make_family


@dataclass(frozen=True)
class Import:
    """Check an .npz file of demonstrations and write it as a Minari dataset.

    The file holds observations (task, episode, t, obs), actions (task, episode, t, act),
    goals (task, d) and, if known, rewards (task, episode, t).

    example:
      gmps demos import ant-goal-demos.npz --family ant-goal --out datasets/ant-goal-authors
    """

    file: Annotated[str, tyro.conf.Positional]
    """The .npz file."""
    family: str
    """The task family that the demonstrations are for."""
    out: str
    """Folder of the dataset. It must not exist yet."""


@dataclass(frozen=True)
class Info:
    """Say what is in a file or dataset of demonstrations.

    example:
      gmps demos info ant-goal-demos.npz
    """

    source: Annotated[str, tyro.conf.Positional]
    """An .npz file or a Minari dataset."""


def run(argv: Sequence[str]) -> int:
    """Run `import` or `info`."""
    word, options = leading(
        argv, "demos", "import|info", "`import` writes a dataset, `info` reads."
    )
    if word == "import":
        command = parse(Import, options, "demos import")
        console.print(str(import_npz(command.file, make_family(command.family), command.out)))
    elif word == "info":
        _show(info(parse(Info, options, "demos info").source))
    else:
        raise ValueError(f"There is no command 'demos {word}'; use `demos import` or `demos info`.")
    return 0


def _show(facts: dict) -> None:
    rows = facts.pop("per_task")
    for name, value in facts.items():
        console.print(f"{name.replace('_', ' '):<18} {value}")
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    console.print(table)


def _text(value: object) -> str:
    if isinstance(value, list):
        return " ".join(f"{x:.3g}" for x in value)
    return f"{value:.1f}" if isinstance(value, float) else "-" if value is None else str(value)
