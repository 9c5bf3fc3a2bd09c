"""PEARL (Rakelly et al. 2019, arXiv:1903.08254): infer the task as a latent, act by off-policy RL.

for each round:
    for a few tasks i:                                                   # gather
        C_i <- episodes with z ~ N(0, I), then episodes with z ~ q(z | C_i); z held for an episode
        replay_i <- replay_i and C_i
    for each gradient step, on some tasks:                               # update
        z ~ q(z | context drawn from C_i);  transitions drawn from replay_i, apart from the context
        critics and encoder <- soft Bellman error with z, + weight * KL(q || N(0, I))
        actor <- SAC's loss with z as a number
at test: q(z | own episodes) in closed form: no gradient step

q is N(0, I) times one Gaussian factor for each transition, so their order does not matter and more
episodes multiply on. No expert is asked, unless the start is made of experts' episodes
(`pretrain_steps`): they are the first of replay_i and C_i, and gradient steps on them, whose actor
imitates the experts' labels, come before the first round.
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from gmps.core.types import (
    Demonstrations,
    Trajectories,
    env_steps,
    stack,
    task_count,
    tree_index,
)
from gmps.data.aggregate import Aggregate, start_aggregate
from gmps.errors import GmpsError
from gmps.experts.replay import add, start_replay
from gmps.experts.sac import LOG_STD, Moments, actor_net, observe_inputs
from gmps.methods.base import Gathered, Method, Metrics, Needs, mean_returns
from gmps.methods.deployed import Deployed
from gmps.methods.latent import prior
from gmps.methods.pearl_learner import (
    Data,
    PearlActor,
    PearlLearner,
    PearlPolicy,
    factors,
    gradient_steps,
    init_learner,
    product,
)
from gmps.methods.pearl_settings import PearlConfig


class PearlState(NamedTuple):
    """Everything that training carries from round to round."""

    learner: PearlLearner
    data: Data
    #: Standard deviation of the actions, of the last update.
    std: Float[Array, " act"]
    round: Int[Array, ""]


@dataclass(frozen=True, eq=False)
class Pearl(Method[PearlConfig, PearlState, PearlPolicy]):
    """PEARL on the training tasks of a world."""

    Settings: ClassVar[type] = PearlConfig

    @classmethod
    def takes(cls, config: PearlConfig) -> Needs:
        """The experts' episodes, for the start; by default nothing."""
        return "episodes" if config.pretrain_steps else "nothing"

    def init(self, key: Key[Array, ""], demos: Demonstrations) -> PearlState:
        """Random networks and empty buffers; or, with `pretrain_steps`, buffers of the experts'
        episodes, and networks that have learned from these and from `demos`."""
        config, spec = self.config, self.world.family.spec
        newest = config.prior_episodes + config.posterior_episodes
        empty = (
            start_replay(n, spec.horizon, spec.obs_size, spec.act_size, 0)
            for n in (max(config.capacity, newest), newest)
        )
        state = PearlState(
            init_learner(key, config, spec),
            Data(*(stack(x, self._count) for x in empty)),
            jnp.full(spec.act_size, jnp.exp(sum(LOG_STD) / 2), jnp.float32),
            jnp.zeros((), jnp.int32),
        )
        if not config.pretrain_steps:
            return state
        assert demos.episodes is not None
        data = _store(state.data, demos.episodes, jnp.arange(self._count))
        learner = _observe(state.learner, demos.episodes) if config.normalise else state.learner
        labels, key = start_aggregate(demos, 0), jax.random.fold_in(key, 1)
        learner, std = _imitated(config, learner, data, labels, key)
        return state._replace(learner=learner, data=data, std=std)

    def imitation_steps(self, rounds: int) -> int:
        """Those of the start."""
        del rounds
        return self.config.pretrain_steps

    def policy(self, state: PearlState) -> PearlPolicy:
        """The policy before adaptation: z from the prior."""
        return PearlPolicy(actor_net(state.learner.sac), prior(self.config.latent), state.std)

    def adapt(self, state: PearlState, policies: PearlPolicy, data: Trajectories) -> PearlPolicy:
        """What each policy knows of z, times the factors of the task's transitions."""
        return _infer(state.learner, policies, data, self.config.next_obs)

    def actor(self, stochastic: bool = True) -> PearlActor:
        """Runs the policies."""
        return PearlActor(self.world.family.spec.act_size, self.config.latent, stochastic)

    def deployed(self, state: PearlState) -> Deployed:
        """None.

        Raises:
            GmpsError: always.
        """
        del state
        raise GmpsError(
            "A policy of pearl cannot be exported: its actor is no Gaussian policy and its encoder "
            "has no counterpart in gmps.deploy; take another method for a robot outside."
        )

    def gather(self, state: PearlState, key: Key[Array, ""]) -> tuple[PearlState, Gathered]:
        """Episodes with z from the prior, then from the posterior that they give."""
        config = self.config
        draw_key, before_key, after_key = jax.random.split(key, 3)
        chosen = jnp.arange(self._count)
        # Every task needs something to learn from before the first gradient step.
        if config.collect is not None and int(state.round) > 0:
            chosen = jax.random.permutation(draw_key, chosen)[: config.collect]
        tasks, actor = tree_index(self.tasks, chosen), self.actor()
        policies = stack(self.policy(state), len(chosen))
        before = self.world.rollout(
            actor, policies, tasks, config.prior_episodes, before_key
        ).trajectories
        learner = state.learner
        if config.normalise:
            # The posterior must not be made of unscaled numbers, so moments come first.
            learner = _observe(learner, before)
            state = state._replace(learner=learner)
            policies = stack(self.policy(state), len(chosen))
        after = self.world.rollout(
            actor, self.adapt(state, policies, before), tasks, config.posterior_episodes, after_key
        ).trajectories
        if config.normalise:
            learner = _observe(learner, after)
        data = _store(_store(state.data, before, chosen), after, chosen)
        steps = {"meta": env_steps(before) + env_steps(after)}
        return state._replace(learner=learner, data=data), Gathered(
            None, mean_returns(before, after), steps
        )

    def learn(
        self, state: PearlState, batches: None, key: Key[Array, ""]
    ) -> tuple[PearlState, Metrics]:
        """Gradient steps on the stored episodes."""
        del batches
        learner, metrics, std = gradient_steps(
            self.config, state.learner, state.data, key, self.config.gradient_steps
        )
        metrics |= {"policy/std": std.mean()}
        return PearlState(learner, state.data, std, state.round + 1), metrics

    @property
    def _count(self) -> int:
        return task_count(self.tasks)


@partial(jax.jit, static_argnames="config")
def _imitated(
    config: PearlConfig,
    learner: PearlLearner,
    data: Data,
    labels: Aggregate,
    key: Key[Array, ""],
) -> tuple[PearlLearner, Float[Array, " act"]]:
    """The learner after the steps of the start, and the standard deviation of its actions."""
    learner, _, std = gradient_steps(config, learner, data, key, config.pretrain_steps, labels)
    return learner, std


@partial(jax.jit, static_argnames="next_obs")
def _infer(
    learner: PearlLearner, policies: PearlPolicy, data: Trajectories, next_obs: bool
) -> PearlPolicy:
    tasks = data.alive.shape[0]

    def rows(x: Array) -> Array:
        return x.reshape(-1, *x.shape[3:])

    after = jnp.concatenate([data.obs[:, :, 1:], data.last_obs[:, :, None]], 2)
    mean, std = (
        x.reshape(tasks, -1, x.shape[-1])
        for x in factors(
            learner.encoder,
            learner,
            rows(data.obs),
            jnp.clip(rows(data.act), -1, 1),
            rows(data.reward),
            rows(after) if next_obs else None,
        )
    )
    latent = jax.vmap(product)(policies.latent, mean, std, data.alive.reshape(tasks, -1))
    return PearlPolicy(policies.net, latent, policies.std)


@jax.jit
def _observe(learner: PearlLearner, data: Trajectories) -> PearlLearner:
    """The learner with the moments of observations and rewards after these episodes."""
    old, size = learner.sac.moments, data.obs.shape[-1]
    valid = data.alive.reshape(-1)
    obs = Moments(old.count, old.mean[:size], old.var[:size])
    obs = observe_inputs(obs, data.obs.reshape(-1, size), valid)
    reward = observe_inputs(learner.reward, data.reward.reshape(-1, 1), valid)
    # z is near N(0, I) by itself.
    moments = Moments(obs.count, old.mean.at[:size].set(obs.mean), old.var.at[:size].set(obs.var))
    return learner._replace(sac=learner.sac._replace(moments=moments), reward=reward)


@jax.jit
def _store(data: Data, new: Trajectories, chosen: Int[Array, " n"]) -> Data:
    """The buffers with the episodes of the chosen tasks."""

    def one(replay, episodes):
        alone = jax.tree.map(lambda x: x[None], episodes)
        return add(replay, alone, alone.reward, jnp.zeros((1, 0), jnp.float32))

    def put(replay):
        added = jax.vmap(one)(tree_index(replay, chosen), new)
        return jax.tree.map(lambda old, x: old.at[chosen].set(x), replay, added)

    return Data(put(data.replay), put(data.context))
