"""What `gmps view` does."""

import os
import sys
import threading
import webbrowser
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from gmps.commands.cli import console
from gmps.commands.recorded import is_meta_policy
from gmps.commands.view import View
from gmps.errors import GmpsError
from gmps.runs.run import Run
from gmps.training.config import TrainConfig
from gmps.view.export import TASKS, export_page
from gmps.view.exported import ExportedLearner
from gmps.view.film import FILMED, write_film
from gmps.view.learner import Learner, RunLearner
from gmps.view.server import LOOPBACK, Server


def view(command: View) -> int:
    """Serve until Ctrl-C, or write."""
    if not 1 <= len(command.runs) <= 2:
        raise GmpsError(
            f"`gmps view` shows one run or compares two, and {len(command.runs)} were named; name "
            "the folder of a run."
        )
    for folder in command.runs:
        if not is_meta_policy(folder):
            Run.open(folder)  # what is no run is said here, what is damaged on the page
    if command.export or command.film:
        return _write(command)
    server = Server(lambda: _load(command), command.host, command.port)
    try:
        _serve(server, command)
    except KeyboardInterrupt:
        console.print("stopped")
    # A compilation that runs just now cannot be stopped, and nothing of it is worth waiting for.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _serve(server: Server, command: View) -> None:
    """Say where the page is, and wait."""
    if command.host not in LOOPBACK:
        console.print(
            f"WARNING: everybody who reaches {command.host} can use this page; there is no "
            "password. Leave --host out to serve this machine alone.",
            style="bold red",
        )
    console.print(f"{server.address}  (Ctrl-C ends it)")
    if command.browser and _has_display():
        threading.Thread(target=webbrowser.open, args=(server.address,), daemon=True).start()
    server.wait()


def _write(command: View) -> int:
    """A page without a server, or a film."""
    if len(command.runs) != 1:
        raise GmpsError("--export and --film show one run; name one.")
    for out in (command.export, command.film):
        if out is not None and Path(out).exists():  # before long work
            raise GmpsError(f"{out} already exists; choose another name.")
    (learner,) = _load(command)
    columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("tasks", total=None)

        def watch(done: int, of: int) -> None:
            progress.update(bar, completed=done, total=of)

        if command.export is not None:
            page = export_page(learner, command.export, command.tasks or TASKS, watch)
            console.print(f"written: {page}")
        if command.film is not None:
            film = write_film(learner, command.film, command.tasks or FILMED, watch=watch)
            console.print(f"written: {film}")
    return 0


def _load(command: View) -> list[Learner]:
    learners: list[Learner] = [_learner(folder, command) for folder in command.runs]
    names = [learner.family.name for learner in learners]
    if len(set(names)) > 1:
        raise GmpsError(
            f"The runs are of different families, {' and '.join(names)}; compare runs of one."
        )
    if len({learner.name for learner in learners}) < len(learners):
        for learner, folder in zip(learners, command.runs, strict=True):
            learner.name = folder
    return learners


def _learner(folder: str, command: View) -> Learner:
    if is_meta_policy(folder):
        return ExportedLearner(folder, command.family)
    run = Run.open(folder)
    checkpoint = command.checkpoint
    if checkpoint is None:
        rounds = run.load_config(TrainConfig).rounds
        checkpoint = "best" if len(run.metrics()) >= rounds else "latest"
    return RunLearner(folder, checkpoint, command.family)


def _has_display() -> bool:
    return sys.platform != "linux" or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )
