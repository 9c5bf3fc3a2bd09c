"""A long training, watched: a part of `torture.py`."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from torture_commands import scratch


@dataclass(frozen=True)
class Length:
    """Train for long, and look at memory and open files after each round."""

    rounds: int = 500
    """Rounds of the training."""
    figure: str = "benchmarks/results/torture-length.png"
    """File of the picture."""


def length(command: Length) -> dict[str, Any]:
    from gmps.presets import preset  # noqa: PLC0415 - JAX is not to be used before a fork
    from gmps.runs.run import Run  # noqa: PLC0415
    from gmps.training.experiment import prepare  # noqa: PLC0415
    from gmps.training.train import Round, train  # noqa: PLC0415

    config = replace(preset("point-goal"), rounds=command.rounds, threads=1, train_tasks=4)
    settings: Any = config.settings
    small = {"episodes": 4, "outer_steps": 5, "labels": 20, "pretrain_steps": 20}
    config = replace(config, settings=replace(settings, hidden=(16,), capacity=400, **small))
    page = os.sysconf("SC_PAGE_SIZE")
    memory, files = [], []

    def look(_: Round) -> None:
        memory.append(int(Path("/proc/self/statm").read_text().split()[1]) * page / 2**20)
        files.append(len(os.listdir("/proc/self/fd")))

    with scratch() as place, Run.create(place / "run", config) as run:
        train(run, config, prepare(config), [look])
    _draw(memory, files, command.figure)
    tenth = max(1, len(memory) // 10)
    return {
        "rounds": len(memory),
        "memory_mib": [round(x, 1) for x in memory[::tenth]],
        "memory_mib_after_first_tenth": round(memory[tenth], 1),
        "memory_mib_at_the_end": round(memory[-1], 1),
        "open_files": [min(files[tenth:]), max(files[tenth:])],
    }


def _draw(memory: list[float], files: list[int], path: str) -> None:
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    left = figure.subplots()
    left.plot(memory, color="C0", label="resident memory, MiB")
    left.set(xlabel="round", ylabel="MiB", ylim=(0, 1.2 * max(memory)))
    right = left.twinx()
    right.plot(files, color="C1", label="open files")
    right.set(ylabel="open files", ylim=(0, max(files) + 5))
    figure.legend(loc="outside upper center", ncols=2, frameon=False)
    figure.savefig(path, dpi=110)
