"""`gmps expert train FAMILY` and `gmps expert eval SOURCE ...`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import tyro
from rich.table import Table

from gmps.cluster import Executor
from gmps.commands.cli import console, leading, parse
from gmps.commands.options import Help, first_stage, second_stage
from gmps.commands.progress import counting
from gmps.core.types import Task, tree_index
from gmps.errors import GmpsError
from gmps.experts.score import ExpertScore, score_expert, summary
from gmps.presets import expert_preset
from gmps.printable import printable
from gmps.runs.run import Run
from gmps.settings import Settings, seed_setting, setting
from gmps.tasks import family_names, make_family
from gmps.tasks.base import TaskFamily
from gmps.tracking.follow import Tracker, Tracking, follow, require_trackers
from gmps.training.cost import require_expert_memory
from gmps.training.expert_curves import draw_curve
from gmps.training.expert_sources import find_expert
from gmps.training.sac_apart import train_apart
from gmps.training.sac_training import (
    EXPERT_FILE,
    ExpertConfig,
    ExpertTraining,
    Measurement,
    open_training,
    per_task,
    train_expert,
)
from gmps.worlds.factory import make_world

CURVE = "curve.png"
#: The first page of help of `expert train`.
PAGE = ("run", "on", "address", "track", "kind", "rounds", "seed", "tasks", "threads")


@dataclass(frozen=True)
class Train(Settings):
    """Train SAC experts that see the task: one for all tasks, or one for each.

    A folder that holds an interrupted training goes on.

    example:
      gmps expert train sawyer-push --run runs/push-expert
      gmps expert train sawyer-push --kind per-task --tasks 5 --on ray
      gmps train sawyer-push --expert runs/push-expert

    `--help-all` lists every option.
    """

    config: Annotated[ExpertConfig, tyro.conf.arg(name="")]
    run: str | None = None
    """Folder of the run, by default runs/FAMILY-KIND-expert-seedS."""
    on: Executor = "here"
    """Where to train per-task experts: side by side here, or each as a task of a Ray cluster."""
    address: str | None = None
    """The cluster, HOST:PORT; by default one of this machine alone, started for this."""
    track: Annotated[tuple[Tracker, ...], tyro.conf.UseAppendAction] = ()
    """Tell an experiment tracker: tensorboard, wandb, mlflow or trackio. May be given several
    times; see docs/tracking.md."""


@dataclass(frozen=True)
class Eval(Settings):
    """Measure an expert in each task, without action noise.

    example:
      gmps expert eval sawyer-push --expert runs/push-expert
      gmps expert eval sawyer-push --expert my_policy.py:act --split train
    """

    expert: tuple[str, ...] = ("scripted",)
    """scripted, FILE.py:FUNCTION, or folders of `gmps expert train`."""
    split: Literal["train", "heldout", "both"] = "both"
    """The family's lists of tasks."""
    random: int | None = setting(None, at_least=1)
    """Instead: this many random tasks of the family."""
    episodes: int = setting(4, at_least=1)
    """Episodes of each task."""
    seed: int = seed_setting()
    """Seed of the episodes, and of random tasks."""


def run(argv: Sequence[str]) -> int:
    """Run `train` or `eval`."""
    word, options = leading(argv, "expert", "train|eval", "`train` makes experts, `eval` measures.")
    if word not in ("train", "eval"):
        raise GmpsError(
            f"There is no command 'expert {word}'; use `expert train` or `expert eval`."
        )
    rule = f"Families: {', '.join(family_names())}."
    family, options = leading(options, f"expert {word}", "FAMILY", rule)
    make_family(family)  # an unknown one is said before anything else
    if word == "train":
        prog = f"expert train {family}"
        wanted, options = first_stage(Help, options, prog)
        command = second_stage(options, prog, Train(expert_preset(family)), wanted, PAGE)
        config = command.config
        if command.on == "ray" and config.kind != "per-task":
            raise GmpsError("Only per-task experts are trained on a cluster; add --kind per-task.")
        if command.on == "ray" and command.track:
            raise GmpsError("--track follows what is trained here; leave it out with --on ray.")
        require_trackers(command.track)
        folder = Path(command.run or _folder(config))
        train_in(folder, config, command.on, command.address, command.track)
    else:
        _evaluate(family, parse(Eval, options, f"expert eval {family}"))
    return 0


def _folder(config: ExpertConfig) -> str:
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


def _evaluate(name: str, command: Eval) -> None:
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
