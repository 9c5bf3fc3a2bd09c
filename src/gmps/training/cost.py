"""What a training would cost in memory, said before it begins."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from gmps.core.types import task_count
from gmps.evaluation.evaluate import AT_ONCE
from gmps.evaluation.settings import EvaluationConfig
from gmps.methods.gmps_latent_settings import LatentSettings
from gmps.methods.registry import option_prefix
from gmps.tasks.base import TaskFamily
from gmps.training.config import TrainConfig
from gmps.training.sac_settings import ExpertConfig
from gmps.worlds.cost import episode_bytes, require_room

#: A policy is held for each task, as its gradient and its optimiser's moments are.
_POLICY_COPIES = 6


class Cost(NamedTuple):
    """Something that takes memory."""

    #: The options that it comes from, in words.
    what: str
    size: float


def require_memory(config: TrainConfig, family: TaskFamily) -> None:
    """Raise GmpsError where a part of a training cannot fit into memory; names the options."""
    for cost in _costs(config, family):
        _require(cost)


def require_evaluation_memory(config: EvaluationConfig, family: TaskFamily) -> None:
    """The same of an evaluation."""
    for cost in _evaluation(config, family, ""):
        _require(cost)


def require_expert_memory(config: ExpertConfig, family: TaskFamily) -> None:
    """The same of experts' training."""
    for cost in _expert(config, family, ""):
        _require(cost)


def _require(cost: Cost) -> None:
    require_room(cost.size, cost.what, "take smaller numbers")


def _costs(config: TrainConfig, family: TaskFamily) -> Iterator[Cost]:
    listed = task_count(family.tasks("train"))
    n = config.random_tasks or min(config.train_tasks or listed, listed)
    one, settings = float(n) * episode_bytes(family), config.settings
    prefix = option_prefix(config.method)
    yield Cost(f"--random-tasks {n}", float(n) * 4 * family.spec.context_size * 64)
    yield Cost(f"--expert-episodes {config.expert_episodes}", config.expert_episodes * one)
    for name in ("episodes", "visit_episodes", "measure_episodes", "practice_episodes", "collect"):
        count = getattr(settings, name, None)
        if isinstance(count, int):
            yield Cost(f"--{prefix}.{name.replace('_', '-')} {count}", count * one)
    if isinstance(settings, LatentSettings):
        others, each = settings.practice_tasks, max(settings.episodes, settings.practice_episodes)
        size = float(others) * each * episode_bytes(family)
        yield Cost(f"--{prefix}.practice-tasks {others}", size)
    hidden = getattr(settings, "hidden", None)
    if isinstance(hidden, tuple):
        words = " ".join(map(str, hidden))
        size = _network(family, hidden) * _POLICY_COPIES * n
        yield Cost(f"--{prefix}.hidden {words}", size)
    plain = config.plain
    yield Cost(f"--plain.episodes {plain.episodes}", plain.episodes * one)
    yield from _evaluation(config.evaluation, family, "evaluation.")


def _evaluation(config: EvaluationConfig, family: TaskFamily, prefix: str) -> Iterator[Cost]:
    for split in ("train", "heldout"):
        listed = task_count(family.tasks(split))
        n = min(config.tasks or listed, listed)
        for name in ("episodes", "evaluation_episodes"):
            count = getattr(config, name)
            size = float(n) * min(config.repeats, AT_ONCE) * count * episode_bytes(family)
            words = f"--{prefix}{name.replace('_', '-')} {count}"
            yield Cost(words, size)


def _expert(config: ExpertConfig, family: TaskFamily, prefix: str) -> Iterator[Cost]:
    spec = family.spec
    learners = 1 if config.kind == "contextual" else min(config.tasks, 1000)
    episode = 4 * (spec.horizon + 1) * (spec.obs_size + spec.act_size + 1)
    size = float(config.capacity) * learners * episode
    yield Cost(f"--{prefix}capacity {config.capacity}", size)
    size = float(config.tasks) * config.episodes * episode_bytes(family)
    words = f"--{prefix}tasks {config.tasks} with --{prefix}episodes {config.episodes}"
    yield Cost(words, size if config.kind == "contextual" else 0.0)
    size = float(config.evaluation_episodes) * episode_bytes(family)
    yield Cost(f"--{prefix}evaluation-episodes {config.evaluation_episodes}", size)


def _network(family: TaskFamily, hidden: tuple[int, ...]) -> float:
    """Bytes of a policy."""
    sizes = (family.spec.obs_size, *hidden, family.spec.act_size)
    return 4.0 * sum(a * b for a, b in itertools.pairwise(sizes))
