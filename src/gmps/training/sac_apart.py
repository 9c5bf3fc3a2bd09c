"""Per-task experts trained apart on a Ray cluster: each in a run of its own, needing no other.

The folder of the whole must be seen by all nodes. A piece whose worker died goes on from its last
checkpoint, wherever it is started again, so that every expert equals one that was left alone.
"""

import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from gmps.cluster import connect, remote
from gmps.errors import GmpsError
from gmps.runs.jsonl import RoundLog
from gmps.runs.run import CONFIG, METRICS
from gmps.tasks import make_family
from gmps.training.expert_sources import PART
from gmps.training.sac_settings import ExpertConfig
from gmps.training.sac_training import ExpertTraining, open_training, per_task
from gmps.training.sac_training import train_expert as train
from gmps.worlds.factory import make_world

#: Told the round that each task has reached, by index, and its last measured return.
Watcher = Callable[[dict[int, tuple[int, float | None]]], None]


def train_apart(
    folder: Path, config: ExpertConfig, address: str | None = None, watch: Watcher | None = None
) -> None:
    """Train the experts of all tasks of `config`, each as a Ray task.

    Args:
        folder: the run of the whole, which must exist; each expert gets a folder in it.
        config: settings of the whole, of the kind `per-task`.
        address: see `gmps.cluster.connect`.
        watch: called every second.

    Raises:
        GmpsError: a worker does not see the folder, or see `connect`.
    """
    ray = connect(address)
    indices, _ = per_task(make_family(config.family), config)
    piece = remote(ray, train_piece)
    folder = folder.resolve()
    jobs = {piece.remote(str(folder), replace(config, only=(i,), threads=1)): i for i in indices}
    waiting = list(jobs)
    try:
        while waiting:
            done, waiting = ray.wait(waiting, num_returns=1, timeout=1.0)
            for job in done:
                _result(ray, job)
            if watch is not None:
                watch({i: progress(folder / PART.format(i)) for i in indices})
    except BaseException:
        for job in waiting:
            ray.cancel(job)
        raise


def _result(ray: Any, job: Any) -> None:
    try:
        ray.get(job)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, GmpsError):
            raise GmpsError(str(error.cause)) from None
        raise


def train_piece(folder: str, config: ExpertConfig) -> None:
    """Train one task's expert in its folder, or go on there; runs on a worker."""
    whole = Path(folder)
    if not (whole / CONFIG).is_file():
        raise GmpsError(
            f"The worker on {socket.gethostname()} does not see {folder}; give --run a folder on "
            "storage that all nodes share."
        )
    run = open_training(whole / PART.format(config.only[0]), config)
    if run is not None:
        with run:
            train(run, ExpertTraining(config, make_world(make_family(config.family), 1)))


def progress(part: Path) -> tuple[int, float | None]:
    """Rounds done and the last measured return of an expert in training."""
    complete = RoundLog(part / METRICS).rows()
    measured = [r["evaluation/return"] for r in complete if "evaluation/return" in r]
    return (complete[-1]["round"] + 1 if complete else 0), (measured[-1] if measured else None)
