"""Gathering what training takes from experts: tasks, demonstrations or labels, scores, levels."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from gmps.core.types import Demonstrations, Task, env_steps, task_count, tree_index
from gmps.errors import GmpsError
from gmps.experts.base import Expert, ExpertActor, label, reporting_faults
from gmps.experts.score import (
    ExpertScore,
    complaints,
    exclusions,
    meets,
    only,
    score_expert,
)
from gmps.methods.base import Needs
from gmps.methods.registry import method_class
from gmps.tasks.base import TaskFamily
from gmps.training.clone import CLONE, fit_clone, judge_clone
from gmps.training.config import TrainConfig
from gmps.training.demonstrated import demonstrated
from gmps.training.expert_data import ExpertData, KnownLevels
from gmps.worlds.base import World

#: Streams of the run's seed; `gmps.training.train` takes others.
_LABELS, _SCORE, _TASKS = 1, 5, 7


def gather_expert_data(
    config: TrainConfig, world: World, expert: Expert | None, question: bool = False
) -> ExpertData:
    """Load demonstrations, or score the expert and let it show the tasks.

    Args:
        config: the settings.
        world: where the expert acts.
        expert: who labels states, if anybody does but a clone of the demonstrations.
        question: see `demonstrated`.

    Raises:
        GmpsError: the expert gives bad answers, or the demonstrations do not fit (see
            `demonstrated`), or fewer than two training tasks are left.
    """
    family, takes = world.family, method_class(config.method).takes(config.settings)
    heldout = family.tasks("heldout")
    steps = {"meta": 0, "expert": 0, "demonstration": 0, "evaluation": 0}
    found, levels, demos, clone, score, notes = None, None, None, None, None, ()
    source = None if expert is None else expert.source
    warnings: tuple[str, ...] = ()
    key = jax.random.key(config.seed)
    key_labels = jax.random.fold_in(key, _LABELS)
    if config.demos is not None:
        found = demonstrated(config, family, heldout, question)
        levels, notes, warnings = found.levels, found.notes, found.warnings
        steps["demonstration"] = found.steps
    if found is None or config.taught:
        tasks = _training_tasks(family, config, expert, jax.random.fold_in(key, _TASKS))
        if config.taught:
            shown = f"the demonstrations taught the expert, who shows {task_count(tasks)} training"
            notes = (*notes, f"{shown} tasks")
    else:
        tasks, demos = found.tasks, found.demos
        if config.clone:
            clone, _ = fit_clone(family, tasks, demos, key_labels)
            source = CLONE
            contexts = np.asarray(jax.vmap(family.context)(tasks))
            shown = None if levels is None else float(levels.at(contexts).mean())
            key_clone = jax.random.fold_in(key, _SCORE)
            words, spent = judge_clone(world, tasks, clone, config.expert_std, shown, key_clone)
            notes, steps["evaluation"] = (*notes, words), spent
    knows_heldout = expert is not None and bool(expert.knows(family, heldout).all())
    if expert is not None:
        score = score_expert(
            world, expert, tasks, config.threshold.episodes, jax.random.fold_in(key, _SCORE)
        )
        if config.threshold.exclude and demos is None:
            score, left_out = _without_failing(world, score, config)
            tasks, warnings = score.tasks, warnings + left_out
        warnings += tuple(complaints(world, score, config.threshold))
        steps["expert"] += expert.env_steps
        steps["evaluation"] += expert.measured_steps + score.env_steps
        if found is None or not knows_heldout:
            contexts = np.asarray(jax.vmap(family.context)(tasks))
            levels = KnownLevels(contexts, score.returns.astype(np.float64), "experts'")
        if demos is None:
            demos, spent = _expert_labels(config, world, tasks, expert, key_labels, takes)
            steps["expert"] += spent
    assert demos is not None  # without demonstrations there is an expert
    if takes == "nothing":
        # Then the expert is the yardstick of the evaluation and nothing else.
        steps["evaluation"] += steps["expert"] + steps["demonstration"]
        steps["expert"] = steps["demonstration"] = 0
    return ExpertData(
        tasks=tasks,
        demos=demos,
        score=score,
        known_levels=levels,
        steps=steps,
        notes=notes,
        warnings=warnings,
        source=source,
        knows_heldout=knows_heldout,
        clone=clone,
    )


def _training_tasks(
    family: TaskFamily, config: TrainConfig, expert: Expert | None, key: Key[Array, ""]
) -> Task:
    """The training tasks, but for those that the expert was not trained for."""
    if config.random_tasks is None:
        tasks = family.tasks("train", config.train_tasks)
    else:
        tasks = family.tasks("train", config.random_tasks, key)
    known = np.flatnonzero(expert.knows(family, tasks)) if expert else []
    if len(known) < 2:
        raise GmpsError(
            f"The expert was trained for {len(known)} of the training tasks of {family.name}; "
            "meta-training needs at least 2."
        )
    return tree_index(tasks, known)


def _without_failing(
    world: World, score: ExpertScore, config: TrainConfig
) -> tuple[ExpertScore, tuple[str, ...]]:
    """The score in the tasks that the expert solves, and what is to be said about the others."""
    kept = meets(score, config.threshold)
    if kept.all():
        return score, ()
    if kept.sum() < 2:
        raise GmpsError(
            f"The expert meets the threshold in {kept.sum()} of {len(kept)} training tasks of "
            f"{config.family}; meta-training needs at least 2: lower --threshold.success."
        )
    return only(score, kept), (exclusions(world, score, kept),)


def _expert_labels(
    config: TrainConfig,
    world: World,
    tasks: Task,
    expert: Expert,
    key: Key[Array, ""],
    takes: Needs,
) -> tuple[Demonstrations, int]:
    """Noisy episodes of the expert, each state labelled with its action without noise."""
    n = task_count(tasks)
    actor = ExpertActor(expert.controller, world.family.spec.act_size)
    std = jnp.full(n, config.expert_std, jnp.float32)
    with reporting_faults(expert):
        data = world.rollout(actor, std, tasks, config.expert_episodes, key).trajectories
        labels = label(expert.controller, tasks, data)
    if takes == "episodes":
        labels = labels._replace(episodes=data._replace(frames=None))
    return labels, env_steps(data)
