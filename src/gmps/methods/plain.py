"""The sceptic's control: imitate all experts blindly, then one plain policy-gradient step.

No meta-learning. The step size and the exploration are tuned on the training tasks, and the
imitator gets all labels that the method under test has gathered: it is given every chance.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from gmps.core.adapt import adapt
from gmps.core.losses import InnerBatch
from gmps.core.nets import GaussianPolicy, with_std
from gmps.core.returns import Baseline
from gmps.core.types import Task, Trajectories, env_steps, task_count
from gmps.core.vision import VisionPolicy
from gmps.data.aggregate import Aggregate, sample
from gmps.methods.base import stack
from gmps.methods.gaussian import gaussian_actor, head_of, inner_view, with_heads
from gmps.methods.imitation import imitate, rescaled
from gmps.methods.plain_settings import PlainConfig
from gmps.worlds.base import World

P = TypeVar("P", bound=GaussianPolicy | VisionPolicy)
#: Labels of each task whose features set the scale of a vision policy's head.
_RESCALED = 100


class Candidate(NamedTuple):
    """One setting that was tried on the training tasks."""

    std: float
    step_size: float
    #: Mean return after the step.
    score: float


@dataclass(frozen=True)
class PlainControl:
    """A blind imitator and the step size of its one plain step."""

    policy: GaussianPolicy | VisionPolicy
    step_size: float
    candidates: tuple[Candidate, ...]
    #: Environment steps that the tuning took.
    env_steps: int
    baseline: Baseline = "linear"

    def adapt(self, data: Trajectories) -> GaussianPolicy | VisionPolicy:
        """One plain step for each task, on trajectories of the blind imitator."""
        batches = inner_view(self.policy, data, baseline=self.baseline)
        policies = stack(self.policy, data.alive.shape[0])
        return plain_step(policies, jnp.float32(self.step_size), batches)


def fit_plain(
    config: PlainConfig,
    world: World,
    tasks: Task,
    untrained: GaussianPolicy | VisionPolicy,
    data: Aggregate,
    key: Key[Array, ""],
) -> PlainControl:
    """Imitate `data` blindly, then choose exploration and step size on the training `tasks`."""
    key_imitate, key_collect, key_measure = jax.random.split(key, 3)
    policy, _ = imitate(
        untrained,
        data,
        key_imitate,
        steps=config.steps,
        learning_rate=config.learning_rate,
        labels=config.labels,
        kind=config.imitation,
    )
    if isinstance(policy, VisionPolicy):
        drawn = sample(data, _RESCALED, jax.random.fold_in(key_imitate, 1))
        policy = rescaled(policy, drawn)
    explorers = {std: with_std(policy, std) for std in config.stds}
    return tune(
        world,
        tasks,
        explorers,
        (key_collect, key_measure),
        step_sizes=config.step_sizes,
        episodes=config.episodes,
        measure_episodes=config.measure_episodes,
        baseline=config.baseline,
    )


def tune(
    world: World,
    tasks: Task,
    explorers: Mapping[float, P],
    keys: tuple[Key[Array, ""], Key[Array, ""]],
    *,
    step_sizes: tuple[float, ...],
    episodes: int,
    measure_episodes: int,
    baseline: Baseline = "linear",
) -> PlainControl:
    """The best explorer and step size of one plain step, by the mean return after it.

    Args:
        world: where the policies act.
        tasks: the stacked tasks that are tried, all with the same explorer and step size.
        explorers: policies by the standard deviation they explore with.
        keys: of the episodes for the step, and of those that measure it without action noise; all
            candidates share them.
        step_sizes: step sizes that are tried with each explorer.
        episodes: episodes of each task for the step.
        measure_episodes: episodes that measure one candidate in one task.
        baseline: what the step subtracts from returns.
    """
    n, sizes = task_count(tasks), step_sizes
    many_tasks = jax.tree.map(lambda x: jnp.tile(x, (len(sizes), *[1] * (x.ndim - 1))), tasks)
    acting = gaussian_actor(world.family)
    measuring = gaussian_actor(world.family, stochastic=False)
    candidates, steps = [], 0
    for std, explorer in explorers.items():
        stacked = stack(explorer, n)
        own = world.rollout(acting, stacked, tasks, episodes, keys[0]).trajectories
        batches = inner_view(explorer, own, baseline=baseline)
        adapted = [plain_step(stacked, jnp.float32(size), batches) for size in sizes]
        together = jax.tree.map(lambda *x: jnp.concatenate(x), *adapted)
        after = world.rollout(
            measuring, together, many_tasks, measure_episodes, keys[1]
        ).trajectories
        scores = np.asarray(after.returns).reshape(len(sizes), -1).mean(1)
        candidates += [
            Candidate(std, size, float(x)) for size, x in zip(sizes, scores, strict=True)
        ]
        steps += env_steps(own) + env_steps(after)
    best = max(candidates, key=lambda c: c.score)
    return PlainControl(explorers[best.std], best.step_size, tuple(candidates), steps, baseline)


@eqx.filter_jit
def plain_step(policies: P, step_size: Float[Array, ""], batches: InnerBatch) -> P:
    """One plain step of each task's policy on its own episodes; all leaves are `(task, ...)`."""
    step = lambda head, batch: adapt(head, step_size, [batch], subset="mean")  # noqa: E731
    return with_heads(policies, jax.vmap(step)(head_of(policies), batches))
