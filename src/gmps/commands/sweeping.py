"""What `gmps sweep` does."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from gmps.commands.cli import console, main
from gmps.commands.score_tables import interval
from gmps.commands.sweep import Sweep
from gmps.commands.sweep_ray import with_bar
from gmps.errors import GmpsError
from gmps.methods.registry import option_prefix, settings_class
from gmps.runs.results import write_result
from gmps.runs.run import Run
from gmps.tasks import make_family
from gmps.tasks.lists import draws_tasks
from gmps.training.sac_training import EXPERT_FILE
from gmps.training.sweep import (
    RESULTS,
    Cell,
    Common,
    Standings,
    appendix_grid,
    cells,
    claim,
    judged,
    parse_grid,
    shard,
    standings,
    started,
)


def sweep(name: str, command: Sweep) -> int:
    """Train what is missing, print the table."""
    family = make_family(name)
    if command.method != "sac":
        try:
            settings_class(command.method)
        except GmpsError as error:
            raise GmpsError(f"{error} Or sac, for the contextual expert.") from None
    grid = parse_grid(command.grid) or appendix_grid(command.method, family)
    folder = Path(command.runs or f"runs/sweep-{family.name}-{option_prefix(command.method)}")
    everything = cells(grid, command.seeds, folder)
    mine = shard(everything, command.shard)
    extra = shlex.split(command.options)
    if command.dry_run:
        for cell in mine:
            # Not by the console, which breaks lines.
            print(shlex.join(["gmps", *_command(name, command, cell, extra)]))
        console.print(f"{len(mine)} of {len(everything)} runs.")
        return 0
    claim(folder, Common(command.method, name, command.preset, tuple(extra)))
    if command.on == "ray":
        status = _on_ray(name, command, mine, extra)
    else:
        status = _here(name, command, mine, extra)
    if status:
        return status
    if command.method == "sac":
        return _report_experts(everything)
    found = standings(everything)
    print_standings(found)
    console.print(f"results  {write_result(folder / RESULTS, found)}")
    return 0


def _here(name: str, command: Sweep, mine: Sequence[Cell], extra: Sequence[str]) -> int:
    """Train one run after the other; the first that fails ends the sweep."""
    for i, cell in enumerate(mine, start=1):
        if _finished(command.method, cell.folder):
            continue
        console.rule(f"run {i} of {len(mine)}: {cell.folder.name}")
        status = main(_command(name, command, cell, extra))
        if status:
            return status
    return 0


def _on_ray(name: str, command: Sweep, mine: Sequence[Cell], extra: Sequence[str]) -> int:
    """Train all runs on a cluster; those that fail are named at the end."""
    # One core each: a task of the cluster is one.
    words = [_command(name, command, cell, ["--threads", "1", *extra]) for cell in mine]
    failed = with_bar(mine, words, command.address)
    for run, problem in failed.items():
        console.print(f"{run}: {problem}", markup=False)
    return 1 if failed else 0


def _command(family: str, command: Sweep, cell: Cell, extra: Sequence[str]) -> list[str]:
    """The words that start a cell's run, or go on with it."""
    folder = str(cell.folder)
    if command.method == "sac":
        words = ["expert", "train", family]
    elif started(cell.folder):
        return ["resume", folder]
    else:
        words = ["train", family, "--method", command.method, "--preset", command.preset]
        words += ["--evaluation.validation"] * draws_tasks(make_family(family))
    return [*words, "--run", folder, "--seed", str(cell.seed), *cell.options(), *extra]


def _finished(method: str, folder: Path) -> bool:
    # `gmps expert train` itself knows whether an expert is trained to the end.
    return method != "sac" and judged(folder)


def print_standings(found: Standings) -> None:
    """One line a setting, the best on the validation tasks first."""
    table = Table(box=None, pad_edge=False)
    for title in ("setting", "seeds", "validation", "train", "held out", "adaptation score"):
        table.add_column(title, justify="left" if title == "setting" else "right")
    for standing in found.settings:
        words = ", ".join(f"{name} {value}" for name, value in standing.settings.items())
        figures = (standing.validation, standing.train, standing.heldout, standing.adaptation)
        table.add_row(words, str(len(standing.seeds)), *(interval(x, ".2f") for x in figures))
    console.print("Normalised return after one step, means with 95 % intervals:")
    console.print(table)


def _report_experts(runs: Sequence[Cell]) -> int:
    """The best measured return of each expert."""
    for cell in runs:
        if (cell.folder / EXPERT_FILE).is_file():
            rows = Run.open(cell.folder).metrics()
            best = max(row["evaluation/return"] for row in rows if "evaluation/return" in row)
            console.print(f"{cell.folder.name}: return {best:.1f}")
    return 0
