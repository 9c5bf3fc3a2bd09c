"""From settings to what training and evaluation need: world, tasks, expert, data, levels."""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from gmps.core.types import Demonstrations, Task, env_steps, task_count, tree_index
from gmps.errors import GmpsError
from gmps.evaluation.evaluate import Levels
from gmps.experts.base import SAME_TASK, Controller, Expert, ExpertActor, label, reporting_faults
from gmps.experts.score import (
    ExpertScore,
    complaints,
    exclusions,
    meets,
    only,
    score_expert,
)
from gmps.methods.base import Method
from gmps.methods.registry import make_method, method_class
from gmps.tasks import make_family
from gmps.tasks.base import Split, TaskFamily
from gmps.training.clone import clone_expert
from gmps.training.config import TrainConfig
from gmps.training.demonstrated import demonstrated
from gmps.training.expert_sources import find_expert
from gmps.worlds.base import World
from gmps.worlds.factory import make_world
from gmps.worlds.ray_world import RayWorld

#: The folder of the experts that a run trains for itself, inside the run.
OWN_EXPERT = "expert"
#: Streams of the run's seed; `gmps.training.train` takes others.
_LABELS, _SCORE, _TASKS = 1, 5, 7


class Experiment(NamedTuple):
    """Everything that a method is trained and judged with."""

    world: World
    method: Method
    tasks: dict[Split, Task]
    demos: Demonstrations
    #: Who labels states, if anybody does, and how good it is in the training tasks.
    expert: Expert | None
    expert_score: ExpertScore | None
    #: The expert of the evaluation: one that knows all tasks. A clone is none.
    controller: Controller | None
    #: Contexts of tasks whose expert's mean return is known, these returns, and whose they are.
    known_levels: tuple[Float[np.ndarray, "task ctx"], Float[np.ndarray, " task"], str] | None
    #: Environment steps spent so far, by column.
    steps: dict[str, int]
    #: What is to be said loudly before training starts.
    warnings: tuple[str, ...] = ()
    #: What training takes of the demonstrations, where there are any.
    notes: tuple[str, ...] = ()

    def levels(self, tasks: Task) -> Levels | None:
        """The known expert levels in each task: as measured, or interpolated between the nearest
        known tasks."""
        if self.known_levels is None:
            return None
        known, returns, whose = self.known_levels
        wanted = np.asarray(jax.vmap(self.world.family.context)(tasks))
        expert = np.array([_interpolate(known, returns, c) for c in wanted])
        source = f"the {whose} mean return, between their tasks interpolated"
        return Levels(np.zeros_like(expert), expert, source)


def expert_sources(config: TrainConfig, folder: Path | None) -> tuple[str, ...]:
    """Who labels states, as `find_expert` takes it; empty: nobody but the demonstrations.

    Without demonstrations and `--expert` it is the family's scripted controller, or SAC that the
    run trains first, in its own folder.
    """
    sources = config.expert
    if not sources and config.demos is None:
        sources = ("scripted",) if make_family(config.family).expert is not None else ("sac",)
    if sources != ("sac",):
        return sources
    if folder is None:
        raise GmpsError("Experts are trained within a run; give its folder.")
    return (str(folder / OWN_EXPERT),)


def trains_expert(config: TrainConfig) -> bool:
    """Whether a run starts with training experts of its own."""
    return expert_sources(config, Path()) == (OWN_EXPERT,)


def require_fit(config: TrainConfig) -> None:
    """That the method can learn in the family.

    Raises:
        GmpsError: it cannot, such as a method of states in a family that shows pictures.
    """
    method_class(config.method).require_fit(config.settings, make_family(config.family))


def prepare(config: TrainConfig, folder: Path | None = None, question: bool = False) -> Experiment:
    """Set up the experiment: load data, find the expert, score it, let it show the tasks.

    Args:
        config: the settings.
        folder: the run's folder, where experts that the run trained for itself lie.
        question: whether to compare demonstrations with episodes of the family's own, which takes
            seconds; what looks wrong is among the warnings.

    Raises:
        GmpsError: there is no expert where the settings say, or it gives bad answers, or the
            demonstrations do not fit (see `load_demos`).
    """
    family = make_family(config.family)
    require_fit(config)
    world = _world(config, family)
    heldout = family.tasks("heldout")
    sources = expert_sources(config, folder)
    expert = find_expert(sources, family) if sources else None
    steps = {"meta": 0, "expert": 0, "demonstration": 0, "evaluation": 0}
    levels, demos, controller, notes = None, None, family.expert, ()
    warnings: tuple[str, ...] = ()
    key = jax.random.key(config.seed)
    key_labels = jax.random.fold_in(key, _LABELS)
    if config.demos is None:
        tasks = _training_tasks(family, config, expert, jax.random.fold_in(key, _TASKS))
    else:
        found = demonstrated(config, family, heldout, question)
        tasks, demos, levels = found.tasks, found.demos, found.levels
        notes, warnings = found.notes, found.warnings
        steps["demonstration"] = found.steps
        if config.clone:
            clone = clone_expert(family, tasks, demos, key_labels)
            expert = Expert(clone.controller, "a clone of the demonstrations")
    score = None
    if expert is not None and not config.clone:
        score = score_expert(
            world, expert, tasks, config.threshold.episodes, jax.random.fold_in(key, _SCORE)
        )
        if config.threshold.exclude and demos is None:
            score, left_out = _without_failing(world, score, config)
            tasks, warnings = score.tasks, warnings + left_out
        warnings += tuple(complaints(world, score, config.threshold))
        steps["expert"] += expert.env_steps
        steps["evaluation"] += expert.measured_steps + score.env_steps
        everywhere = expert.knows(family, heldout).all()
        controller = expert.controller if everywhere else None
        if not everywhere:
            contexts = np.asarray(jax.vmap(family.context)(tasks))
            levels = (contexts, score.returns.astype(np.float64), "experts'")
        if demos is None:
            demos, spent = _expert_labels(config, world, tasks, expert, key_labels)
            steps["expert"] += spent
    assert demos is not None  # without demonstrations there is an expert
    labeller = None if expert is None else expert.controller
    if method_class(config.method).needs == "nothing":
        # Then the expert is the yardstick of the evaluation and nothing else.
        steps["evaluation"] += steps["expert"] + steps["demonstration"]
        steps["expert"] = steps["demonstration"] = 0
    return Experiment(
        world=world,
        method=make_method(config.method, config.settings, world, tasks, labeller),
        tasks={"train": tasks, "heldout": heldout},
        demos=demos,
        expert=expert,
        expert_score=score,
        controller=controller,
        known_levels=levels,
        steps=steps,
        warnings=warnings,
        notes=notes,
    )


def _world(config: TrainConfig, family: TaskFamily) -> World:
    if config.on == "ray":
        return RayWorld(family, config.address)
    return make_world(family, config.threads, config.sim)


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
    config: TrainConfig, world: World, tasks: Task, expert: Expert, key: Key[Array, ""]
) -> tuple[Demonstrations, int]:
    """Noisy episodes of the expert, each state labelled with its action without noise."""
    n = task_count(tasks)
    actor = ExpertActor(expert.controller, world.family.spec.act_size)
    std = jnp.full(n, config.expert_std, jnp.float32)
    with reporting_faults(expert):
        data = world.rollout(actor, std, tasks, config.expert_episodes, key).trajectories
        return label(expert.controller, tasks, data), env_steps(data)


def _interpolate(known: np.ndarray, returns: np.ndarray, context: np.ndarray) -> float:
    """Inverse-distance weighting of the nearest `d + 1` demonstrated tasks."""
    distance = np.linalg.norm(known - context, axis=1)
    nearest = np.argsort(distance, kind="stable")[: known.shape[1] + 1]
    if distance[nearest[0]] < SAME_TASK:
        return float(returns[nearest[0]])
    return float(np.average(returns[nearest], weights=1 / distance[nearest]))


def plot_tasks(tasks: Task, n: int) -> np.ndarray:
    """Indices of up to `n` evenly chosen tasks."""
    total = task_count(tasks)
    return np.unique(np.linspace(0, total - 1, min(n, total)).round().astype(int))


def describe(family: TaskFamily, tasks: Task) -> list[str]:
    """Each task in words."""
    n = task_count(tasks)
    return [family.describe(tree_index(tasks, i)) for i in range(n)]
