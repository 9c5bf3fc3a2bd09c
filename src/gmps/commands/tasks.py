"""`gmps tasks`."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax
from rich.table import Table

from gmps.cli import console, parse
from gmps.tasks import family_names, make_family


@dataclass(frozen=True)
class Tasks:
    """List the task families: spaces, horizon, task lists, expert, and what a task is.

    example:
      gmps tasks
    """


def run(argv: Sequence[str]) -> int:
    """Print the table."""
    parse(Tasks, argv, "tasks")
    table = Table(box=None, pad_edge=False)
    for name in ("family", "obs", "act", "horizon", "train", "held out", "expert", "a task"):
        table.add_column(name)
    for name in family_names():
        family = make_family(name)
        train, heldout = family.tasks("train"), family.tasks("heldout")
        first = jax.tree.map(lambda x: x[0], heldout)
        numbers = " ".join(f"{float(x):.3g}" for x in family.context(first))
        spec = family.spec
        table.add_row(
            name,
            str(spec.obs_size),
            str(spec.act_size),
            f"{spec.horizon} x {spec.control_dt:g} s",
            str(jax.tree.leaves(train)[0].shape[0]),
            str(jax.tree.leaves(heldout)[0].shape[0]),
            "scripted" if family.expert else "demos",
            f"--task {numbers}: {family.describe(first)}",
        )
    console.print(table)
    return 0
