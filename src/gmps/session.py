"""A run from its first round to its report: what `gmps.train` and `gmps train` have in common."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from gmps.evaluation.scores import Scores
from gmps.experts.base import reporting_faults
from gmps.report import write_report
from gmps.runs.run import REPORT, Run
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
from gmps.training.judge import evaluate_run
from gmps.training.sac_settings import ExpertConfig
from gmps.training.sac_training import ExpertTraining, open_training, train_expert
from gmps.training.train import Callback, train
from gmps.worlds.factory import make_world

Checkpoint = Literal["best", "latest"]


@dataclass(frozen=True)
class Session:
    """Trains runs and judges them, in silence. A subclass says what happens."""

    #: Each is called after every round, and may stop the training by returning True.
    callbacks: Sequence[Callback] = ()
    #: Whether to judge the policy at the end, and write a report.
    judged: bool = True
    #: Trackers to tell, beside those that were told of a run before.
    track: Sequence[Tracker] = ()

    #: Whether demonstrations are compared with episodes of the family's own, which takes seconds.
    compares: ClassVar[bool] = False

    def begin(self, config: TrainConfig, folder: str | Path) -> None:
        """Train a run in a new folder.

        Raises:
            GmpsError: see `prepare`; or there is something in the folder.
        """
        family = make_family(config.family)
        require_fit(config, family)
        if trains_expert(config, family):
            with Run.create(folder, config, config.keep) as run:
                self._in_two_phases(run, config)
            return
        # Bad data are said before the folder exists.
        experiment = prepare(config, question=self.compares)
        with Run.create(folder, config, config.keep) as run:
            self._train_and_judge(run, config, experiment)

    def go_on(self, run: Run, config: TrainConfig, family: str | None = None) -> None:
        """Train a run further; `family` is another definition of its family."""
        found = run_family(run, config, family)
        if trains_expert(config, found) and not (run.path / EXPERTS).is_file():
            self._in_two_phases(run, config)
        else:
            experiment = load_experiment(run, config, family=family, ask=True)
            self._train_and_judge(run, config, experiment)

    def judge(
        self, run: Run, config: TrainConfig, experiment: Experiment, checkpoint: Checkpoint
    ) -> Scores:
        """Judge a run again, and write its report. Whoever was told of the training is told."""
        with follow(run, (), "meta", config.family) as tracking:
            return self._judge(run, config, experiment, tracking, checkpoint)

    def train_experts(self, folder: Path, config: ExpertConfig, name: str) -> None:
        """Train SAC experts in a folder, or go on there; trackers call it `name`."""
        opened = open_training(folder, config)
        if opened is None:
            return
        training = ExpertTraining(config, make_world(make_family(config.family), config.threads))
        with opened, follow(opened, self.track, "expert", config.family, name) as tracking:
            train_expert(opened, training, tracking)

    def train(
        self,
        run: Run,
        config: TrainConfig,
        experiment: Experiment,
        callbacks: Sequence[Callback],
    ) -> None:
        """Train to the end."""
        with reporting_faults(experiment.expert):
            train(run, config, experiment, callbacks)

    def evaluate(
        self, run: Run, config: TrainConfig, experiment: Experiment, checkpoint: Checkpoint
    ) -> Scores:
        """Evaluate, and write the scores."""
        with reporting_faults(experiment.expert):
            return evaluate_run(run, config, experiment, checkpoint)

    def tell(self, run: Run, scores: Scores | None) -> None:
        """A run is trained; and, where there are scores, judged."""

    def _in_two_phases(self, run: Run, config: TrainConfig) -> None:
        """Experts in the run's folder, then the meta-learner."""
        # Told beside the run itself, as one of its own.
        name = f"{run.path.absolute().name}-{OWN_EXPERT}"
        self.train_experts(run.path / OWN_EXPERT, expert_settings(config), name)
        self._train_and_judge(run, config, prepare(config, run.path))

    def _train_and_judge(self, run: Run, config: TrainConfig, experiment: Experiment) -> None:
        with follow(run, self.track, "meta", config.family) as tracking:
            self.train(run, config, experiment, [*self.callbacks, tracking])
            if self.judged:
                self._judge(run, config, experiment, tracking, "best")
            else:
                self.tell(run, None)

    def _judge(
        self,
        run: Run,
        config: TrainConfig,
        experiment: Experiment,
        tracking: Tracking,
        checkpoint: Checkpoint,
    ) -> Scores:
        scores = self.evaluate(run, config, experiment, checkpoint)
        write_report([run.path], run.path / REPORT)
        self.tell(run, scores)
        if tracking:
            write_film(run, config, experiment, checkpoint)
            tracking.judged(scores)
        return scores
