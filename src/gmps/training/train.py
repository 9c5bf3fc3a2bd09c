"""The training driver: rounds of gathering and learning, logged, saved, resumable, judged."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from gmps.core.encoders import Convolutions
from gmps.core.types import task_count, tree_index
from gmps.data.aggregate import start_aggregate
from gmps.errors import GmpsError
from gmps.evaluation.evaluate import SHOWN, Evaluator, SplitResult, split_scores, task_rows
from gmps.evaluation.scores import (
    FORMAT,
    EpisodeCounts,
    ExpertSummary,
    LevelWords,
    PlainCandidate,
    PlainScores,
    Scores,
    write_scores,
)
from gmps.experts.score import ExpertScore, summary
from gmps.methods.base import MethodState
from gmps.methods.plain import PlainControl, fit_plain
from gmps.runs.run import Run
from gmps.runs.user_files import keep_user_file
from gmps.tasks.base import Split
from gmps.training.config import TrainConfig
from gmps.training.experiment import Experiment, describe, plot_tasks
from gmps.training.expert_data import EXPERTS, save_expert_data

#: Separate streams of the run's seed.
_INIT, _ROUNDS, _PLAIN = 2, 3, 4
#: The score that chooses the best checkpoint is the mean of the return after the update over this
#: many rounds: a single round's is mostly noise.
_SMOOTH = 5
#: Held-out tasks that get pictures.
_PICTURES = 6
#: Frames of each of them, evenly over the episode.
_FRAMES = 5


class Progress(NamedTuple):
    """What a watcher is told after each round."""

    round: int
    rounds: int
    metrics: dict[str, float]
    #: Environment steps per second of wall-clock time in this round.
    steps_per_second: float


Watcher = Callable[[Progress], None]


def train(
    run: Run, config: TrainConfig, experiment: Experiment, watch: Watcher | None = None
) -> None:
    """Train to the last round, from the last checkpoint where there is one.

    Every round draws from `fold_in(key, round)`, so that a resumed run repeats an uninterrupted
    one. Ctrl-C saves the last complete round and is raised again.
    """
    if not (run.path / EXPERTS).exists():
        save_expert_data(run.path, experiment.data)
        keep_user_file(run.path, "family", config.family)
        for spec in config.expert[:1]:
            keep_user_file(run.path, "expert", spec)
    steps, first = dict(experiment.steps), 0
    restored = run.restore(_like(config, experiment))
    if restored is None:
        state = _start(config, experiment)
    else:
        state, saved_steps = restored.tree, restored.metadata["env_steps"]
        steps = {name: saved_steps[name] for name in steps}
        first = restored.step + 1
    saved, score = first - 1, None
    after = [row["return/after"] for row in run.metrics()]
    try:
        for round_ in range(first, config.rounds):
            state, steps, reached = _round(run, config, experiment, state, steps, round_, watch)
            after.append(reached)
            score = float(np.mean(after[-_SMOOTH:]))
            if (round_ + 1) % config.checkpoint_every == 0 or round_ + 1 == config.rounds:
                run.save(round_, state, score, {"env_steps": steps})
                saved = round_
    except KeyboardInterrupt:
        done = int(state.round) - 1
        if done > saved:
            run.save(done, state, score, {"env_steps": steps})
        raise


def _start(config: TrainConfig, experiment: Experiment) -> MethodState:
    """The state before the first round."""
    key = jax.random.fold_in(jax.random.key(config.seed), _INIT)
    return experiment.method.init(key, experiment.demos)


def _like(config: TrainConfig, experiment: Experiment) -> MethodState:
    """Structure, shapes and dtypes of a state, without the imitation that may go into one."""
    return jax.eval_shape(lambda: _start(config, experiment))


def _round(
    run: Run,
    config: TrainConfig,
    experiment: Experiment,
    state: MethodState,
    steps: dict[str, int],
    round_: int,
    watch: Watcher | None,
) -> tuple[MethodState, dict[str, int], float]:
    """One round: gather, learn, log."""
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(config.seed), _ROUNDS), round_)
    key_gather, key_update = jax.random.split(key)
    start = time.perf_counter()
    gathered_state, gathered = experiment.method.gather(state, key_gather)
    middle = time.perf_counter()
    state, learned = experiment.method.update(gathered_state, gathered, key_update)
    figures = {name: float(value) for name, value in learned.items()}
    end = time.perf_counter()
    steps = {name: n + gathered.steps.get(name, 0) for name, n in steps.items()}
    metrics = {
        **gathered.metrics,
        **figures,
        **{f"steps/{name}": n for name, n in steps.items()},
    }
    speed = sum(gathered.steps.values()) / (end - start)
    run.log(
        round_,
        metrics,
        {
            "seconds/gather": middle - start,
            "seconds/update": end - middle,
            "steps_per_second": speed,
        },
    )
    if watch is not None:
        watch(Progress(round_, config.rounds, metrics, speed))
    return state, steps, gathered.metrics["return/after"]


def restore(
    run: Run, config: TrainConfig, experiment: Experiment, checkpoint: str = "best"
) -> tuple[MethodState, dict[str, Any]]:
    """The best or latest state of a run, with the checkpoint's metadata.

    Raises:
        GmpsError: the run has no checkpoint yet.
    """
    found = run.checkpoints.best() if checkpoint == "best" else run.checkpoints.latest()
    if found is None:
        raise GmpsError(
            f"{run.path} has no checkpoint yet; train it with `gmps resume {run.path}`."
        )
    state, metadata = run.checkpoints.load(found.step, _like(config, experiment))
    return state, {"round": found.step, **metadata}


def evaluate_run(
    run: Run,
    config: TrainConfig,
    experiment: Experiment,
    checkpoint: str = "best",
    say: Callable[[str], None] = lambda _: None,
) -> Scores:
    """Judge a run by section 5 of the protocol; writes `scores.json` and `paths.npz`.

    Returns the scores. `say` is told what goes on.
    """
    state, metadata = restore(run, config, experiment, checkpoint)
    key = jax.random.key(config.seed)
    untrained = experiment.method.untrained(jax.random.fold_in(key, _INIT), experiment.demos)
    say("fitting the plain control (imitate, then one plain gradient step)")
    gathered = experiment.method.aggregate(state)
    plain = fit_plain(
        config.plain,
        experiment.world,
        experiment.tasks["train"],
        untrained,
        start_aggregate(experiment.demos, 0) if gathered is None else gathered,
        jax.random.fold_in(key, _PLAIN),
    )
    evaluator = Evaluator(experiment.world, config.evaluation)
    results: dict[Split, SplitResult] = {}
    for i, (split, tasks) in enumerate(experiment.tasks.items()):
        say(f"evaluating on the {split} tasks")
        n = task_count(tasks)
        if config.evaluation.tasks is not None:
            tasks = tree_index(tasks, plot_tasks(tasks, min(n, config.evaluation.tasks)))
        results[split] = evaluator.split(
            experiment.method,
            state,
            tasks,
            jax.random.fold_in(jax.random.key(config.evaluation.seed), i),
            untrained=untrained,
            controller=experiment.controller,
            demonstrated=experiment.levels(tasks),
            plain=plain,
        )
    scores = _scores(
        config, experiment, results, plain, metadata, run.metrics()[-1], evaluator.env_steps
    )
    write_scores(run.path, scores)
    run.write_paths(_paths(experiment, results["heldout"]) | _seen(experiment, results, state))
    return scores


def _scores(
    config: TrainConfig,
    experiment: Experiment,
    results: dict[Split, SplitResult],
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
    rows = (task_rows(x, split, describe(family, x.tasks)) for split, x in results.items())
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
        levels=LevelWords(
            untrained=f"mean return {held.levels.untrained.mean():.1f} of an untrained policy",
            expert=f"mean return {held.levels.expert.mean():.1f}: {held.levels.source}",
        ),
        heldout=split_scores(held),
        train=split_scores(results["train"]),
        plain_control=PlainScores(
            std=float(np.exp(plain.tuned.policy.head.log_std[0])),
            step_size=plain.tuned.step_size,
            candidates=tuple(PlainCandidate(*c) for c in plain.tuned.candidates),
            settings=config.plain,
        ),
        expert=None
        if expert is None or experiment.data.source is None
        else _expert_summary(experiment.data.source, expert),
        steps=steps,
        # Methods that ask nobody do not log it.
        expert_queries=spent.get("queries/expert", 0.0),
        tasks=tuple(row for split in rows for row in split),
    )


def _expert_summary(source: str, score: ExpertScore) -> ExpertSummary:
    found = summary(score)
    return ExpertSummary(source, found["mean"], found["worst"], tuple(found["tasks"]))


def _seen(
    experiment: Experiment, results: dict[Split, SplitResult], state: MethodState
) -> dict[str, np.ndarray]:
    """Frames of a policy that sees and the points that it found in them, for `paths.npz`."""
    method, held = experiment.method, results["heldout"]
    if not experiment.world.family.has_camera:
        return {}
    encoder = method.policy(state).export().encoder
    assert isinstance(encoder, Convolutions)
    chosen = plot_tasks(held.tasks, _PICTURES)
    arrays = {}
    for condition in SHOWN:
        frames = held.conditions["deterministic"][condition].frames
        assert frames is not None
        steps = np.linspace(0, frames.shape[1] - 1, _FRAMES).round().astype(int)
        frames = frames[np.ix_(chosen, steps)]
        arrays["frames/step"] = steps
        arrays[f"frames/{condition}"] = frames
        arrays[f"points/{condition}"] = np.asarray(jax.vmap(jax.vmap(encoder.points))(frames))
    return arrays


def _paths(experiment: Experiment, result: SplitResult) -> dict[str, np.ndarray]:
    """The content of `paths.npz`: paths without action noise in a few held-out tasks."""
    chosen = plot_tasks(result.tasks, _PICTURES)
    family = experiment.world.family
    goals = jax.vmap(family.goal_point)(result.tasks)
    words = describe(family, tree_index(result.tasks, chosen))
    arrays = {"goal": np.asarray(goals)[chosen], "task_names": np.array(words)}
    for condition in ("before", "after_1", "expert"):
        measured = result.conditions["deterministic"].get(condition)
        if measured is not None:
            for name, path in measured.paths.items():
                arrays[f"{condition}/{name}"] = path[chosen]
    return arrays
