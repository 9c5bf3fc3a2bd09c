"""What to record: tasks, episodes of each and the demonstrators' noise, over the whole range.

For every cell demonstrations of the scripted expert are recorded in tasks drawn from the family's
whole range, and the defaults learn from them alone: nobody is asked. Judged on held-out tasks, with
all controls. Where a family always starts alike, further episodes without noise repeat the first
one, and their cells are left out. Resumable: finished cells are read, and the files are written
after each.

example:
  python benchmarks/demos_grid.py point-goal
  python benchmarks/demos_grid.py sawyer-push --tasks 5 10 20 --episodes 1 5 --noise 0 0.3
"""

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import tyro
from adaptation import finish, obey
from reports import write_report

from gmps.data.episodes import repeats
from gmps.data.padded import read
from gmps.data.readers.kinds import recognise
from gmps.evaluation.scores import read_scores
from gmps.runs.config_json import encode_config
from gmps.runs.run import Run
from gmps.training.sweep import judged

#: Conditions that are kept.
ROWS = ("before", "after_1", "wrong_task", "plain", "demonstrators", "expert")


@dataclass(frozen=True)
class Grid:
    """Settings."""

    family: tyro.conf.Positional[str]
    """Task family with a scripted expert."""
    tasks: tuple[int, ...] = (5, 10, 20, 40)
    """Numbers of demonstrated tasks."""
    episodes: tuple[int, ...] = (1, 2, 5, 20)
    """Numbers of episodes of each."""
    noise: tuple[float, ...] = (0.0, 0.1, 0.3)
    """Standard deviations of the noise on the demonstrators' actions."""
    seeds: tuple[int, ...] = (0,)
    """Seeds: other tasks, other noise, another learner."""
    options: str = ""
    """Options of `gmps train` for all cells."""
    runs: str = "runs/demos-grid"
    """Folder of recordings and runs."""
    out: str = "benchmarks/results"
    """Folder of the results, demos-grid-FAMILY.json and .png."""


def study(settings: Grid) -> None:
    out = Path(settings.out) / f"demos-grid-{settings.family}.json"
    cells = itertools.product(settings.noise, settings.tasks, settings.episodes, settings.seeds)
    found = []
    for noise, tasks, episodes, seed in cells:
        name = f"{settings.family}-{tasks}x{episodes}-noise{noise:g}-seed{seed}"
        folder = Path(settings.runs) / name
        if not judged(folder):
            recorded = recording(settings, folder, noise, tasks, episodes, seed)
            if noise == 0 and repeats(read(*recognise(recorded), recorded, None).episodes):
                continue
            options = ["--demos", str(recorded), "--seed", str(seed), *settings.options.split()]
            finish(folder, settings.family, options)
        found.append(
            {"tasks": tasks, "episodes": episodes, "noise": noise, "seed": seed, **figures(folder)}
        )
        versions = encode_config(Run.open(folder).versions)
        about = {"study": out.stem, "about": __doc__, "options": settings.options}
        write_report({**about, "versions": versions, "cells": found}, out)
        draw(settings.family, found, out.with_suffix(".png"))
    print(table(found))


def recording(
    settings: Grid, folder: Path, noise: float, tasks: int, episodes: int, seed: int
) -> Path:
    """The demonstrations of a cell, recorded once: a folder of them is whole or not there."""
    recorded = folder.with_name(folder.name + "-demos")
    if not recorded.exists():
        words = ["demos", "record", settings.family, "--out", str(recorded), "--seed", str(seed)]
        words += ["--random-tasks", str(tasks), "--episodes", str(episodes), "--std", str(noise)]
        obey(words)
    return recorded


def figures(folder: Path) -> dict[str, Any]:
    """Held-out figures without action noise, and the own steps that they took."""
    scores = read_scores(folder)
    assert scores is not None
    level = encode_config(scores.heldout.deterministic)
    rows = {name: level["conditions"][name] for name in ROWS if name in level["conditions"]}
    score = level["adaptation_score"]["after_1"]
    return {"conditions": rows, "score": score, "steps": scores.steps}


def draw(family: str, cells: list[dict[str, Any]], path: Path) -> None:
    """One square for each level of noise: the return after one step, normalised."""
    levels = sorted({c["noise"] for c in cells})
    tasks, episodes = (sorted({c[k] for c in cells}) for k in ("tasks", "episodes"))
    size = (3.0 * len(levels) + 1, 3.2)
    figure, axes = plt.subplots(1, len(levels), figsize=size, layout="constrained", squeeze=False)
    for axis, noise in zip(axes[0], levels, strict=True):
        image = np.full((len(tasks), len(episodes)), np.nan)
        for i, j in np.ndindex(*image.shape):
            chosen = (noise, tasks[i], episodes[j])
            values = [
                c["conditions"]["after_1"]["normalised"]["mean"]
                for c in cells
                if (c["noise"], c["tasks"], c["episodes"]) == chosen
            ]
            if values:
                image[i, j] = np.mean(values)
                axis.text(j, i, f"{image[i, j]:.2f}", ha="center", va="center", fontsize=9)
        axis.imshow(image, vmin=0.5, vmax=1.0, cmap="viridis", alpha=0.6, origin="lower")
        axis.set_xticks(range(len(episodes)), [str(x) for x in episodes])
        axis.set_yticks(range(len(tasks)), [str(x) for x in tasks])
        axis.set(title=f"noise {noise:g}", xlabel="episodes of each task", ylabel="tasks")
    figure.suptitle(f"{family}: return after one step, of the expert's")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def table(cells: list[dict[str, Any]]) -> str:
    lines = [
        "| tasks | episodes | noise | seed | before | after 1 step | wrong task | plain | score |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for c in cells:
        names = ("before", "after_1", "wrong_task", "plain")
        row = [f"{c['conditions'][name]['normalised']['mean']:.2f}" for name in names]
        score = c["score"]["value"]
        row.append("-" if score is None else f"{score:.2f}")
        place = f"{c['tasks']} | {c['episodes']} | {c['noise']:g} | {c['seed']}"
        lines.append(f"| {place} | {' | '.join(row)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    study(tyro.cli(Grid, description=__doc__))
