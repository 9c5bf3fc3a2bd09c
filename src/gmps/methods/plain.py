"""The sceptic's control: imitate all experts without the task, then one plain gradient step.

It is multi-task imitation (`gmps.methods.multitask_bc`) with settings of its own. No meta-learning;
the step size and the exploration are tuned on the training tasks, and the imitator gets all labels
that the method under test has gathered: it is given every chance.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from gmps.core.policy import Policy
from gmps.core.types import Task
from gmps.data.aggregate import Aggregate
from gmps.methods.fine_tuning import FineTunedState, Tuned
from gmps.methods.multitask_bc import MultitaskBc
from gmps.methods.multitask_bc_settings import MultitaskBcConfig
from gmps.methods.plain_settings import PlainConfig
from gmps.worlds.base import World


@dataclass(frozen=True)
class PlainControl:
    """An imitator whose exploration and plain step have been chosen."""

    method: MultitaskBc
    state: FineTunedState
    tuned: Tuned


def plain_method(config: PlainConfig, world: World, tasks: Task) -> MultitaskBc:
    """The method that the control is an instance of."""
    return MultitaskBc(_as_imitation(config), world, tasks)


def fit_plain(
    config: PlainConfig,
    world: World,
    tasks: Task,
    untrained: Policy,
    data: Aggregate,
    key: Key[Array, ""],
) -> PlainControl:
    """Imitate `data`, then choose exploration and step size on the training `tasks`."""
    method = plain_method(config, world, tasks)
    key_imitate, *tune_keys = jax.random.split(key, 3)
    state = method.start(untrained, data, key_imitate)
    return _tuned(method, state, method.tune(state.policy, *tune_keys))


def known_plain(
    config: PlainConfig,
    world: World,
    tasks: Task,
    untrained: Policy,
    data: Aggregate,
    key: Key[Array, ""],
    *,
    std: float,
    step_size: float,
) -> PlainControl:
    """What `fit_plain` gave for these arguments, when it chose this exploration and step size."""
    method = MultitaskBc(_as_imitation(config), world, tasks)
    key_imitate, *_ = jax.random.split(key, 3)
    state = method.start(untrained, data, key_imitate)
    return _tuned(method, state, Tuned(state.policy.with_std(std), step_size, (), 0))


def _tuned(method: MultitaskBc, state: FineTunedState, found: Tuned) -> PlainControl:
    state = state._replace(policy=found.policy, step_size=jnp.float32(found.step_size))
    return PlainControl(method, state, found)


def _as_imitation(config: PlainConfig) -> MultitaskBcConfig:
    return MultitaskBcConfig(
        pretrain_steps=config.steps,
        learning_rate=config.learning_rate,
        labels=config.labels,
        imitation=config.imitation,
        episodes=config.episodes,
        stds=config.stds,
        step_sizes=config.step_sizes,
        measure_episodes=config.measure_episodes,
        baseline=config.baseline,
    )
