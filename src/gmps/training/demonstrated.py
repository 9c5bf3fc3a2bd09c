"""From a file of demonstrations to what training takes of it, and what is to be said about it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gmps.core.types import Demonstrations, Task, Trajectories, evenly
from gmps.data.augmentation import task_moments, task_spread
from gmps.data.checks import own_ranges, questions, summary
from gmps.data.demos import DemoSet, load_demos
from gmps.data.rewards import KnownRewards, known_rewards
from gmps.data.select import best_episodes, outside, without_failures
from gmps.errors import GmpsError
from gmps.methods.registry import method_class
from gmps.tasks.base import TaskFamily
from gmps.training.config import TrainConfig
from gmps.training.expert_data import DEMONSTRATORS, KnownLevels


class Demonstrated(NamedTuple):
    """What training takes of demonstrations."""

    #: The stacked training tasks.
    tasks: Task
    demos: Demonstrations
    #: The demonstrators' mean returns, where they are known.
    levels: KnownLevels | None
    #: Environment steps of the demonstrations used.
    steps: int
    #: What is taken, a sentence each.
    notes: tuple[str, ...]
    #: What is to be said loudly.
    warnings: tuple[str, ...]


def demonstrated(
    config: TrainConfig, family: TaskFamily, heldout: Task, question: bool
) -> Demonstrated:
    """Load the demonstrations of `config.demos` and set held-out tasks aside.

    Args:
        config: the settings.
        family: the family.
        heldout: its held-out tasks.
        question: whether to compare with episodes of the family's own, which takes seconds.

    Raises:
        GmpsError: see `load_demos`; or too few tasks are left; or the method takes episodes with
            rewards and these are not known.
    """
    assert config.demos is not None
    demos, failures = without_failures(load_demos(config.demos, family))
    rewards = known_rewards(demos, family)
    demos, chosen = best_episodes(demos, rewards.values, config.demos_best)
    limit, least = (None, 1) if config.taught else (config.train_tasks, 2)
    part, excluded = _training_part(demos, family, heldout, limit, least)
    used = demos.select(part)
    levels, warnings = _levels(demos, family, rewards), rewards.warnings
    labelled = used.demonstrations()
    # Somebody who answers labels states off the demonstrated paths.
    if config.spread and not config.expert and not config.clone:
        if used.frames is None:
            spread = task_spread(used.obs, used.alive, config.spread)
        else:
            spread = task_moments(used.alive, config.spread)
        labelled = labelled._replace(spread=spread)
    if not config.taught and method_class(config.method).takes(config.settings) == "episodes":
        labelled = labelled._replace(episodes=_episodes(config, family, used, rewards, part))
    if question:
        warnings += tuple(questions(demos, family, own_ranges(family), rewards.values))
    return Demonstrated(
        tasks=jnp.asarray(used.tasks),
        demos=labelled,
        levels=levels,
        steps=int(used.alive.sum()),
        notes=(
            summary(demos, part, excluded, rewards.words),
            *failures,
            *chosen,
            *demos.report.notes,
        ),
        warnings=warnings,
    )


def _training_part(
    demos: DemoSet, family: TaskFamily, heldout: Task, limit: int | None, least: int
) -> tuple[list[int], int]:
    """Indices of the demonstrated tasks to train on: those that are not held out; and how many
    are."""
    context = jax.vmap(family.context)
    known = np.asarray(context(jnp.asarray(demos.tasks)))
    train = outside(known, np.asarray(context(heldout)))
    excluded = len(known) - len(train)
    if limit is not None and len(train) > limit:
        train = train[evenly(len(train), limit)]
    if len(train) < least:
        raise GmpsError(
            f"The demonstrations leave {len(train)} training tasks once the held-out tasks of "
            f"{family.name} are set aside; meta-training needs at least {least}."
        )
    return train.tolist(), excluded


def _episodes(
    config: TrainConfig,
    family: TaskFamily,
    used: DemoSet,
    rewards: KnownRewards,
    part: list[int],
) -> Trajectories:
    """The demonstrations of the training tasks, whose indices are `part`, as transitions."""
    source = used.report.source
    if rewards.values is None:
        raise GmpsError(
            f"These settings of {config.method} take rewards from the experts' episodes, and "
            f"{source} has none and its observations do not tell those of {family.name}; add an "
            "array `rewards (task, episode, t)`, or choose settings that take none."
        )
    episodes = used.trajectories(rewards.values[part], family.spec.horizon)
    empty = np.flatnonzero(~np.asarray(episodes.alive).any((1, 2)))
    if len(empty):
        raise GmpsError(
            f"Task {part[empty[0]]} of {source} has no episode of two steps, and these settings of "
            f"{config.method} take transitions of every task; record one, or choose settings that "
            "take none."
        )
    return jax.tree.map(jnp.asarray, episodes)


def _levels(demos: DemoSet, family: TaskFamily, rewards: KnownRewards) -> KnownLevels | None:
    """The demonstrators' mean return in each task."""
    if rewards.values is None:
        return None
    contexts = np.asarray(jax.vmap(family.context)(jnp.asarray(demos.tasks)))
    # Tasks may have fewer episodes than others: places without steps are none.
    shown = demos.alive.any(-1)
    returns = np.where(demos.alive, rewards.values, 0).sum(-1)
    means = returns.mean(-1) if shown.all() else returns.sum(-1) / shown.sum(-1)
    whose = f"{DEMONSTRATORS} recomputed" if rewards.recomputed else DEMONSTRATORS
    return KnownLevels(contexts, np.asarray(means, np.float64), whose)
