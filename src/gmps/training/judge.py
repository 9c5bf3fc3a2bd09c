"""Judging a run: its policy before and after adaptation, beside the controls."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Key

from gmps.core.actors import Actor
from gmps.core.encoders import Convolutions
from gmps.core.types import Params, Rollout, Task, evenly, task_count, tree_index
from gmps.data.aggregate import start_aggregate
from gmps.errors import GmpsError
from gmps.evaluation.conditions import after
from gmps.evaluation.evaluate import (
    SHOWN,
    Evaluator,
    SplitResult,
    task_rows,
)
from gmps.evaluation.scores import (
    FORMAT,
    EpisodeCounts,
    ExpertSummary,
    Judged,
    LevelWords,
    PlainCandidate,
    PlainScores,
    Scores,
    TaskRow,
    write_scores,
)
from gmps.evaluation.settings import EvaluationConfig
from gmps.evaluation.summaries import summarise
from gmps.experts.score import ExpertScore, summary
from gmps.methods.base import MethodState
from gmps.methods.best_episode import fit_latent
from gmps.methods.plain import PlainControl, fit_plain, plain_method
from gmps.runs.config_json import encode_config
from gmps.runs.run import Run
from gmps.tasks.base import TaskFamily
from gmps.tasks.lists import validation_tasks
from gmps.training.config import TrainConfig
from gmps.training.experiment import Experiment, describe
from gmps.training.partial import Partial
from gmps.training.train import initial_key, restore
from gmps.version import __version__
from gmps.worlds.base import Draws, World

#: A stream of the run's seed; `gmps.training.train` takes others.
_PLAIN = 4
#: Held-out tasks that get pictures.
_PICTURES = 6
#: Frames of each of them, evenly over the episode.
_FRAMES = 5
#: What the splits are called while they are judged.
_STAGES: dict[Judged, str] = {
    "train": "training tasks",
    "heldout": "held-out tasks",
    "validation": "validation tasks",
}


class Stage(NamedTuple):
    """How far a part of the evaluation is, in rollouts of all its tasks."""

    name: str
    done: int
    total: int


Watcher = Callable[[Stage], None]


class _WatchedWorld(World):
    """A world that says after each rollout how many there were."""

    def __init__(self, world: World, watch: Watcher):
        self.family: TaskFamily = world.family
        self._world, self._watch = world, watch
        self._stage = Stage("", 0, 0)

    def start(self, name: str, total: int) -> None:
        """A new part begins, of so many rollouts."""
        self._stage = Stage(name, 0, total)
        self._watch(self._stage)

    def rollout(
        self, actor: Actor, params: Params, tasks: Task, episodes: int, key: Key[Array, ""] | Draws
    ) -> Rollout:
        """See `gmps.worlds.base.World.rollout`."""
        found = self._world.rollout(actor, params, tasks, episodes, key)
        done = self._stage.done + 1
        # A search may go on beyond what it was told to try.
        self._stage = self._stage._replace(done=done, total=max(done, self._stage.total))
        self._watch(self._stage)
        return found


def plain_key(config: TrainConfig) -> Key[Array, ""]:
    """The key of the plain control."""
    return jax.random.fold_in(jax.random.key(config.seed), _PLAIN)


def with_evaluation(config: TrainConfig, evaluation: EvaluationConfig) -> TrainConfig:
    """The settings of a run, judged otherwise than it said when it was started."""
    plain = config.plain
    if evaluation.episodes != config.evaluation.episodes:
        # The control gets its chance: it is tuned for as many episodes as it will have.
        plain = replace(plain, episodes=evaluation.episodes)
    return replace(config, evaluation=evaluation, plain=plain)


def evaluate_run(
    run: Run,
    config: TrainConfig,
    experiment: Experiment,
    checkpoint: str = "best",
    watch: Watcher = lambda _: None,
    first: Callable[[Sequence[TaskRow]], None] = lambda _: None,
) -> Scores:
    """Judge a run by section 5 of the protocol; writes `scores.json` and `paths.npz`.

    Returns the scores. `watch` is told how far each stage is: the control is fitted, then the tasks
    of each split are judged, the held-out ones first; `first` is told of these at once.
    Interrupted, the same call goes on with the stage that was not done.

    Raises:
        GmpsError: the run has no checkpoint yet, or its metrics are damaged.
    """
    state, metadata = restore(run, config, experiment, checkpoint)
    rows = run.metrics()  # what is damaged is said before the work begins
    if not rows:
        raise GmpsError(f"{run.path} has no metrics; train it with `gmps resume {run.path}`.")
    done = _partial(run, config, experiment, metadata["round"])
    world = _WatchedWorld(experiment.world, watch)
    untrained = experiment.method.untrained(initial_key(config), experiment.demos)
    world.start("plain control", 2 * len(config.plain.stds))
    gathered = experiment.method.aggregate(state)
    labels = start_aggregate(experiment.demos, 0) if gathered is None else gathered
    budget = max(config.plain.steps, experiment.method.imitation_steps(metadata["round"] + 1))
    config = replace(config, plain=replace(config.plain, steps=budget))
    key, train_tasks = plain_key(config), experiment.tasks["train"]
    method = plain_method(config.plain, world, train_tasks)
    plain = done.plain(
        method,
        lambda: method.start(untrained, labels, key),
        lambda: fit_plain(config.plain, world, train_tasks, untrained, labels, key),
    )
    imitated = fit_latent(
        experiment.method, state, untrained, labels, budget, jax.random.fold_in(key, 1)
    )
    evaluator, controller = Evaluator(world, config.evaluation), experiment.controller
    judged: dict[Judged, Task] = {**experiment.tasks}
    if config.evaluation.validation:
        judged["validation"] = validation_tasks(experiment.world.family)
    results: dict[Judged, SplitResult] = {}
    for i, (split, tasks) in sorted(enumerate(judged.items()), key=lambda x: x[1][0] != "heldout"):
        n = task_count(tasks)
        tasks = tree_index(tasks, evenly(n, config.evaluation.tasks or n))
        world.start(
            _STAGES[split],
            evaluator.rollouts(imitated=imitated is not None, expert=controller is not None),
        )
        judge = functools.partial(
            evaluator.split,
            experiment.method,
            state,
            tasks,
            jax.random.fold_in(jax.random.key(config.evaluation.seed), i),
            untrained=untrained,
            controller=controller,
            known=experiment.levels(tasks),
            plain=plain,
            imitated=imitated,
        )
        results[split] = done.split(split, tasks, judge)
        if split == "heldout":
            first(task_rows(results[split], split, describe(world.family, tasks)))
    results = {split: results[split] for split in judged}
    spent = sum(result.env_steps for result in results.values())
    scores = _scores(config, experiment, results, plain, metadata, rows[-1], spent)
    write_scores(run.path, scores)
    run.write_paths(_paths(experiment, results["heldout"]) | _seen(experiment, results, state))
    done.clear()
    return scores


def _partial(run: Run, config: TrainConfig, experiment: Experiment, round_: int) -> Partial:
    """The parts that are done of the evaluation of a round's checkpoint."""
    what = {
        "config": encode_config(config),
        "experts": experiment.data.source,
        "asked": experiment.controller is not None,
        "gmps": __version__,
    }
    return Partial(run.path, run.checkpoints.path(round_), what)


def _scores(
    config: TrainConfig,
    experiment: Experiment,
    results: dict[Judged, SplitResult],
    plain: PlainControl,
    metadata: dict[str, Any],
    spent: dict[str, Any],
    evaluation_steps: int,
) -> Scores:
    """The content of `scores.json`."""
    # All that the run spent, also after the chosen checkpoint: the choice looked at it.
    steps = {name: spent[f"steps/{name}"] for name in metadata["env_steps"]}
    steps["evaluation"] += evaluation_steps + plain.tuned.env_steps
    family, held, expert = experiment.world.family, results["heldout"], experiment.expert_score
    rows = {split: task_rows(x, split, describe(family, x.tasks)) for split, x in results.items()}
    return Scores(
        format=FORMAT,
        family=config.family,
        method=config.method,
        seed=config.seed,
        checkpoint_round=metadata["round"],
        episodes=EpisodeCounts(
            adaptation=config.evaluation.episodes,
            evaluation=config.evaluation.evaluation_episodes,
            repeats=config.evaluation.repeats,
        ),
        levels=LevelWords.of(
            float(held.levels.untrained.mean()),
            float(held.levels.expert.mean()),
            held.levels.source,
        ),
        heldout=summarise([rows["heldout"]]),
        train=summarise([rows["train"]]),
        validation=summarise([rows["validation"]]) if "validation" in rows else None,
        plain_control=PlainScores(
            std=float(np.exp(plain.tuned.policy.head.log_std[0])),
            step_size=plain.tuned.step_size,
            candidates=tuple(PlainCandidate(*c) for c in plain.tuned.candidates),
            settings=encode_config(config.plain),
        ),
        expert=None
        if expert is None or experiment.data.source is None
        else _expert_summary(experiment.data.source, expert),
        steps=steps,
        expert_labels=_labels_taken(config, experiment),
        # Methods that ask nobody do not log it.
        expert_queries=spent.get("queries/expert", 0.0),
        tasks=tuple(row for split in rows.values() for row in split),
    )


def _labels_taken(config: TrainConfig, experiment: Experiment) -> float:
    """Labels that training took of the experts' own episodes or of demonstrations."""
    if experiment.method.takes(config.settings) == "nothing":
        return 0.0
    return float(experiment.demos.valid.sum())


def _expert_summary(source: str, score: ExpertScore) -> ExpertSummary:
    found = summary(score)
    return ExpertSummary(source, found["mean"], found["worst"], tuple(found["tasks"]))


def _seen(
    experiment: Experiment, results: dict[Judged, SplitResult], state: MethodState
) -> dict[str, np.ndarray]:
    """Frames of a policy that sees and the points that it found in them, for `paths.npz`."""
    method, held = experiment.method, results["heldout"]
    if not experiment.world.family.has_camera:
        return {}
    encoder = method.policy(state).export().encoder
    assert isinstance(encoder, Convolutions)
    chosen = evenly(task_count(held.tasks), _PICTURES)
    arrays = {}
    for condition in SHOWN:
        frames = held.conditions["deterministic"][condition].frames
        assert frames is not None
        steps = evenly(frames.shape[1], _FRAMES)
        frames = frames[np.ix_(chosen, steps)]
        arrays["frames/step"] = steps
        arrays[f"frames/{condition}"] = frames
        arrays[f"points/{condition}"] = np.asarray(jax.vmap(jax.vmap(encoder.points))(frames))
    return arrays


def _paths(experiment: Experiment, result: SplitResult) -> dict[str, np.ndarray]:
    """The content of `paths.npz`: paths without action noise in a few held-out tasks."""
    chosen = evenly(task_count(result.tasks), _PICTURES)
    family = experiment.world.family
    goals = jax.vmap(family.goal_point)(result.tasks)
    words = describe(family, tree_index(result.tasks, chosen))
    arrays = {"goal": np.asarray(goals)[chosen], "task_names": np.array(words)}
    for condition in ("before", after(1), "expert"):
        measured = result.conditions["deterministic"].get(condition)
        if measured is not None:
            for name, path in measured.paths.items():
                arrays[f"{condition}/{name}"] = path[chosen]
    return arrays
