"""The runs of a sweep as tasks of a Ray cluster, each in a folder of its own.

All nodes must see the sweep's folder. A run whose node died goes on from its last checkpoint,
wherever its task is started again, and ends as if it had been left alone.
"""

import contextlib
import io
import json
import shlex
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gmps.cluster import connect, remote
from gmps.commands.cli import main
from gmps.commands.progress import counting
from gmps.errors import GmpsError
from gmps.runs.run import CONFIG, METRICS
from gmps.training.sac_training import EXPERT_FILE
from gmps.training.sweep import Cell, judged, started

#: How often a run is started again elsewhere, while its nodes die.
RETRIES = 10


class State(NamedTuple):
    """How far a sweep is."""

    finished: int
    failed: int
    #: By the name of each run's folder that was begun and is not finished: its rounds done, of all.
    running: dict[str, tuple[int, int]]


#: Told how far the runs are, every second.
Watcher = Callable[[State], None]


def train_cells(
    cells: Sequence[Cell],
    commands: Sequence[Sequence[str]],
    address: str | None = None,
    watch: Watcher | None = None,
) -> dict[str, str]:
    """Train and judge all cells on a cluster; those that are finished are left as they are.

    Args:
        cells: the runs. They have one parent folder, which exists.
        commands: of each, the words that start it.
        address: see `gmps.cluster.connect`.
        watch: called every second.

    Returns:
        What went wrong, by the name of the run's folder. A run that fails stops no other.

    Raises:
        GmpsError: there is no cluster, see `connect`.
    """
    ray = connect(address)
    task = remote(ray, train_cell, retries=RETRIES)
    jobs = {
        task.remote(list(words), str(cell.folder.resolve())): cell.folder
        for cell, words in zip(cells, commands, strict=True)
    }
    waiting, failed = list(jobs), {}
    try:
        while waiting:
            done, waiting = ray.wait(waiting, num_returns=1, timeout=1.0)
            for job in done:
                problem = _problem(ray, job)
                if problem is not None:
                    failed[jobs[job].name] = problem
            if watch is not None:
                watch(state_of(cells, failed))
    except BaseException:
        for job in waiting:
            ray.cancel(job)
        raise
    return failed


def _problem(ray: Any, job: Any) -> str | None:
    """Why a run failed; None where it did not."""
    try:
        ray.get(job)
    except ray.exceptions.RayTaskError as error:
        return str(error.cause) if isinstance(error.cause, GmpsError) else str(error)
    except ray.exceptions.RayError as error:
        return f"its worker died {RETRIES + 1} times ({type(error).__name__})"
    return None


def train_cell(words: list[str], folder: str) -> None:
    """Start one run, or go on with it; runs on a worker.

    Raises:
        GmpsError: the worker does not see the sweep's folder, or the command failed; says why.
    """
    run = Path(folder)
    if not run.parent.is_dir():
        raise GmpsError(
            f"The worker on {socket.gethostname()} does not see {run.parent}; give --runs a folder "
            "on storage that all nodes share."
        )
    if judged(run):
        return
    words = ["resume", folder] if words[0] == "train" and started(run) else words
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            status = main(words)
        except SystemExit as error:  # an option that is not known
            status = error.code
    if status:
        reason = said.getvalue().strip().removeprefix("gmps: ")
        print(reason, file=sys.stderr)
        raise GmpsError(reason or f"`{shlex.join(['gmps', *words])}` ended with status {status}.")


def state_of(cells: Sequence[Cell], failed: dict[str, str]) -> State:
    """How far the runs are, as their folders say."""
    finished, running = 0, {}
    for cell in cells:
        done, total = rounds(cell.folder) if started(cell.folder) else (0, 0)
        # An expert is not judged: it is finished with its last round.
        expert = (cell.folder / EXPERT_FILE).is_file() and done == total
        if judged(cell.folder) or expert:
            finished += 1
        elif cell.folder.name not in failed and total:
            running[cell.folder.name] = (done, total)
    return State(finished, len(failed), running)


def rounds(run: Path) -> tuple[int, int]:
    """Rounds that a run has done, and all of them."""
    path = run / METRICS
    text = path.read_text() if path.is_file() else ""
    # The last line may be half written.
    return text.count("\n"), json.loads((run / CONFIG).read_text())["rounds"]


def with_bar(
    cells: Sequence[Cell], commands: Sequence[Sequence[str]], address: str | None
) -> dict[str, str]:
    """`train_cells`, shown as a bar."""
    with counting("run") as bars:
        bar = bars.add_task("", total=len(cells), figures="starting")

        def watch(state: State) -> None:
            done, total = (sum(x) for x in zip((0, 0), *state.running.values(), strict=True))
            figures = f"{len(state.running)} running, round {done}/{total} of these"
            if state.failed:
                figures += f", {state.failed} failed"
            bars.update(bar, completed=state.finished, figures=figures)

        return train_cells(cells, commands, address, watch)
