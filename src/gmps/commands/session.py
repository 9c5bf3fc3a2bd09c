"""What `train`, `resume`, `eval` and `demo` share: progress, judging, the table."""

from typing import Any

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gmps.commands.cli import console
from gmps.experts.base import reporting_faults
from gmps.experts.score import summary
from gmps.report import write_report
from gmps.runs.run import REPORT, Run
from gmps.training.config import TrainConfig
from gmps.training.experiment import Experiment
from gmps.training.train import Progress as Round
from gmps.training.train import evaluate_run, train

_ROWS = {
    "before": "before",
    "zero_step": "zero step",
    "random_update": "random update",
    "wrong_task": "wrong task",
    "plain_before": "blind imitation",
    "plain": "  + a plain step",
    "expert": "expert",
}


def train_and_judge(run: Run, config: TrainConfig, experiment: Experiment) -> None:
    """Train to the end, evaluate, write the report and print the table."""
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
                train(run, config, experiment, watch)
    except KeyboardInterrupt:
        console.print(f"Stopped and saved. Go on with: gmps resume {run.path}")
        raise
    judge(run, config, experiment)


def _loss(metrics: dict[str, float]) -> float:
    """The loss that the progress bar shows: of imitation where there is one."""
    shown = min((n for n in metrics if n.startswith("loss/")), key=lambda n: n != "loss/imitation")
    return metrics[shown]


def judge(run: Run, config: TrainConfig, experiment: Experiment, checkpoint: str = "best") -> None:
    """Evaluate, write scores and report, print the table."""
    with console.status("evaluating") as status:
        scores = evaluate_run(run, config, experiment, checkpoint, status.update)
    write_report([run.path], run.path / REPORT)
    print_scores(scores)
    console.print(f"scores  {run.path / 'scores.json'}")
    console.print(f"report  {run.path / REPORT}")


def print_scores(scores: dict[str, Any]) -> None:
    """The held-out table: interquartile means with 95 % intervals."""
    console.print(f"{scores['family']}, held-out tasks: interquartile means, 95 % intervals")
    for mode in ("deterministic", "stochastic"):
        print_mode(scores, mode)
    for mode in ("deterministic", "stochastic"):
        for name, score in scores["heldout"][mode]["adaptation_score"].items():
            value = "-" if score["iqm"] is None else _interval(score, ".2f")
            console.print(f"adaptation score, {mode}, {name}: {value}  over {score['control']}")
    steps = ", ".join(f"{k} {v:,}" for k, v in scores["steps"].items())
    console.print(f"environment steps: {steps}")


def print_mode(scores: dict[str, Any], mode: str) -> None:
    """One noise mode's table, at most 80 characters wide."""
    rows = scores["heldout"][mode]
    afters = {n: f"after {n.removeprefix('after_')} step(s)" for n in rows if "after_" in n}
    names = {"before": _ROWS["before"], **afters, **_ROWS}
    figures = [f for f in rows["before"] if f not in ("return", "normalised", "success")]
    columns = ["return", "normalised", *figures, "success"]
    table = Table(box=None, pad_edge=False)
    table.add_column(mode, no_wrap=True)
    for figure in columns:
        table.add_column(figure.replace("_", " "), justify="right", no_wrap=True)
    for name, words in names.items():
        if name in rows:
            table.add_row(words, *(_cell(rows[name], figure) for figure in columns))
    console.print(table)


def _cell(row: dict[str, Any], figure: str) -> str:
    if figure not in row:
        return "-"
    if figure == "return":
        return f"{row[figure]['iqm']:.1f}"
    if figure == "success":
        return f"{row[figure]['iqm']:.0%}"
    return _interval(row[figure], ".2f" if figure == "normalised" else ".3f")


def _interval(summary: dict[str, Any], spec: str) -> str:
    low, high = format(summary["ci_low"], spec), format(summary["ci_high"], spec)
    return f"{format(summary['iqm'], spec)} [{low}, {high}]"
