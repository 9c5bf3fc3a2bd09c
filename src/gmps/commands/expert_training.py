"""What `gmps expert` does."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
from rich.table import Table

from gmps.cluster import Executor
from gmps.commands.cli import console
from gmps.commands.expert import Eval
from gmps.commands.progress import counting
from gmps.core.types import Task, tree_index
from gmps.experts.score import ExpertScore, score_expert, summary
from gmps.printable import printable
from gmps.runs.run import Run
from gmps.tasks import make_family
from gmps.tasks.base import TaskFamily
from gmps.tracking.follow import Tracking, follow
from gmps.tracking.kinds import Tracker
from gmps.training.cost import require_expert_memory
from gmps.training.expert_curves import draw_curve
from gmps.training.expert_sources import find_expert
from gmps.training.sac_apart import train_apart
from gmps.training.sac_settings import ExpertConfig
from gmps.training.sac_training import (
    EXPERT_FILE,
    ExpertTraining,
    Measurement,
    open_training,
    per_task,
    train_expert,
)
from gmps.worlds.factory import make_world

CURVE = "curve.png"


def usual_folder(config: ExpertConfig) -> str:
    """Where experts are trained if no folder is named."""
    part = "".join(f"-{i}" for i in config.only)
    family = make_family(config.family).name
    return f"runs/{family}-{config.kind}-expert{part}-seed{config.seed}"


def train_in(
    folder: Path,
    config: ExpertConfig,
    on: Executor = "here",
    address: str | None = None,
    track: Sequence[Tracker] = (),
    name: str | None = None,
) -> None:
    """Train experts in a folder, or go on there; nothing is done where they are finished.

    Trackers call it `name`, by default like the folder.
    """
    family = make_family(config.family)
    require_expert_memory(config, family)
    n = 1 if config.kind == "contextual" else len(per_task(family, config)[0])
    opened = open_training(folder, config)
    if opened is None:
        if not (folder / CURVE).exists():
            # Killed after its last round.
            draw_curve(Run.open(folder), folder / CURVE)
        console.print(f"Experts: trained already, in {folder}.")
        return
    who = "one that sees the task" if config.kind == "contextual" else f"{n}, one for each task"
    console.print(f"SAC experts ({who}) on {config.family}, seed {config.seed} -> {folder}")
    with opened:
        try:
            if on == "ray":
                _on_ray(folder, config, address)
                return
            training = ExpertTraining(config, make_world(family, config.threads))
            with follow(opened, track, "expert", config.family, name) as tracking:
                _with_progress(opened, training, tracking)
        except KeyboardInterrupt:
            console.print(f"Stopped and saved. The same command goes on in {folder}.")
            raise
        draw_curve(opened, folder / CURVE)
    _report(family, folder)
    console.print(f"experts {folder / EXPERT_FILE}\ncurve   {folder / CURVE}")


def _report(family: TaskFamily, folder: Path) -> None:
    """The best actors' figures in the training tasks that they were trained for."""
    expert, tasks = find_expert((str(folder),), family), family.tasks("train")
    tasks = tree_index(tasks, expert.knows(family, tasks))
    score = score_expert(make_world(family), expert, tasks, Eval.episodes, jax.random.key(0))
    print_score(family, "training", score)


def _on_ray(folder: Path, config: ExpertConfig, address: str | None) -> None:
    with counting("round", " of all") as bars:
        bar = bars.add_task("", total=None, figures="starting")

        def watch(parts: dict[int, tuple[int, float | None]]) -> None:
            told = [f"{i}: {x:.0f}" for i, (_, x) in parts.items() if x is not None]
            figures = "returns by task " + " ".join(told) if told else "starting"
            rounds = sum(done for done, _ in parts.values())
            bars.update(bar, completed=rounds, total=config.rounds * len(parts), figures=figures)

        train_apart(folder, config, address, watch)
    _report(make_family(config.family), folder)
    console.print(f"experts {folder}/task-*/{EXPERT_FILE}")


def _with_progress(run: Run, training: ExpertTraining, tracking: Tracking) -> None:
    with counting("round") as progress:
        bar = progress.add_task("", total=training.config.rounds, figures="setting up")

        def watch(done: Any) -> None:
            figures = f"return {done.metrics['return/collected']:.0f}"
            if done.measured is not None:
                figures += "  measured " + _in_words(training.family, done.measured)
            progress.update(bar, completed=done.round + 1, figures=figures)
            tracking(done)

        train_expert(run, training, watch)


def _in_words(family: TaskFamily, measured: Measurement) -> str:
    worst = int(measured.returns.argmin())
    task = printable(family.describe(tree_index(measured.tasks, worst)))
    return f"{measured.returns.mean():.0f} (least {measured.returns[worst]:.0f}, {task})"


def measure(name: str, command: Eval) -> None:
    """Print the expert's figures in each task."""
    family = make_family(name)
    world, expert = make_world(family), find_expert(command.expert, family)
    key_tasks, key = jax.random.split(jax.random.key(command.seed))
    console.print(f"Expert: {expert.source}.")
    for split, tasks in _tasks(family, command, key_tasks).items():
        known = expert.knows(family, tasks)
        if not known.any():
            console.print(f"{split}: it was trained for none of these tasks.")
            continue
        score = score_expert(world, expert, tree_index(tasks, known), command.episodes, key)
        print_score(family, split, score)


def _tasks(family: TaskFamily, command: Eval, key: Any) -> dict[str, Task]:
    if command.random is not None:
        return {"random": family.tasks("train", command.random, key)}
    splits: Any = ("train", "heldout") if command.split == "both" else (command.split,)
    return {split: family.tasks(split) for split in splits}


def print_score(family: TaskFamily, split: str, score: ExpertScore) -> None:
    """A table of the expert's figures in each task."""
    figures = {"return": score.returns, **score.outcome}
    table = Table(box=None, pad_edge=False)
    table.add_column(f"{split} tasks")
    for name in figures:
        table.add_column(name.replace("_", " "), justify="right")
    for i in range(len(score.returns)):
        row = [f"{x[i]:.4g}" for x in figures.values()]
        table.add_row(family.describe(tree_index(score.tasks, i)), *row)
    means = summary(score)["mean"]
    table.add_row("mean", *(f"{x:.4g}" for x in means.values()), style="bold")
    console.print(table)
