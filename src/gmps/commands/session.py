"""What `gmps train`, `resume` and `demo` do: training, with its progress, and judging, which `gmps
eval` shares."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from gmps.commands.cli import console
from gmps.commands.expert_training import train_in
from gmps.commands.score_tables import print_first, print_scores
from gmps.evaluation.scores import Scores
from gmps.experts.base import reporting_faults
from gmps.experts.score import summary
from gmps.methods.registry import option_prefix
from gmps.presets import preset
from gmps.runs.run import CONFIG, REPORT, SCORES, Run, refuse_taken
from gmps.session import Checkpoint, Session
from gmps.tasks import make_family
from gmps.tracking.kinds import Tracker
from gmps.training.config import TrainConfig
from gmps.training.experiment import Experiment
from gmps.training.judge import Stage, evaluate_run
from gmps.training.sac_settings import ExpertConfig
from gmps.training.train import Callback, Round


def train_new(
    config: TrainConfig, folder: str | None, judged: bool, track: Sequence[Tracker]
) -> None:
    """Make a run, by default in a folder named after its settings, and train and judge it."""
    found = make_family(config.family)
    method = option_prefix(config.method)
    folder = folder or f"runs/{found.name}-{method}-seed{config.seed}"
    refuse_taken(folder)
    TerminalSession(judged=judged, track=track).begin(config, folder)


def go_on(
    folder: str, config: TrainConfig, family: str | None, judged: bool, track: Sequence[Tracker]
) -> None:
    """Train a run further and judge it; `family` is another definition of its family."""
    with Run.open(folder, config.keep) as opened:
        TerminalSession(judged=judged, track=track).go_on(opened, config, family)


def demonstrate(folder: str, rounds: int) -> None:
    """Train on pushing or go on, and show the table."""
    session = TerminalSession()
    if (Path(folder) / CONFIG).exists():
        console.print(f"Going on with {folder}; remove the folder to start anew.")
        with Run.open(folder) as opened:
            session.go_on(opened, opened.load_config(TrainConfig))
    else:
        session.begin(replace(preset("sawyer-push"), rounds=rounds), folder)


class TerminalSession(Session):
    """Trains runs and judges them, and says how it goes on."""

    compares: ClassVar[bool] = True

    def train_experts(self, folder: Path, config: ExpertConfig, name: str) -> None:
        """See `Session`."""
        console.print("Phase 1 of 2: nobody is named who answers, so SAC makes an expert.")
        if config.demos is not None:
            console.print(
                f"  At first half of what it learns from are the demonstrations of {config.demos}."
            )
        train_in(folder, config, track=self.track, name=name)
        console.print("Phase 2 of 2: the meta-learner imitates them.")

    def train(
        self,
        run: Run,
        config: TrainConfig,
        experiment: Experiment,
        callbacks: Sequence[Callback],
    ) -> None:
        """See `Session`."""
        introduce(run, config, experiment)
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

                super().train(run, config, experiment, [watch, *callbacks])
        except KeyboardInterrupt:
            console.print(f"Stopped and saved. Go on with: gmps resume {run.path}", soft_wrap=True)
            raise

    def evaluate(
        self, run: Run, config: TrainConfig, experiment: Experiment, checkpoint: Checkpoint
    ) -> Scores:
        """See `Session`."""
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(6),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        )
        try:
            with (
                Progress(*columns, console=console) as progress,
                reporting_faults(experiment.expert),
            ):
                bars: dict[str, TaskID] = {}

                def watch(stage: Stage) -> None:
                    if stage.name not in bars:
                        bars[stage.name] = progress.add_task(stage.name, total=stage.total)
                    progress.update(bars[stage.name], completed=stage.done, total=stage.total)

                # A terminal shows figures as soon as there are some.
                first = print_first if console.is_terminal else lambda _: None
                return evaluate_run(run, config, experiment, checkpoint, watch, first)
        except KeyboardInterrupt:
            console.print(
                f"Stopped. What was trained is saved, and so is what was judged; go on with: "
                f"gmps eval {run.path}",
                soft_wrap=True,
            )
            raise

    def tell(self, run: Run, scores: Scores | None) -> None:
        """See `Session`."""
        if scores is None:
            console.print(f"Trained. Judge it with: gmps eval {run.path}", soft_wrap=True)
            return
        print_scores(scores)
        console.print(f"scores  {run.path / SCORES}")
        console.print(f"report  {run.path / REPORT}")


def introduce(run: Run, config: TrainConfig, experiment: Experiment) -> None:
    """Say what training begins with."""
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


def _loss(metrics: dict[str, float]) -> float:
    """The loss that the progress bar shows: of imitation where there is one."""
    shown = min((n for n in metrics if n.startswith("loss/")), key=lambda n: n != "loss/imitation")
    return metrics[shown]
