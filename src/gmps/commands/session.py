"""What `train`, `resume`, `eval` and `demo` share: progress, judging, the table."""

from collections.abc import Sequence

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from gmps.commands.cli import console
from gmps.commands.score_tables import print_first, print_scores
from gmps.evaluation.scores import Scores
from gmps.experts.base import reporting_faults
from gmps.experts.score import summary
from gmps.report import write_report
from gmps.runs.run import REPORT, Run
from gmps.tracking.film import write_film
from gmps.tracking.follow import Tracking, follow
from gmps.training.config import TrainConfig
from gmps.training.experiment import Experiment
from gmps.training.judge import Stage, evaluate_run
from gmps.training.train import Round, train


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
    elif experiment.method.needs == "answers":
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
