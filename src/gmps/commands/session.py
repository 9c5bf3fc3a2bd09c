"""What `train`, `resume`, `eval` and `demo` share: progress, judging, the table."""

from collections.abc import Sequence

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from gmps.commands.cli import console
from gmps.evaluation.conditions import after, condition_order, condition_short
from gmps.evaluation.scores import (
    AdaptationScore,
    Difference,
    Figure,
    Measures,
    Mode,
    ModeScores,
    Scores,
    is_rate,
)
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
            console.print(f"Trained. Judge it with: gmps eval {run.path}")
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
        console.print(f"Stopped and saved. Go on with: gmps resume {run.path}")
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
                progress.update(bars[stage.name], completed=stage.done)

            scores = evaluate_run(run, config, experiment, checkpoint, watch)
    except KeyboardInterrupt:
        console.print(
            f"Stopped. What was trained is saved, and so is what was judged; go on with: "
            f"gmps eval {run.path}"
        )
        raise
    write_report([run.path], run.path / REPORT)
    print_scores(scores)
    console.print(f"scores  {run.path / 'scores.json'}")
    console.print(f"report  {run.path / REPORT}")
    return scores


def print_scores(scores: Scores) -> None:
    """The held-out table: means with 95 % intervals."""
    tasks = len(scores.rows("heldout"))
    seeds = "several seeds" if scores.seed is None else f"one seed ({scores.seed})"
    console.print(f"{scores.family}: means over {tasks} held-out tasks, 95 % intervals; {seeds}")
    for mode, level in scores.heldout.items():
        print_mode(level, mode)
    for mode, level in scores.heldout.items():
        _print_differences(level, mode)
        top = "" if "expert" in level.conditions else ", towards the demonstrators"
        _print_adaptation(level.adaptation_score, f"adaptation score, {mode}{top}")
        _print_adaptation(
            level.demonstrator_score, f"adaptation score, {mode}, towards the demonstrators"
        )
    steps = ", ".join(f"{name} {n:,}" for name, n in scores.steps.items())
    console.print(f"environment steps: {steps}")


def _print_differences(level: ModeScores, mode: Mode) -> None:
    """What one step brings, task by task."""
    name = after(1)
    for other, found in level.differences[name].items():
        value = _interval(found["normalised"], "+.2f")
        words = f"{condition_short(name)} - {condition_short(other).strip('+ ')}"
        console.print(f"normalised, {mode}, {words}: {value}")


def _print_adaptation(scores: dict[str, AdaptationScore], words: str) -> None:
    for name, score in scores.items():
        control = "" if score.control is None else f"  over {condition_short(score.control)}"
        console.print(f"{words}, {condition_short(name)}: {_interval(score, '.2f')}{control}")


def print_mode(level: ModeScores, mode: Mode) -> None:
    """One noise mode's table, at most 80 characters wide."""
    rows = level.conditions
    figures = [f for f in rows["before"] if f not in ("return", "normalised")]
    columns = ["return", "normalised", *sorted(figures, key=is_rate)]
    table = Table(box=None, pad_edge=False)
    table.add_column(mode, no_wrap=True)
    for figure in columns:
        table.add_column(figure.replace("_", " "), justify="right", no_wrap=True)
    for name in sorted(rows, key=condition_order):
        table.add_row(condition_short(name), *(_cell(rows[name], figure) for figure in columns))
    console.print(table)


def _cell(row: Measures, figure: str) -> str:
    if figure not in row:
        return "-"
    if figure == "return":
        return f"{row[figure].mean:.1f}"
    if is_rate(figure):
        return f"{row[figure].mean:.0%}"
    return _interval(row[figure], ".2f" if figure == "normalised" else ".3f")


def _interval(figure: Figure | Difference | AdaptationScore, spec: str) -> str:
    value = figure.value if isinstance(figure, AdaptationScore) else figure.mean
    if value is None:
        return "-"
    if figure.ci_low is None:
        return format(value, spec)
    low, high = (format(x, spec) for x in (figure.ci_low, figure.ci_high))
    return f"{format(value, spec)} [{low}, {high}]"
