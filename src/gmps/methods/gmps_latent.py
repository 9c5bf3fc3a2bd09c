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

The latent is the first action of an episode, drawn from N(m, S^2), and the inner step is the
natural policy gradient of m: m' = m + S^2 grad_m E[R] = m + S E[e A], where z = m + S e. The
advantage A_psi of an episode is learned: see `EpisodeAdvantage` and `SoftmaxAdvantage`.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from gmps.core.losses import Imitation, imitation_loss
from gmps.core.nets import GaussianPolicy
from gmps.core.optimise import descend
from gmps.core.types import Demonstrations, Task, Trajectories, env_steps, task_count
from gmps.core.vision import VisionPolicy, perceive
from gmps.data.aggregate import Aggregate, sample, start_aggregate
from gmps.experts.base import Controller
from gmps.methods.base import Gathered, stack
from gmps.methods.episode_advantage import (
    Advantage,
    EpisodeAdvantage,
    RewardScale,
    SoftmaxAdvantage,
    init_advantage,
    segment,
)
from gmps.methods.gaussian import gaussian_actor
from gmps.methods.gmps_latent_settings import GmpsLatentConfig
from gmps.methods.imitation import add_labels, blind_loss, elsewhere, rescaled
from gmps.methods.latent import (
    Latent,
    LatentMethod,
    LatentPolicy,
    SeeingLatentActor,
    SpreadLatentActor,
    at,
    prior,
    prior_kl,
)
from gmps.tasks.base import Augment
from gmps.tasks.pixels import PixelFamily
from gmps.worlds.base import World


class LatentParams(NamedTuple):
    """What the outer loop learns."""

    #: The policy of the observation, or picture, and z; z takes the place of its bias
    #: transformation.
    net: GaussianPolicy | VisionPolicy
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


@dataclass(frozen=True)
class GmpsLatent(LatentMethod):
    """GMPS with a latent, on the training tasks of a world."""

    config: GmpsLatentConfig
    world: World
    tasks: Task
    #: The expert that labels visited states; None where there are only demonstrations.
    controller: Controller | None

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
            params = params._replace(net=rescaled(params.net, demos))
        optimiser = _optimiser(config)
        return GmpsLatentState(
            params,
            optimiser.init(params),  # pyright: ignore[reportArgumentType]
            data,
            RewardScale.unknown(segments),
            jnp.zeros((), jnp.int32),
        )

    def labels(self, state: GmpsLatentState) -> Aggregate:
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

    def actor(self, stochastic: bool = True) -> SpreadLatentActor:
        """Draws one z an episode; `stochastic=False` takes its mean, and that of the action."""
        family = self.world.family
        sizes = (family.spec.act_size, self.config.latent)
        if isinstance(family, PixelFamily):
            return SeeingLatentActor(*sizes, stochastic, hand_size=family.hand_size)
        return SpreadLatentActor(*sizes, stochastic)

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
        after = self._visit(state, adapted.latent.mean, config.visit_episodes, adapted_key)
        own = self._visit(state, state.params.latents.mean, config.own_episodes, own_key)
        if self.controller is not None:
            data = state.data
            first = jax.tree.map(lambda x: x[:, : config.visit_episodes], before)
            others = elsewhere(after, config.label_others, label_key)
            for source in (after, own, first, *others):
                data = add_labels(data, source, self.tasks, self.controller)
            state = state._replace(data=data)
        metrics = {
            "return/before": float(before.returns.mean()),
            "return/after": float(after.returns.mean()),
            "return/own": float(own.returns.mean()),
            "data/labels": float(state.data.count.sum()),
            "queries/expert": float(state.data.offered.sum()),
        }
        seen = env_steps(after) + env_steps(own)
        steps = {"meta": env_steps(before), "evaluation": 0}
        # Where nobody labels them these visits only measure.
        steps["meta" if self.controller else "evaluation"] += seen
        return state, Gathered(Explored(rewards, before.held), metrics, steps)

    def _visit(
        self, state: GmpsLatentState, z: Float[Array, "task z"], episodes: int, key: Key[Array, ""]
    ) -> Trajectories:
        actor = gaussian_actor(self.world.family)
        policies = jax.vmap(at, (None, 0))(state.params.net, z)
        return self.world.rollout(actor, policies, self.tasks, episodes, key).trajectories

    def update(
        self, state: GmpsLatentState, gathered: Gathered, key: Key[Array, ""]
    ) -> tuple[GmpsLatentState, dict[str, Float[Array, ""]]]:
        """A block of outer steps on the gathered episodes."""
        return _update(state, gathered.batches, key, self.config, self._augment)

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
    net: GaussianPolicy,
    latents: Latent,
    labels: Demonstrations,
    key: Key[Array, ""],
    config: GmpsLatentConfig,
) -> Float[Array, ""]:
    """Imitation of each expert with its own latent, and that latent's KL to the prior."""
    mean, log_std = latents
    z = mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape, mean.dtype)
    kl = jax.vmap(prior_kl)(latents).mean()
    return imitation_at(net, z, labels, config.imitation) + config.kl_weight * kl


def imitation_at(
    net: GaussianPolicy, z: Float[Array, "task z"], labels: Demonstrations, kind: Imitation
) -> Float[Array, ""]:
    """Imitation loss with a latent for each task."""
    one_task = lambda z, d: imitation_loss(at(net, z), d.obs, d.act, d.valid, kind)  # noqa: E731
    return jax.vmap(one_task)(z, labels).mean()


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

    def loss(params: LatentParams, labels: Demonstrations, key: Key[Array, ""]) -> Float[Array, ""]:
        net, labels = perceive(params.net, labels)
        return own_loss(net, params.latents, labels, key, config)

    def step(carry: tuple, key: Key[Array, ""]) -> tuple[tuple, None]:
        params, opt_state = carry
        sample_key, noise_key = jax.random.split(key)
        labels = _labels(data, sample_key, config, augment)
        gradient = _fixed_std(jax.grad(loss)(params, labels, noise_key))
        return descend(optimiser, gradient, opt_state, params), None

    start: Any = (params, optimiser.init(params))  # pyright: ignore[reportArgumentType]
    carry, _ = jax.lax.scan(step, start, jax.random.split(key, config.pretrain_steps))
    return carry[0]


@partial(jax.jit, static_argnames=("config", "augment"))
def _update(
    state: GmpsLatentState,
    explored: Explored,
    key: Key[Array, ""],
    config: GmpsLatentConfig,
    augment: Augment | None,
) -> tuple[GmpsLatentState, dict[str, Float[Array, ""]]]:
    optimiser = _optimiser(config)

    def loss(
        params: LatentParams, labels: Demonstrations, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
        # Pictures are encoded once, for all three losses.
        net, labels = perceive(params.net, labels)
        z = inner_step(params.advantage, state.scale, explored)
        adapted = imitation_at(net, z, labels, config.imitation)
        own = own_loss(net, params.latents, labels, key, config)
        blind = blind_loss(at(net, jnp.zeros(z.shape[1])), labels, config.imitation)
        parts = {"loss/imitation": adapted, "loss/own": own, "loss/blind": blind}
        return adapted + own + config.blind_weight * blind, parts

    def step(carry: tuple, key: Key[Array, ""]) -> tuple[tuple, dict[str, Float[Array, ""]]]:
        params, opt_state = carry
        sample_key, noise_key = jax.random.split(key)
        labels = _labels(state.data, sample_key, config, augment)
        gradient, parts = jax.grad(loss, has_aux=True)(params, labels, noise_key)
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
        "policy/std": jnp.exp(params.net.log_std).mean(),
    }
    return state._replace(params=params, opt_state=opt_state, round=state.round + 1), metrics


def _labels(
    data: Aggregate, key: Key[Array, ""], config: GmpsLatentConfig, augment: Augment | None
) -> Demonstrations:
    labels = sample(data, config.labels, key)
    if augment is None:
        return labels
    return labels._replace(obs=augment(labels.obs, jax.random.fold_in(key, 1)))


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
    net = eqx.tree_at(lambda p: p.log_std, gradient.net, jnp.zeros_like(gradient.net.log_std))
    return gradient._replace(net=net)
