"""What `import gmps` offers: train, load, adapt, evaluate. Imported when it is first used."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jax

from gmps.core.policy import Policy
from gmps.core.types import stack, tree_index
from gmps.errors import GmpsError
from gmps.evaluation.scores import Scores, read_scores
from gmps.methods.adaptation import adaptation
from gmps.methods.base import MethodState
from gmps.runs.policy_file import load_policy
from gmps.runs.run import CONFIG, Run
from gmps.session import Checkpoint, Session
from gmps.tasks import make_family
from gmps.tasks.base import TaskFamily
from gmps.tasks.lists import task_of
from gmps.tracking.kinds import Tracker, require_trackers
from gmps.training.config import FREE, TrainConfig
from gmps.training.cost import require_evaluation_memory
from gmps.training.experiment import Experiment, load_experiment, run_family
from gmps.training.judge import with_evaluation
from gmps.training.train import Callback, restore


class Loaded:
    """A run that was trained, or a policy that `gmps adapt` wrote."""

    def __init__(self, path: Path, family: str | None, checkpoint: Checkpoint):
        self.path = path
        self._override = family
        self._checkpoint: Checkpoint = checkpoint

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """What is known about a policy file; of a run, its settings."""
        if self.path.is_file():
            return MappingProxyType(load_policy(self.path)[1])
        return MappingProxyType(self._run.config)

    @cached_property
    def family(self) -> TaskFamily:
        """The task family."""
        if self.path.is_file():
            return make_family(self._override or self.facts["family"])
        return run_family(self._run, self.config, self._override)

    @cached_property
    def config(self) -> TrainConfig:
        """The settings of a run."""
        return self._run.load_config(TrainConfig)

    @cached_property
    def policy(self) -> Policy:
        """The policy: of a run, before it adapts. `policy(obs)` gives mean and log std of the
        action, with a camera `policy(proprioception, frame)`.

        Raises:
            GmpsError: the run has no checkpoint yet, or its method's policies cannot be handed on.
        """
        if self.path.is_file():
            return load_policy(self.path)[0]
        experiment, state = self._trained
        return experiment.method.policy(state).export()

    @property
    def scores(self) -> Scores | None:
        """The scores of a run, or None before an evaluation."""
        return read_scores(self._run.path)

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """Figures of each round of a run."""
        return self._run.metrics()

    def adapt(
        self,
        task: Sequence[float],
        episodes: int = 20,
        steps: int = 1,
        seed: int = 0,
        outside: bool = False,
    ) -> Policy:
        """The policy after adaptation to one task, from its own episodes there.

        Args:
            task: the task parameter, which the simulator's reward alone uses.
            episodes: episodes for each step.
            steps: adaptation steps.
            seed: of the episodes.
            outside: whether a task far outside of the family's own ones is meant.

        Raises:
            GmpsError: this is no run, the task is none of the family's or far outside, or the
                method cannot adapt from so few episodes.
        """
        for name, value in (("episodes", episodes), ("steps", steps)):
            if value < 1:
                raise GmpsError(f"{name} is {value}; it must be at least 1.")
        experiment, state = self._trained
        tasks = task_of(self.family, task, outside=outside)
        found = adaptation(
            experiment.world,
            experiment.method,
            state,
            stack(experiment.method.policy(state), 1),
            tasks,
            episodes=episodes,
            # As `gmps adapt`, which draws one more to measure the last step.
            keys=jax.random.split(jax.random.key(seed), steps + 1)[:-1],
        )
        *_, last = found
        return tree_index(last.policies, 0).export()

    @cached_property
    def _run(self) -> Run:
        if self.path.is_file():
            raise GmpsError(
                f"{self.path} is one policy, not a run; load the folder that `gmps train` wrote."
            )
        return Run.open(self.path)

    @cached_property
    def _trained(self) -> tuple[Experiment, MethodState]:
        experiment = load_experiment(self._run, self.config, family=self._override)
        state, _ = restore(self._run, self.config, experiment, self._checkpoint)
        return experiment, state


def load(path: str | Path, *, family: str | None = None, checkpoint: Checkpoint = "best") -> Loaded:
    """A run's folder, or a file that `gmps adapt` wrote.

    Args:
        path: the folder or file.
        family: another definition of its task family, as FILE.py:NAME.
        checkpoint: the best one by the return after the update on training tasks, or the last one.

    Raises:
        GmpsError: there is neither a run nor a policy.
    """
    path = Path(path)
    found = Loaded(path, family, checkpoint)
    # What is there is told at once; the rest is read when it is used.
    _ = found.facts
    return found


def train(
    config: TrainConfig,
    run: str | Path,
    *,
    callbacks: Sequence[Callback] = (),
    evaluate: bool = True,
    track: Sequence[Tracker] = (),
) -> Loaded:
    """Train in a new folder, or go on in one that holds the run of these settings.

    Args:
        config: the settings; `gmps.preset` makes them.
        run: the folder.
        callbacks: each is called after every round, and may stop the training by returning True.
        evaluate: whether to judge the policy at the end, and write a report.
        track: experiment trackers to tell, beside those that were told of the run before.

    Raises:
        GmpsError: the settings do not go together, the folder holds something else, a tracker's
            package is missing, or see `gmps.training.experiment.prepare`.
    """
    folder = Path(run)
    require_trackers(track)
    session = Session(callbacks, evaluate, track)
    if (folder / CONFIG).exists():
        with Run.open(folder, config.keep) as opened:
            opened.check_config(config, FREE)
            session.go_on(opened, config)
    else:
        session.begin(config, folder)
    return load(folder)


def evaluate(run: str | Path, *, checkpoint: Checkpoint = "best", **changes: Any) -> Scores:
    """Judge a run again, as `gmps eval` does; writes scores, paths and report into it.

    Args:
        run: the run's folder.
        checkpoint: see `load`.
        changes: settings of the evaluation that differ from the run's, such as `repeats=10`.

    Raises:
        GmpsError: there is no run or no checkpoint yet.
    """
    with Run.open(run) as opened:
        stored = opened.load_config(TrainConfig)
        config = with_evaluation(stored, replace(stored.evaluation, **changes))
        require_evaluation_memory(config.evaluation, run_family(opened, config))
        experiment = load_experiment(opened, config, ask=True)
        return Session().judge(opened, config, experiment, checkpoint)


def adapt(
    run: str | Path,
    task: Sequence[float],
    episodes: int = 20,
    steps: int = 1,
    seed: int = 0,
    outside: bool = False,
) -> Policy:
    """The policy of a run after adaptation to one task; see `Loaded.adapt`."""
    return load(run).adapt(task, episodes, steps, seed, outside)
