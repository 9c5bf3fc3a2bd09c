"""Methods that imitate experts with a latent for each task, and infer it from own episodes.

They differ in the inner step alone, which `gmps_latent` takes by a policy gradient and `in_context`
by a transformer.
"""

import abc
import functools
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from gmps.core.policy import Policy
from gmps.core.types import (
    Demonstrations,
    Task,
    Trajectories,
    concatenated,
    env_steps,
    stack,
    task_count,
)
from gmps.data.aggregate import Aggregate, start_aggregate
from gmps.errors import GmpsError
from gmps.methods.base import Gathered, Method, Metrics, Needs, mean_returns, policy_actor
from gmps.methods.episode_advantage import RewardScale, segment
from gmps.methods.gmps_latent_settings import LatentSettings
from gmps.methods.imitation import first_episodes, label_visits, shifted_visits
from gmps.methods.latent import LatentPolicy, SpreadLatentActor, prior, with_latent
from gmps.methods.latent_imitation import (
    Explored,
    LatentParams,
    imitate_own,
    optimiser_of,
    outer_steps,
    start_latents,
)
from gmps.methods.normalisation import renormalised
from gmps.methods.practice import practised
from gmps.tasks.base import Augment, TaskFamily
from gmps.tasks.lists import farthest_tasks

C = TypeVar("C", bound=LatentSettings)
#: The policy with each of several latents.
_with_latents = jax.jit(jax.vmap(with_latent, (None, 0)))


class LatentState(NamedTuple):
    """Everything that training carries from round to round."""

    params: LatentParams
    opt_state: optax.OptState
    data: Aggregate
    #: Scale of the rewards of episodes with z from the prior.
    scale: RewardScale
    round: Int[Array, ""]


@dataclass(frozen=True, eq=False)
class LatentMethod(Method[C, LatentState, LatentPolicy]):
    """GMPS with a latent and an inner step of its own, on the training tasks of a world."""

    #: What its options are called.
    prefix: ClassVar[str]
    needs: ClassVar[Needs] = "answers"
    pictures: ClassVar[bool] = True

    @classmethod
    def require_fit(cls, config: C, family: TaskFamily) -> None:
        """That the family knows other observations to act alike in, where these are wanted."""
        super().require_fit(config, family)
        if config.augment and family.augment is None:
            raise GmpsError(
                f"{cls.prefix}.augment is True, but {family.name} knows no other observations to "
                "act alike in; leave it out."
            )

    @abc.abstractmethod
    def untrained_step(self, segments: int, key: Key[Array, ""]) -> Any:
        """What the inner step is made of, before it has learned: `LatentParams.advantage`. The
        rewards of an episode are those of so many `segments`."""

    @abc.abstractmethod
    def infer(
        self, advantage: Any, scale: RewardScale, explored: Explored, key: Key[Array, ""]
    ) -> Float[Array, "place task z"]:
        """The inner step, pure: see `gmps.methods.latent_imitation.Infer`."""

    def trial(
        self, state: LatentState, before: Trajectories, adapted: LatentPolicy, after: Trajectories
    ) -> Float[Array, "task ep part token"] | None:
        """What the inner step reads of the episodes besides rewards and latents: by default
        nothing."""
        del state, before, adapted, after

    def init(self, key: Key[Array, ""], demos: Demonstrations) -> LatentState:
        """A policy and latents that imitate `demos`; the inner step has learned nothing."""
        config = self.config
        net_key, *keys = jax.random.split(key, 4)
        data = start_aggregate(demos, config.capacity if self.controller else 0)
        params = self.imitated(self.untrained(net_key, demos), data, *keys)
        if config.normalise:
            params = params._replace(net=renormalised(params.net, demos))
        if self._practises:
            params = params._replace(net=params.net.with_std(config.practice_std))
        return self.start(params, data)

    def imitated(
        self,
        untrained: Policy,
        data: Aggregate,
        latent_key: Key[Array, ""],
        advantage_key: Key[Array, ""],
        imitate_key: Key[Array, ""],
    ) -> LatentParams:
        """A policy and latents that imitate `data`; the inner step has learned nothing."""
        latents = start_latents(task_count(self.tasks), self.config.latent, latent_key)
        step = self.untrained_step(self._segments, advantage_key)
        params = LatentParams(untrained, latents, step)
        return imitate_own(params, data, imitate_key, self.config, self._augment)

    def start(self, params: LatentParams, data: Aggregate) -> LatentState:
        """The state before the first round, of what was imitated."""
        return LatentState(
            params,
            optimiser_of(self.config).init(params),  # pyright: ignore[reportArgumentType]
            data,
            RewardScale.unknown(self._segments),
            jnp.zeros((), jnp.int32),
        )

    def imitation_steps(self, rounds: int) -> int:
        """Before the first round, and in each block of outer steps."""
        return self.config.pretrain_steps + rounds * self.config.outer_steps

    def aggregate(self, state: LatentState) -> Aggregate:
        """The experts' own trajectories, and the labels of visited states."""
        return state.data

    def policy(self, state: LatentState) -> LatentPolicy:
        """The policy before adaptation: z from the prior."""
        return LatentPolicy(state.params.net, prior(self.config.latent))

    def actor(self, stochastic: bool = True) -> SpreadLatentActor:
        """Draws one z an episode; `stochastic=False` takes its mean, and that of the action."""
        family = self.world.family
        return SpreadLatentActor(
            family.spec.act_size, self.config.latent, stochastic, family.has_camera
        )

    def gather(self, state: LatentState, key: Key[Array, ""]) -> tuple[LatentState, Gathered]:
        """Episodes with z from the prior, then at the adapted and at the own latents."""
        config, tasks = self.config, self.practised_tasks
        explore_key, adapted_key, own_key, label_key = jax.random.split(key, 4)
        policies = stack(self.policy(state), task_count(tasks))
        actor, episodes = self.actor(), config.episodes
        before = self.world.rollout(actor, policies, tasks, episodes, explore_key).trajectories
        asks = self.controller is not None
        labelled = [first_episodes(before, config.visit_episodes)] if asks else []
        # Only pictures that are labelled are kept: the inner step does not look.
        before = before._replace(frames=None)
        rewards = segment(before.reward, state.scale.mean.shape[0])
        state = state._replace(scale=state.scale.update(rewards, first=int(state.round) == 0))
        adapted = self.adapt(state, policies, before)
        practises = self._practises
        visits = (config.visit_episodes, config.own_episodes)
        after_episodes, own_episodes = (config.practice_episodes,) * 2 if practises else visits
        after = self._visit(state, adapted.latent.mean, tasks, after_episodes, adapted_key)
        own = self._visit(state, state.params.latents.mean, self.tasks, own_episodes, own_key)
        if self.controller is not None:
            others = shifted_visits(after, config.label_others, label_key)
            sources = (after, own, *labelled, *others)
            data = label_visits(state.data, sources, self.tasks, self.controller)
            state = state._replace(data=data)
        metrics = {
            **mean_returns(before, after),
            "return/own": float(own.returns.mean()),
            "data/labels": float(state.data.count.sum()),
            "queries/expert": float(state.data.offered.sum()),
        }
        visited = env_steps(after) + env_steps(own)
        steps = {"meta": env_steps(before), "evaluation": 0}
        # Where nobody labels them, and nobody practises on them, these visits only measure.
        steps["meta" if self.controller or practises else "evaluation"] += visited
        trial = self.trial(state, before, adapted, after)
        explored = Explored(rewards, before.held, trial=trial)
        if practises:
            earned = functools.partial(practised, discount=config.practice_discount)
            explored = explored._replace(adapted=earned(after), own=earned(own))
        return state, Gathered(explored, metrics, steps)

    def _visit(
        self,
        state: LatentState,
        z: Float[Array, "task z"],
        tasks: Task,
        episodes: int,
        key: Key[Array, ""],
    ) -> Trajectories:
        actor = policy_actor(self.world.family)
        policies = _with_latents(state.params.net, z)
        return self.world.rollout(actor, policies, tasks, episodes, key).trajectories

    def learn(
        self, state: LatentState, batches: Explored, key: Key[Array, ""]
    ) -> tuple[LatentState, Metrics]:
        """A block of outer steps on the gathered episodes."""
        params, opt_state, metrics = outer_steps(
            state.params,
            state.opt_state,
            state.data,
            state.scale,
            batches,
            key,
            self.config,
            self._augment,
            self.infer,
        )
        state = state._replace(params=params, opt_state=opt_state, round=state.round + 1)
        return state, metrics

    @functools.cached_property
    def practised_tasks(self) -> Task:
        """The training tasks; where the learner practises, behind them others of the family, which
        nobody demonstrated."""
        n = self.config.practice_tasks
        if not (self._practises and n):
            return self.tasks
        others = farthest_tasks(self.world.family, self.tasks, n)
        return concatenated(self.tasks, others)

    @property
    def _segments(self) -> int:
        """Parts of an episode whose rewards the inner step is told."""
        return min(self.config.segments, self.world.family.spec.horizon)

    @property
    def _practises(self) -> bool:
        """Whether own rewards stand in for an expert who answers."""
        sees = self.world.family.has_camera
        return self.controller is None and self.config.practice > 0 and not sees

    @property
    def _augment(self) -> Augment | None:
        return self.world.family.augment if self.config.augment else None
