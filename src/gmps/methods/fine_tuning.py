"""One policy for all tasks that is fine-tuned at test: one plain policy-gradient step.

Nothing prepares it for that step. The step's size, and how noisily the policy explores, are chosen
on the training tasks.
"""

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key

from gmps.core.adapt import adapt, inner_batch
from gmps.core.choices import Baseline
from gmps.core.losses import InnerBatch
from gmps.core.policy import Policy
from gmps.core.types import Trajectories, concatenated, env_steps, stack, task_count
from gmps.data.aggregate import Aggregate
from gmps.deploy.adaptation import gradient_share
from gmps.methods.base import Method, NetworkSettings
from gmps.methods.deployed import Deployed, by_gradient
from gmps.methods.inner_step import features
from gmps.worlds.batch import distinct


class FineTuningSettings(NetworkSettings, Protocol):
    """The settings of every method that is fine-tuned at test."""

    @property
    def episodes(self) -> int: ...  # noqa: D102
    @property
    def step_sizes(self) -> tuple[float, ...]: ...  # noqa: D102
    @property
    def tune_every(self) -> int: ...  # noqa: D102
    @property
    def measure_episodes(self) -> int: ...  # noqa: D102


Tuning = TypeVar("Tuning", bound=FineTuningSettings)
#: How often a search goes on beyond the ends of what it was told to try, while the best is there.
WIDENINGS = 6
#: Stacked policies one after the other, by one program.
_joined = jax.jit(concatenated)


class FineTunedState(NamedTuple):
    """Everything that training carries from round to round."""

    policy: Policy
    opt_state: optax.OptState
    #: Step size of the fine-tuning; 0 before the first search.
    step_size: Float[Array, ""]
    round: Int[Array, ""]
    #: What experts did, where the policy imitates them.
    data: Aggregate | None = None


class Candidate(NamedTuple):
    """One setting that was tried on the training tasks."""

    std: float
    step_size: float
    #: Mean return after the step.
    score: float


class Tuned(NamedTuple):
    """The explorer and the step size with the best return after a plain step."""

    policy: Policy
    step_size: float
    candidates: tuple[Candidate, ...]
    #: Environment steps that the search took.
    env_steps: int


def beyond(tried: Sequence[float], best: float) -> float | None:
    """The value to try next to the best of those that were tried, where that is the least or the
    largest of several: as far from it as its neighbour, in the ratio. None where it lies inside.

    Example:
        >>> beyond([0.1, 0.2, 0.4], 0.4)
        0.8
    """
    values = sorted(tried)
    if len(values) < 2 or best <= 0 or best not in (values[0], values[-1]):
        return None
    neighbour = values[1] if best == values[0] else values[-2]
    return best**2 / neighbour if neighbour > 0 else None


@dataclass(frozen=True, eq=False)
class FineTuned(Method[Tuning, FineTunedState, Policy]):
    """A method whose adaptation is one plain policy-gradient step."""

    @property
    def baseline(self) -> Baseline:
        """What the step subtracts from returns."""
        return "linear"

    @abc.abstractmethod
    def explorers(self, policy: Policy) -> Mapping[float, Policy]:
        """The policies that the search tries, by the standard deviation they explore with."""

    def policy(self, state: FineTunedState) -> Policy:
        """The policy before adaptation."""
        return state.policy

    def adapt(self, state: FineTunedState, policies: Policy, data: Trajectories) -> Policy:
        """One plain policy-gradient step of each task's policy on its own trajectories."""
        batch = features(policies, inner_batch(data, baseline=self.baseline))
        return plain_step(policies, state.step_size, batch)

    def share(self, step: int) -> float:
        """A whole step, then smaller ones."""
        return gradient_share(step)

    def deployed(self, state: FineTunedState) -> Deployed:
        """A plain policy-gradient step of the size that was chosen."""
        return by_gradient(state.policy, state.step_size, subset="mean", baseline=self.baseline)

    def tune(
        self, policy: Policy, collect_key: Key[Array, ""], measure_key: Key[Array, ""]
    ) -> Tuned:
        """The best explorer and step size of one plain step, by the mean return after it.

        All tasks have the same explorer and step size. All candidates share the keys: of the
        episodes for the step, and of those that measure it without action noise. While the best
        has the least or the largest of several deviations or step sizes, one beyond is tried too,
        up to `WIDENINGS` times.
        """
        explorers, candidates = dict(self.explorers(policy)), []
        sizes, steps = list(self.config.step_sizes), 0
        for std, explorer in explorers.items():
            found, spent = self._tried(std, explorer, sizes, collect_key, measure_key)
            candidates, steps = candidates + found, steps + spent
        for _ in range(WIDENINGS):
            best = max(candidates, key=lambda c: c.score)
            size, wider = beyond(sizes, best.step_size), beyond([*explorers], best.std)
            if size is not None:
                sizes.append(size)
                for std, explorer in explorers.items():
                    found, spent = self._tried(std, explorer, [size], collect_key, measure_key)
                    candidates, steps = candidates + found, steps + spent
            if wider is not None:
                explorers[wider] = policy.with_std(wider)
                found, spent = self._tried(wider, explorers[wider], sizes, collect_key, measure_key)
                candidates, steps = candidates + found, steps + spent
            if size is None and wider is None:
                break
        best = max(candidates, key=lambda c: c.score)
        return Tuned(explorers[best.std], best.step_size, tuple(candidates), steps)

    def _tried(
        self,
        std: float,
        explorer: Policy,
        sizes: Sequence[float],
        collect_key: Key[Array, ""],
        measure_key: Key[Array, ""],
    ) -> tuple[list[Candidate], int]:
        """One explorer with each step size, and the environment steps that it took."""
        config, n = self.config, task_count(self.tasks)
        many_tasks = jax.tree.map(
            lambda x: jnp.tile(x, (len(sizes), *[1] * (x.ndim - 1))), self.tasks
        )
        stacked = stack(explorer, n)
        own = self.world.rollout(
            self.actor(), stacked, self.tasks, config.episodes, collect_key
        ).trajectories
        batch = features(stacked, inner_batch(own, baseline=self.baseline))
        adapted = [plain_step(stacked, jnp.float32(size), batch) for size in sizes]
        actor = self.actor(stochastic=False)
        after = self.world.rollout(
            actor,
            _joined(*adapted),
            many_tasks,
            distinct(self.world.family, actor, config.measure_episodes),
            measure_key,
        ).trajectories
        scores = np.asarray(after.returns).reshape(len(sizes), -1).mean(1)
        found = [Candidate(std, size, float(x)) for size, x in zip(sizes, scores, strict=True)]
        return found, env_steps(own) + env_steps(after)

    def tuned(
        self, state: FineTunedState, collect_key: Key[Array, ""], measure_key: Key[Array, ""]
    ) -> tuple[FineTunedState, int]:
        """The state after the search, in rounds that have one, and the steps that it took."""
        if int(state.round) % self.config.tune_every:
            return state, 0
        found = self.tune(state.policy, collect_key, measure_key)
        step_size = jnp.float32(found.step_size)
        return state._replace(policy=found.policy, step_size=step_size), found.env_steps

    def measured(
        self, state: FineTunedState, own_key: Key[Array, ""], after_key: Key[Array, ""]
    ) -> tuple[Trajectories, Trajectories]:
        """Episodes in all training tasks, before the plain step and after it."""
        config, actor = self.config, self.actor()
        policies = stack(state.policy, task_count(self.tasks))
        own = self.world.rollout(actor, policies, self.tasks, config.episodes, own_key).trajectories
        adapted = self.adapt(state, policies, own)
        after = self.world.rollout(
            actor, adapted, self.tasks, config.measure_episodes, after_key
        ).trajectories
        return own, after


@jax.jit
def plain_step(policies: Policy, step_size: Float[Array, ""], batch: InnerBatch) -> Policy:
    """One plain step of each task's head on features of its own episodes; leaves `(task, ...)`."""
    heads = jax.vmap(lambda head, batch: adapt(head, step_size, [batch], subset="mean"))(
        policies.head, batch
    )
    return Policy(policies.encoder, heads)
