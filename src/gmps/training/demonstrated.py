"""From a file of demonstrations to what training takes of it, and what is to be said about it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from gmps.core.types import Demonstrations, Task, evenly
from gmps.data.augmentation import task_spread
from gmps.data.checks import own_ranges, questions, reward_words, summary
from gmps.data.demos import DemoSet, load_demos
from gmps.data.relabel import own_rewards, same_rewards
from gmps.data.select import best_episodes, without_failures
from gmps.errors import GmpsError
from gmps.experts.base import SAME_TASK
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
        GmpsError: see `load_demos`; or fewer than 2 tasks are left.
    """
    assert config.demos is not None
    demos, failures = without_failures(load_demos(config.demos, family))
    rewards = _rewards(demos, family)
    demos, chosen = best_episodes(demos, rewards.values, config.demos_best)
    part, excluded = _training_part(demos, family, heldout, config.train_tasks)
    used = demos.select(part)
    levels, warnings = _levels(demos, family, rewards), rewards.warnings
    labelled = used.demonstrations()
    # Somebody who answers labels states off the demonstrated paths; a picture cannot be moved.
    if config.spread and not config.expert and not config.clone and used.frames is None:
        labelled = labelled._replace(spread=task_spread(used.obs, used.alive, config.spread))
    if question:
        warnings += tuple(questions(demos, family, own_ranges(family)))
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
    demos: DemoSet, family: TaskFamily, heldout: Task, limit: int | None
) -> tuple[list[int], int]:
    """Indices of the demonstrated tasks to train on: those that are not held out; and how many
    are."""
    context = jax.vmap(family.context)
    known = np.asarray(context(jnp.asarray(demos.tasks)))
    excluded = np.asarray(context(heldout))
    gap = np.abs(known[:, None] - excluded[None]).max(-1).min(1)
    train = np.flatnonzero(gap > SAME_TASK)
    excluded = len(known) - len(train)
    if limit is not None and len(train) > limit:
        train = train[evenly(len(train), limit)]
    if len(train) < 2:
        raise GmpsError(
            f"The demonstrations leave {len(train)} training tasks once the held-out tasks of "
            f"{family.name} are set aside; meta-training needs at least 2."
        )
    return train.tolist(), excluded


class _Rewards(NamedTuple):
    """What demonstrations earned, as far as it is known."""

    values: Float[np.ndarray, "task ep t"] | None
    #: Where they come from, for the summary, and whose level they make.
    words: str
    whose: str
    #: What is to be said loudly.
    warnings: tuple[str, ...] = ()


def _rewards(demos: DemoSet, family: TaskFamily) -> _Rewards:
    """The rewards of the file, or the family's own where the file has none or others and the
    observations tell them."""
    own, given = own_rewards(demos, family), demos.reward
    if own is None:
        words = "unknown: the file has none" if given is None else "of the file"
        return _Rewards(given, words, DEMONSTRATORS)
    if given is not None and same_rewards(given, own):
        return _Rewards(given, "of the file", DEMONSTRATORS)
    warnings = ()
    if given is not None:
        differ = reward_words(given[demos.alive], own[demos.alive])
        warnings = (
            f"The rewards in {demos.report.source} are not those of {family.name}: {differ}; "
            "the demonstrators' level is computed from the observations.",
        )
    return _Rewards(own, "recomputed", f"{DEMONSTRATORS} recomputed", warnings)


def _levels(demos: DemoSet, family: TaskFamily, rewards: _Rewards) -> KnownLevels | None:
    """The demonstrators' mean return in each task."""
    if rewards.values is None:
        return None
    contexts = np.asarray(jax.vmap(family.context)(jnp.asarray(demos.tasks)))
    # Tasks may have fewer episodes than others: places without steps are none.
    shown = demos.alive.any(-1)
    returns = np.where(demos.alive, rewards.values, 0).sum(-1)
    means = returns.mean(-1) if shown.all() else returns.sum(-1) / shown.sum(-1)
    return KnownLevels(contexts, np.asarray(means, np.float64), rewards.whose)
