"""GMPS with structured exploration: the inner step moves a latent that each episode draws once.

pi_theta(a | s, z) imitates all experts, with a latent z_i of its own for each training task.
for each round:
    for each task i:                                                     # gather
        D_i     <- episodes of pi_theta(a | s, z), one z ~ N(0, I) in each, spread evenly
        z'_i    <- mean_e[z_e A_psi(rewards of e)]                       # the inner step
        visited <- episodes of pi_theta(a | s, z'_i), and of pi_theta(a | s, z_i)
        labels  <- labels + {(s, expert_i(s)) : s visited}               # aggregation
    repeat:                                                              # update
        theta, psi, all z_i <- Adam on mean_i of
            L_imitation(theta, z'_i(psi)) + L_imitation(theta, z_i) + w KL(z_i, N(0, I))

Where there are demonstrations and nobody to ask, the update adds v (L_PPO(theta, z'_i(psi)) +
L_PPO(theta, z_i)) on the episodes `visited`: see `practice`.

The latent is the first action of an episode, drawn from N(m, S^2), and the inner step is the
natural policy gradient of m: m' = m + S^2 grad_m E[R] = m + S E[e A], where z = m + S e. The
advantage A_psi of an episode is learned: see `EpisodeAdvantage` and `SoftmaxAdvantage`.
"""

from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, Key

from gmps.core.losses import Imitation, imitation_loss
from gmps.core.nets import GaussianPolicy
from gmps.core.optimise import descend
from gmps.core.policy import Policy, encoded
from gmps.core.types import Demonstrations, Trajectories, env_steps, stack, task_count
from gmps.data.aggregate import Aggregate, sample, start_aggregate
from gmps.errors import GmpsError
from gmps.methods.base import Gathered, Method, Metrics, Needs, mean_returns, policy_actor
from gmps.methods.deployed import Deployed
from gmps.methods.episode_advantage import (
    Advantage,
    EpisodeAdvantage,
    RewardScale,
    SoftmaxAdvantage,
    init_advantage,
    segment,
)
from gmps.methods.gmps_latent_settings import GmpsLatentConfig
from gmps.methods.imitation import head_bc_loss, label_visits, shifted_visits
from gmps.methods.latent import (
    Latent,
    LatentPolicy,
    SpreadLatentActor,
    prior,
    prior_kl,
    with_latent,
)
from gmps.methods.normalisation import renormalised
from gmps.methods.practice import Practice, practice_loss, practised
from gmps.tasks.base import Augment, TaskFamily

#: Steps of each task's own episodes that an outer step practises on, after the inner step and at
#: the own latent.
PRACTICE_STEPS = 200


class LatentParams(NamedTuple):
    """What the outer loop learns."""

    #: The policy of what the learner is shown and z, which takes the place of its bias
    #: transformation.
    net: Policy
    #: The latent of each training task, leaves `(task, z)`: what its expert does, in a word.
    latents: Latent
    #: The advantage of an episode, one for each number of z.
    advantage: EpisodeAdvantage | SoftmaxAdvantage


class GmpsLatentState(NamedTuple):
    """Everything that training carries from round to round."""

    params: LatentParams
    opt_state: optax.OptState
    data: Aggregate
    #: Scale of the rewards of episodes with z from the prior.
    scale: RewardScale
    round: Int[Array, ""]


class Explored(NamedTuple):
    """What the inner step needs of the episodes of each task. No gradient enters it."""

    #: Rewards, summed over segments of the episode.
    rewards: Float[Array, "task ep segment"]
    #: The noise e of each episode's z.
    noise: Float[Array, "task ep z"]
    #: Steps at the adapted and at the own latents, where the learner practises.
    adapted: Practice | None = None
    own: Practice | None = None


@dataclass(frozen=True, eq=False)
class GmpsLatent(Method[GmpsLatentConfig, GmpsLatentState, LatentPolicy]):
    """GMPS with a latent, on the training tasks of a world."""

    Settings: ClassVar[type] = GmpsLatentConfig
    needs: ClassVar[Needs] = "answers"
    pictures: ClassVar[bool] = True
    #: The step compares episodes: from one alone the latent would stay as it is.
    least_episodes: ClassVar[int] = 2

    @classmethod
    def require_fit(cls, config: GmpsLatentConfig, family: TaskFamily) -> None:
        """That the family knows other observations to act alike in, where these are wanted."""
        if config.augment and family.augment is None:
            raise GmpsError(
                f"gmps-latent.augment is True, but {family.name} knows no other observations to "
                "act alike in; leave it out."
            )

    def init(self, key: Key[Array, ""], demos: Demonstrations) -> GmpsLatentState:
        """A policy and latents that imitate `demos`; the advantage of an episode is its return."""
        config, n = self.config, task_count(self.tasks)
        net_key, latent_key, advantage_key, imitate_key = jax.random.split(key, 4)
        shape = (n, config.latent)
        start = Latent(
            0.1 * jax.random.normal(latent_key, shape, jnp.float32),
            jnp.full(shape, -1.0, jnp.float32),
        )
        segments = min(config.segments, self.world.family.spec.horizon)
        params = LatentParams(
            self.untrained(net_key, demos),
            start,
            _untrained_advantage(config, segments, advantage_key),
        )
        data = start_aggregate(demos, config.capacity if self.controller else 0)
        params = _imitate(params, data, imitate_key, config, self._augment)
        if config.normalise:
            params = params._replace(net=renormalised(params.net, demos))
        if self._practises:
            params = params._replace(net=params.net.with_std(config.practice_std))
        optimiser = _optimiser(config)
        return GmpsLatentState(
            params,
            optimiser.init(params),  # pyright: ignore[reportArgumentType]
            data,
            RewardScale.unknown(segments),
            jnp.zeros((), jnp.int32),
        )

    def aggregate(self, state: GmpsLatentState) -> Aggregate:
        """The experts' own trajectories, and the labels of visited states."""
        return state.data

    def policy(self, state: GmpsLatentState) -> LatentPolicy:
        """The policy before adaptation: z from the prior."""
        return LatentPolicy(state.params.net, prior(self.config.latent))

    def adapt(
        self, state: GmpsLatentState, policies: LatentPolicy, data: Trajectories
    ) -> LatentPolicy:
        """One inner step of each task's latent. The next step explores more narrowly."""
        return _adapt(state.params.advantage, state.scale, policies, data, self.config)

    def deployed(self, state: GmpsLatentState) -> Deployed:
        """The step of the latent's mean by advantages of whole episodes."""
        policy, config, advantage = self.policy(state), self.config, state.params.advantage
        settings = {
            "kind": "latent-step",
            "advantage": config.advantage,
            "segments": int(state.scale.mean.shape[0]),
            "narrowing": config.narrowing,
        }
        named = {f"advantage/{f.name}": getattr(advantage, f.name) for f in fields(advantage)}
        named |= {f"scale/{name}": x for name, x in state.scale._asdict().items()}
        arrays = {name: np.asarray(x) for name, x in named.items()}
        return Deployed(policy.net, settings, arrays, policy.latent, spread=True)

    def actor(self, stochastic: bool = True) -> SpreadLatentActor:
        """Draws one z an episode; `stochastic=False` takes its mean, and that of the action."""
        family = self.world.family
        return SpreadLatentActor(
            family.spec.act_size, self.config.latent, stochastic, family.has_camera
        )

    def gather(
        self, state: GmpsLatentState, key: Key[Array, ""]
    ) -> tuple[GmpsLatentState, Gathered]:
        """Episodes with z from the prior, then at the adapted and at the own latents."""
        config, n = self.config, task_count(self.tasks)
        explore_key, adapted_key, own_key, label_key = jax.random.split(key, 4)
        policies = stack(self.policy(state), n)
        roll = self.world.rollout(self.actor(), policies, self.tasks, config.episodes, explore_key)
        before = roll.trajectories
        rewards = segment(before.reward, state.scale.mean.shape[0])
        state = state._replace(scale=state.scale.update(rewards, first=int(state.round) == 0))
        adapted = self.adapt(state, policies, before)
        practises = self._practises
        visits = (config.visit_episodes, config.own_episodes)
        after_episodes, own_episodes = (config.practice_episodes,) * 2 if practises else visits
        after = self._visit(state, adapted.latent.mean, after_episodes, adapted_key)
        own = self._visit(state, state.params.latents.mean, own_episodes, own_key)
        if self.controller is not None:
            data = state.data
            first = jax.tree.map(lambda x: x[:, : config.visit_episodes], before)
            others = shifted_visits(after, config.label_others, label_key)
            for source in (after, own, first, *others):
                data = label_visits(data, source, self.tasks, self.controller)
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
        explored = Explored(rewards, before.held)
        if practises:
            explored = explored._replace(adapted=practised(after), own=practised(own))
        return state, Gathered(explored, metrics, steps)

    def _visit(
        self, state: GmpsLatentState, z: Float[Array, "task z"], episodes: int, key: Key[Array, ""]
    ) -> Trajectories:
        actor = policy_actor(self.world.family)
        policies = jax.vmap(with_latent, (None, 0))(state.params.net, z)
        return self.world.rollout(actor, policies, self.tasks, episodes, key).trajectories

    def learn(
        self, state: GmpsLatentState, batches: Explored, key: Key[Array, ""]
    ) -> tuple[GmpsLatentState, Metrics]:
        """A block of outer steps on the gathered episodes."""
        return _outer_steps(state, batches, key, self.config, self._augment)

    @property
    def _practises(self) -> bool:
        """Whether own rewards stand in for an expert who answers."""
        sees = self.world.family.has_camera
        return self.controller is None and self.config.practice > 0 and not sees

    @property
    def _augment(self) -> Augment | None:
        return self.world.family.augment if self.config.augment else None


def _untrained_advantage(
    config: GmpsLatentConfig, segments: int, key: Key[Array, ""]
) -> EpisodeAdvantage | SoftmaxAdvantage:
    if config.advantage == "softmax":
        return SoftmaxAdvantage(jnp.log(jnp.asarray(config.step_size, jnp.float32)))
    return init_advantage(key, segments, config.latent, config.advantage_hidden, config.step_size)


def inner_step(
    advantage: Advantage, scale: RewardScale, explored: Explored
) -> Float[Array, "task z"]:
    """`mean_e[e A(e)]`: how far the inner step moves each task's latent, in its deviations."""
    weight = jax.vmap(partial(advantage, scale))(explored.rewards)
    return (explored.noise * weight).mean(1)


@partial(jax.jit, static_argnames="config")
def _adapt(
    advantage: EpisodeAdvantage | SoftmaxAdvantage,
    scale: RewardScale,
    policies: LatentPolicy,
    data: Trajectories,
    config: GmpsLatentConfig,
) -> LatentPolicy:
    explored = Explored(segment(data.reward, scale.mean.shape[0]), data.held)
    mean, log_std = policies.latent
    mean = mean + jnp.exp(log_std) * inner_step(advantage, scale, explored)
    return LatentPolicy(policies.net, Latent(mean, log_std + jnp.log(config.narrowing)))


def own_loss(
    head: GaussianPolicy,
    latents: Latent,
    labelled: Demonstrations,
    key: Key[Array, ""],
    config: GmpsLatentConfig,
) -> Float[Array, ""]:
    """Imitation of each expert with its own latent, and that latent's KL to the prior."""
    mean, log_std = latents
    z = mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape, mean.dtype)
    kl = jax.vmap(prior_kl)(latents).mean()
    return latent_bc_loss(head, z, labelled, config.imitation) + config.kl_weight * kl


def latent_bc_loss(
    head: GaussianPolicy, z: Float[Array, "task z"], labelled: Demonstrations, kind: Imitation
) -> Float[Array, ""]:
    """Imitation loss of one head with a latent for each task, on labelled features."""

    def one_task(z: Float[Array, " z"], labelled: Demonstrations) -> Float[Array, ""]:
        own = replace(head, bias_transform=z)
        return imitation_loss(own, labelled.obs, labelled.act, labelled.valid, kind)

    return jax.vmap(one_task)(z, labelled).mean()


@partial(jax.jit, static_argnames=("config", "augment"))
def _imitate(
    params: LatentParams,
    data: Aggregate,
    key: Key[Array, ""],
    config: GmpsLatentConfig,
    augment: Augment | None,
) -> LatentParams:
    """The start: imitation with each task's own latent. The advantage is left as it is."""
    optimiser = _optimiser(config)

    def loss(
        params: LatentParams, labelled: Demonstrations, key: Key[Array, ""]
    ) -> Float[Array, ""]:
        shown = encoded(params.net.encoder, labelled)
        return own_loss(params.net.head, params.latents, shown, key, config)

    def step(carry: tuple, key: Key[Array, ""]) -> tuple[tuple, None]:
        params, opt_state = carry
        sample_key, noise_key = jax.random.split(key)
        labelled = _labelled(data, sample_key, config, augment)
        gradient = _fixed_std(jax.grad(loss)(params, labelled, noise_key))
        return descend(optimiser, gradient, opt_state, params), None

    start: Any = (params, optimiser.init(params))  # pyright: ignore[reportArgumentType]
    carry, _ = jax.lax.scan(step, start, jax.random.split(key, config.pretrain_steps))
    return carry[0]


def _outer_steps(
    state: GmpsLatentState,
    explored: Explored,
    key: Key[Array, ""],
    config: GmpsLatentConfig,
    augment: Augment | None,
) -> tuple[GmpsLatentState, Metrics]:
    optimiser = _optimiser(config)

    def loss(
        params: LatentParams, labelled: Demonstrations, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], Metrics]:
        # Pictures are encoded once, for all three losses.
        head, shown = params.net.head, encoded(params.net.encoder, labelled)
        z = inner_step(params.advantage, state.scale, explored)
        adapted = latent_bc_loss(head, z, shown, config.imitation)
        own = own_loss(head, params.latents, shown, key, config)
        at_prior = replace(head, bias_transform=jnp.zeros(z.shape[1]))
        before = head_bc_loss(at_prior, shown, config.imitation)
        parts = {"loss/imitation": adapted, "loss/own": own, "loss/blind": before}
        total = adapted + own + config.blind_weight * before
        if explored.adapted is not None and explored.own is not None:
            keys = jax.random.split(jax.random.fold_in(key, 1))
            n, latents = PRACTICE_STEPS, params.latents.mean
            earned = practice_loss(head, z, explored.adapted, n, keys[0])
            earned += practice_loss(head, latents, explored.own, n, keys[1])
            parts["loss/practice"] = earned
            total += config.practice * earned
        return total, parts

    def step(carry: tuple, key: Key[Array, ""]) -> tuple[tuple, Metrics]:
        params, opt_state = carry
        sample_key, noise_key = jax.random.split(key)
        labelled = _labelled(state.data, sample_key, config, augment)
        gradient, parts = jax.grad(loss, has_aux=True)(params, labelled, noise_key)
        return descend(optimiser, _fixed_std(gradient), opt_state, params), parts

    start = (state.params, state.opt_state)
    carry, parts = jax.lax.scan(step, start, jax.random.split(key, config.outer_steps))
    params, opt_state = carry
    move = inner_step(params.advantage, state.scale, explored)
    metrics = {
        # Of the first step: the loss on fresh episodes.
        **{name: values[0] for name, values in parts.items()},
        "loss/block_end": parts["loss/imitation"][-1],
        "latent/kl": jax.vmap(prior_kl)(params.latents).mean(),
        "latent/spread": jnp.sqrt(params.latents.mean.var(0).mean()),
        "latent/std": jnp.exp(params.latents.log_std).mean(),
        "latent/move": jnp.sqrt((move**2).sum(-1).mean()),
        "policy/std": params.net.action_std.mean(),
    }
    return state._replace(params=params, opt_state=opt_state, round=state.round + 1), metrics


def _labelled(
    data: Aggregate, key: Key[Array, ""], config: GmpsLatentConfig, augment: Augment | None
) -> Demonstrations:
    labelled = sample(data, config.labels, key)
    if augment is None:
        return labelled
    return labelled._replace(obs=augment(labelled.obs, jax.random.fold_in(key, 1)))


def _optimiser(config: GmpsLatentConfig) -> optax.GradientTransformation:
    """Adam, with a learning rate of their own for the training tasks' latents."""
    adam = optax.adam(config.learning_rate)

    def update(updates: Any, state: optax.OptState, params: Any = None) -> tuple:
        steps, state = adam.update(updates, state, params)
        assert isinstance(steps, LatentParams)
        latents = jax.tree.map(lambda x: config.latent_rate * x, steps.latents)
        return steps._replace(latents=latents), state

    return optax.GradientTransformation(adam.init, update)


def _fixed_std(gradient: LatentParams) -> LatentParams:
    """The gradient, leaving the standard deviation alone: imitation says nothing about it."""
    net = eqx.tree_at(lambda p: p.head.log_std, gradient.net, replace_fn=jnp.zeros_like)
    return gradient._replace(net=net)
