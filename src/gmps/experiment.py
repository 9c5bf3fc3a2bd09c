"""From settings to what training and evaluation need: world, tasks, expert, data, levels."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from gmps.config import TrainConfig
from gmps.data.demos import DemoSet, load_demos
from gmps.evaluate import Levels
from gmps.experts.base import Controller, ExpertActor, label
from gmps.experts.clone import clone_expert
from gmps.methods.base import env_steps
from gmps.methods.gmps import Gmps
from gmps.tasks import make_family
from gmps.tasks.base import Split, TaskFamily
from gmps.types import Demonstrations, Task, tree_index
from gmps.worlds.base import World
from gmps.worlds.local import make_world

#: Two tasks are the same if their contexts differ by less than this.
SAME_TASK = 1e-3


class Experiment(NamedTuple):
    """Everything that a method is trained and judged with."""

    world: World
    method: Gmps
    tasks: dict[Split, Task]
    demos: Demonstrations
    #: The expert of the evaluation: the scripted one, if the family has one.
    controller: Controller | None
    #: Contexts of the demonstrated tasks and their mean returns, where the file has rewards.
    demonstrated: tuple[Float[np.ndarray, "task ctx"], Float[np.ndarray, " task"]] | None
    #: Environment steps spent so far, by column.
    steps: dict[str, int]

    def levels(self, tasks: Task) -> Levels | None:
        """The demonstrators' level in each task: theirs, or interpolated between the nearest."""
        if self.demonstrated is None:
            return None
        known, returns = self.demonstrated
        wanted = np.asarray(jax.vmap(self.world.family.context)(tasks))
        expert = np.array([_interpolate(known, returns, c) for c in wanted])
        source = "the demonstrators' mean return, between their tasks interpolated"
        return Levels(np.zeros_like(expert), expert, source)


def prepare(config: TrainConfig) -> Experiment:
    """Set up the experiment; simulates the scripted expert where there are no demonstrations.

    Raises:
        ValueError: the family has neither a scripted expert nor were demonstrations given, or
            the demonstrations do not fit (see `load_demos`).
    """
    family = make_family(config.family)
    world = make_world(family, config.threads)
    heldout = family.tasks("heldout")
    controller = family.expert
    steps = {"meta": 0, "expert": 0, "demonstration": 0, "evaluation": 0}
    if config.demos is not None:
        demo_set = load_demos(config.demos, family)
        train = _training_part(demo_set, family, heldout, config.train_tasks)
        used = demo_set.select(train)
        steps["demonstration"] = int(used.alive.sum())
        tasks = jnp.asarray(used.tasks)
        demos, labeller = used.demonstrations(), None
        if config.clone:
            key = jax.random.fold_in(jax.random.key(config.seed), 1)
            labeller = clone_expert(family, tasks, demos, key).controller
        method = Gmps(config.gmps, world, tasks, labeller)
        levels = _demonstrated_returns(demo_set, family)
        splits: dict[Split, Task] = {"train": tasks, "heldout": heldout}
        return Experiment(world, method, splits, demos, controller, levels, steps)
    if controller is None:
        raise ValueError(
            f"{config.family} has no scripted expert; give demonstrations with --demos FILE."
        )
    tasks = family.tasks("train", config.train_tasks)
    key = jax.random.fold_in(jax.random.key(config.seed), 1)
    demos, steps["expert"] = _expert_labels(config, world, tasks, controller, key)
    method = Gmps(config.gmps, world, tasks, controller)
    splits = {"train": tasks, "heldout": heldout}
    return Experiment(world, method, splits, demos, controller, None, steps)


def _expert_labels(
    config: TrainConfig, world: World, tasks: Task, controller: Controller, key: Key[Array, ""]
) -> tuple[Demonstrations, int]:
    """Noisy episodes of the expert, each state labelled with its action without noise."""
    n = jax.tree.leaves(tasks)[0].shape[0]
    actor = ExpertActor(controller, world.family.spec.act_size)
    std = jnp.full(n, config.expert_std, jnp.float32)
    data = world.rollout(actor, std, tasks, config.expert_episodes, key).trajectories
    return label(controller, tasks, data), env_steps(data)


def _training_part(
    demos: DemoSet, family: TaskFamily, heldout: Task, limit: int | None
) -> list[int]:
    """Indices of the demonstrated tasks to train on: those that are not held out."""
    context = jax.vmap(family.context)
    known = np.asarray(context(jnp.asarray(demos.tasks)))
    excluded = np.asarray(context(heldout))
    gap = np.abs(known[:, None] - excluded[None]).max(-1).min(1)
    train = np.flatnonzero(gap > SAME_TASK)
    if limit is not None and len(train) > limit:
        train = train[np.linspace(0, len(train) - 1, limit).round().astype(int)]
    if len(train) < 2:
        raise ValueError(
            f"The demonstrations leave {len(train)} training tasks once the held-out tasks of "
            f"{family.name} are set aside; meta-training needs at least 2."
        )
    return train.tolist()


def _demonstrated_returns(demos: DemoSet, family: TaskFamily) -> Any:
    if demos.reward is None:
        return None
    contexts = np.asarray(jax.vmap(family.context)(jnp.asarray(demos.tasks)))
    returns = np.where(demos.alive, demos.reward, 0).sum(-1).mean(-1)
    return contexts, np.asarray(returns, np.float64)


def _interpolate(known: np.ndarray, returns: np.ndarray, context: np.ndarray) -> float:
    """Inverse-distance weighting of the nearest `d + 1` demonstrated tasks."""
    distance = np.linalg.norm(known - context, axis=1)
    nearest = np.argsort(distance, kind="stable")[: known.shape[1] + 1]
    if distance[nearest[0]] < SAME_TASK:
        return float(returns[nearest[0]])
    return float(np.average(returns[nearest], weights=1 / distance[nearest]))


def plot_tasks(tasks: Task, n: int) -> np.ndarray:
    """Indices of up to `n` evenly chosen tasks."""
    total = jax.tree.leaves(tasks)[0].shape[0]
    return np.unique(np.linspace(0, total - 1, min(n, total)).round().astype(int))


def describe(family: TaskFamily, tasks: Task) -> list[str]:
    """Each task in words."""
    n = jax.tree.leaves(tasks)[0].shape[0]
    return [family.describe(tree_index(tasks, i)) for i in range(n)]
