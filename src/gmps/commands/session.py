"""What `gmps train`, `resume` and `demo` do: training, with its progress, and judging, which `gmps
eval` shares."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from gmps.commands.cli import console
from gmps.commands.expert_training import train_in
from gmps.commands.score_tables import print_first, print_scores
from gmps.evaluation.scores import Scores
from gmps.experts.base import reporting_faults
from gmps.experts.score import summary
from gmps.methods.registry import option_prefix
from gmps.presets import preset
from gmps.report import write_report
from gmps.runs.run import CONFIG, REPORT, Run, refuse_taken
from gmps.tasks import make_family
from gmps.tracking.film import write_film
from gmps.tracking.follow import Tracking, follow
from gmps.tracking.kinds import Tracker
from gmps.training.config import TrainConfig
from gmps.training.experiment import (
    OWN_EXPERT,
    Experiment,
    expert_settings,
    load_experiment,
    prepare,
    require_fit,
    run_family,
    trains_expert,
)
from gmps.training.expert_data import EXPERTS
from gmps.training.judge import Stage, evaluate_run
from gmps.training.train import Round, train


def train_new(
    config: TrainConfig, folder: str | None, judged: bool, track: Sequence[Tracker]
) -> None:
    """Make a run, by default in a folder named after its settings, and train and judge it."""
    found = make_family(config.family)
    method = option_prefix(config.method)
    folder = folder or f"runs/{found.name}-{method}-seed{config.seed}"
    refuse_taken(folder)
    require_fit(config, found)
    if trains_expert(config, found):
        with Run.create(folder, config, config.keep) as opened:
            two_phases(opened, config, judged, track)
        return
    # Bad data are said before the folder exists.
    experiment = prepare(config, question=True)
    with Run.create(folder, config, config.keep) as opened:
        train_and_judge(opened, config, experiment, judged, track)


def go_on(
    folder: str, config: TrainConfig, family: str | None, judged: bool, track: Sequence[Tracker]
) -> None:
    """Train a run further and judge it; `family` is another definition of its family."""
    with Run.open(folder, config.keep) as opened:
        found = run_family(opened, config, family)
        if trains_expert(config, found) and not (opened.path / EXPERTS).is_file():
            two_phases(opened, config, judged, track)
        else:
            experiment = load_experiment(opened, config, family=family, ask=True)
            train_and_judge(opened, config, experiment, judged, track)


def demonstrate(folder: str, rounds: int) -> None:
    """Train on pushing or go on, and show the table."""
    if (Path(folder) / CONFIG).exists():
        console.print(f"Going on with {folder}; remove the folder to start anew.")
        opened = Run.open(folder)
        config = opened.load_config(TrainConfig)
    else:
        config = replace(preset("sawyer-push"), rounds=rounds)
        opened = Run.create(folder, config, config.keep)
    with opened:
        train_and_judge(opened, config, load_experiment(opened, config, ask=True))


def two_phases(run: Run, config: TrainConfig, judged: bool, track: Sequence[Tracker] = ()) -> None:
    """Train experts in the run's folder, or go on there, then the meta-learner; judge it."""
    console.print("Phase 1 of 2: nobody is named who answers, so SAC makes an expert.")
    if config.demos is not None:
        console.print(
            f"  At first half of what it learns from are the demonstrations of {config.demos}."
        )
    settings = expert_settings(config)
    # Told beside the run itself, as one of its own.
    name = f"{run.path.absolute().name}-{OWN_EXPERT}"
    train_in(run.path / OWN_EXPERT, settings, track=track, name=name)
    console.print("Phase 2 of 2: the meta-learner imitates them.")
    train_and_judge(run, config, prepare(config, run.path), judged, track)


def train_and_judge(
    run: Run,
    config: TrainConfig,
    experiment: Experiment,
    judged: bool = True,
    track: Sequence[str] = (),
) -> None:
    """Train to the end; if it is to be judged, evaluate, write the report and print the table.

    Trackers are told of it, those of `track` and those that were told of the run before.
    """
    with follow(run, track, "meta", config.family) as tracking:
        train_with_progress(run, config, experiment, tracking)
        if not judged:
            console.print(f"Trained. Judge it with: gmps eval {run.path}", soft_wrap=True)
            return
        scores = judge(run, config, experiment)
        if tracking:
            write_film(run, config, experiment)
            tracking.judged(scores)


def train_with_progress(
    run: Run, config: TrainConfig, experiment: Experiment, tracking: Tracking
) -> None:
    """Say what training begins with, and train to the end."""
    console.print(f"{config.method} on {config.family}, seed {config.seed} -> {run.path}")
    if config.demos is not None:
        console.print(f"Demonstrations: {config.demos}.")
    for note in experiment.notes:
        console.print(f"  {note}.")
    source = experiment.data.source
    if source is None:
        console.print("Nobody labels the states that the learner visits.")
    elif experiment.method.takes(experiment.method.config) == "answers":
        console.print(f"Expert, asked for labels (aggregation): {source}.")
    else:
        console.print(f"Expert, never asked in visited states: {source}.")
    if experiment.expert_score is not None:
        mean = summary(experiment.expert_score)["mean"]
        figures = ", ".join(f"{name.replace('_', ' ')} {x:.4g}" for name, x in mean.items())
        console.print(f"  in the training tasks: {figures}.")
    for warning in experiment.warnings:
        console.print(f"WARNING: {warning}", style="bold red")
    columns = (
        TextColumn("round {task.completed:.0f}/{task.total:.0f}"),
        BarColumn(6),
        TextColumn("{task.fields[figures]}", markup=False),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    )
    try:
        with Progress(*columns, console=console) as progress:
            bar = progress.add_task("", total=config.rounds, figures="setting up")

            def watch(done: Round) -> None:
                m = done.metrics
                figures = (
                    f"return {m['return/before']:.0f} -> {m['return/after']:.0f}  "
                    f"loss {_loss(m):.4f}  "
                    f"{done.steps_per_second:,.0f} steps/s"
                )
                progress.update(bar, completed=done.round + 1, figures=figures)

            with reporting_faults(experiment.expert):
                train(run, config, experiment, [watch, tracking])
    except KeyboardInterrupt:
        console.print(f"Stopped and saved. Go on with: gmps resume {run.path}", soft_wrap=True)
        raise


def _loss(metrics: dict[str, float]) -> float:
    """The loss that the progress bar shows: of imitation where there is one."""
    shown = min((n for n in metrics if n.startswith("loss/")), key=lambda n: n != "loss/imitation")
    return metrics[shown]


def judge(
    run: Run, config: TrainConfig, experiment: Experiment, checkpoint: str = "best"
) -> Scores:
    """Evaluate, write scores and report, print the table."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(6),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    )
    try:
        with Progress(*columns, console=console) as progress, reporting_faults(experiment.expert):
            bars: dict[str, TaskID] = {}

            def watch(stage: Stage) -> None:
                if stage.name not in bars:
                    bars[stage.name] = progress.add_task(stage.name, total=stage.total)
                progress.update(bars[stage.name], completed=stage.done, total=stage.total)

            # A terminal shows figures as soon as there are some.
            first = print_first if console.is_terminal else lambda _: None
            scores = evaluate_run(run, config, experiment, checkpoint, watch, first)
    except KeyboardInterrupt:
        console.print(
            f"Stopped. What was trained is saved, and so is what was judged; go on with: "
            f"gmps eval {run.path}",
            soft_wrap=True,
        )
        raise
    write_report([run.path], run.path / REPORT)
    print_scores(scores)
    console.print(f"scores  {run.path / 'scores.json'}")
    console.print(f"report  {run.path / REPORT}")
    return scores
