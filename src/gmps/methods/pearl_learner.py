"""What PEARL learns, apart from the method: context encoder, posterior, actor, and SAC steps."""

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key

from gmps.core.dist import gaussian_kl
from gmps.core.optimise import descend
from gmps.core.policy import Policy
from gmps.core.types import Demonstrations, tree_index
from gmps.data.aggregate import Aggregate, sample
from gmps.errors import GmpsError
from gmps.experts.replay import Batch, Replay, locate, take
from gmps.experts.sac import (
    Mlp,
    Moments,
    SacActorNet,
    SacState,
    actions,
    actor_net,
    heads,
    init_sac,
    squash,
    values,
)
from gmps.methods.latent import EpisodeLatentActor, Latent, prior
from gmps.methods.pearl_settings import PearlConfig
from gmps.tasks.base import Spec

#: Smallest standard deviation of a factor, and smallest scale of a reward in the encoder's input.
_MIN_STD, _MIN_SCALE = 1e-3, 0.03


class PearlPolicy(eqx.Module):
    """An actor of `[observation, z]`, and what is known of the task's latent z.

    Before adaptation z is N(0, I).
    """

    net: SacActorNet
    latent: Latent
    #: Standard deviation of the actions about their middle, of the last update.
    std: Float[Array, " act"]

    @property
    def action_std(self) -> Float[Array, " act"]:
        """Root mean square of the actions' distance from their middle, over the states of the last
        update: the standard deviation of a SAC actor depends on the state."""
        return self.std

    def with_std(self, std: Float[Array, " act"]) -> Self:
        """The policy as it is: adaptation leaves the actor and its noise alone."""
        del std
        return self

    def export(self) -> Policy:
        """None is handed on.

        Raises:
            GmpsError: always.
        """
        raise GmpsError(
            "A policy of pearl is not Gaussian, its actions pass a tanh and their noise depends on "
            "the state, so it is neither written nor certified; use `gmps eval` or `gmps render`."
        )


@dataclass(frozen=True)
class PearlActor(EpisodeLatentActor):
    """Runs a `PearlPolicy`. Without noise it takes the mean of the action before the tanh."""

    def act(
        self,
        params: PearlPolicy,
        obs: Float[Array, " obs"],
        of_latent: Float[Array, " z"],
        of_act: Float[Array, " act"],
    ) -> tuple[Float[Array, " act"], Float[Array, ""]]:
        """The action in (-1, 1) and its log density, given z."""
        mean, log_std = params.latent
        z = mean + jnp.exp(log_std) * of_latent
        mean, log_std = params.net(jnp.concatenate([obs, z]))
        return squash(mean, log_std, of_act)


def product(
    prior: Latent,
    mean: Float[Array, "n latent"],
    std: Float[Array, "n latent"],
    valid: Bool[Array, " n"],
) -> Latent:
    """The Gaussian proportional to the prior times all valid factors N(mean, diag(std^2)).

    Precisions add up, and so do means times precisions.
    """
    # Not by multiplication: nothing in a step that is no evidence may count, whatever it holds.
    kept = functools.partial(jnp.where, valid[:, None])
    own = jnp.exp(-2 * prior.log_std)
    total = own + kept(std**-2, 0).sum(0)
    pull = own * prior.mean + kept(mean * std**-2, 0).sum(0)
    return Latent(pull / total, -0.5 * jnp.log(total))


class PearlLearner(NamedTuple):
    """Everything that gradient steps change, and the moments that scale their inputs."""

    #: Actor, critics and temperature; `moments` are those of `[observation, z]`, z as it is.
    sac: SacState
    encoder: Mlp
    #: Moments of the reward, `(1,)`.
    reward: Moments


class Data(NamedTuple):
    """What gradient steps draw from; a leading `task` axis."""

    #: All stored episodes, for actor and critics.
    replay: Replay
    #: The newest ones, for the encoder.
    context: Replay


def init_learner(key: Key[Array, ""], config: PearlConfig, spec: Spec) -> PearlLearner:
    """A learner before its first step."""
    key_sac, key_encoder = jax.random.split(key)
    sac = init_sac(key_sac, config.sac, spec.obs_size, config.latent, spec.act_size)
    inputs = spec.obs_size * (1 + config.next_obs) + spec.act_size + 1
    encoder = Mlp(key_encoder, (inputs, *config.sac.hidden, 2 * config.latent), False)
    opt_state = _optimiser(config).init(_learned(sac, encoder))
    moments = Moments(jnp.zeros(()), jnp.zeros(1), jnp.ones(1))
    return PearlLearner(sac._replace(opt_state=opt_state), encoder, moments)


def factors(
    encoder: Mlp,
    learner: PearlLearner,
    obs: Float[Array, "n obs"],
    act: Float[Array, "n act"],
    reward: Float[Array, " n"],
    next_obs: Float[Array, "n obs"] | None,
) -> tuple[Float[Array, "n latent"], Float[Array, "n latent"]]:
    """Mean and standard deviation of each transition's factor.

    Observations are shifted and scaled as the actor's, rewards by their own moments; of the next
    observation the encoder is shown the change.
    """
    net = actor_net(learner.sac)
    size = obs.shape[-1]
    mean, scale = net.mean[:size], net.scale[:size]
    spread = jnp.maximum(jnp.sqrt(learner.reward.var), _MIN_SCALE)
    parts = [(obs - mean) / scale, act, (reward[:, None] - learner.reward.mean) / spread]
    if next_obs is not None:
        parts.append((next_obs - obs) / scale)
    middle, raw = jnp.split(jax.vmap(encoder)(jnp.concatenate(parts, -1)), 2, -1)
    return middle, jax.nn.softplus(raw) + _MIN_STD


def posterior(
    encoder: Mlp, learner: PearlLearner, context: Batch, tasks: int, next_obs: bool
) -> Latent:
    """Each task's posterior from the unit prior; the rows of `context` are sorted by task."""
    after = context.next_obs if next_obs else None
    # One product of matrices for all tasks.
    found = factors(encoder, learner, context.obs, context.act, context.reward, after)
    mean, std = (x.reshape(tasks, -1, x.shape[-1]) for x in found)
    start = prior((tasks, mean.shape[-1]))
    return jax.vmap(product)(start, mean, std, jnp.ones(mean.shape[:2], bool))


def gradient_steps(
    config: PearlConfig,
    learner: PearlLearner,
    data: Data,
    key: Key[Array, ""],
    steps: int,
    labels: Aggregate | None = None,
) -> tuple[PearlLearner, dict[str, Float[Array, ""]], Float[Array, " act"]]:
    """So many steps; the actor imitates `labels`, where there are any, and asks no critic.

    Returns the learner, the mean of each figure, and the root mean square of the actions' distance
    from `tanh(mean)`.
    """
    replay, newest = _flat(data.replay), _flat(data.context)

    def one(learner: PearlLearner, key: Key[Array, ""]):
        key_batch, key_step = jax.random.split(key)
        tasks, context, batch = _batches(config, replay, newest, key_batch)
        shown = None
        if labels is not None:
            each = batch.reward.shape[0] // len(tasks)
            shown = tree_index(sample(labels, each, jax.random.fold_in(key_batch, 1)), tasks)
        return _step(config, learner, context, batch, key_step, shown)

    keys = jax.random.split(key, steps)
    learner, figures = jax.lax.scan(one, learner, keys)
    figures = jax.tree.map(lambda x: x.mean(0), figures)
    return learner, figures, jnp.sqrt(figures.pop("variance"))


class _Flat(NamedTuple):
    """A buffer without its task axis, and where each task's steps are."""

    replay: Replay
    ends: Int[Array, " capacity"]
    low: Int[Array, " task"]
    high: Int[Array, " task"]


def _flat(replay: Replay) -> _Flat:
    tasks, capacity = replay.length.shape
    flat = jax.tree.map(
        lambda x: x.reshape(tasks * capacity, *x.shape[2:]) if x.ndim > 1 else x, replay
    )
    ends = jnp.cumsum(flat.length)
    high = ends.reshape(tasks, capacity)[:, -1]
    return _Flat(flat, ends, jnp.concatenate([jnp.zeros(1, high.dtype), high[:-1]]), high)


def _batches(
    config: PearlConfig, replay: _Flat, context: _Flat, key: Key[Array, ""]
) -> tuple[Int[Array, " n"], Batch, Batch]:
    """A few tasks, and context and RL transitions of them, drawn apart; rows sorted by task."""
    count, n = replay.low.shape[0], min(config.meta_batch, replay.low.shape[0])
    sizes = count, n * config.context, config.sac.batch // n * n
    # One draw: several take several times as long to compile.
    order, *shares = jnp.split(
        jax.random.uniform(key, (sum(sizes),)), [sizes[0], sizes[0] + sizes[1]]
    )
    tasks = jnp.argsort(order)[:n]

    def rows(flat: _Flat, share: Float[Array, " n"], steps: int) -> Batch:
        low, high = flat.low[tasks][:, None], flat.high[tasks][:, None]
        drawn = low + (share.reshape(n, -1) * (high - low)).astype(jnp.int32)
        drawn = jnp.minimum(drawn, high - 1).reshape(-1)
        found = locate(flat.replay, flat.ends, drawn)
        return take(flat.replay, *found, steps, config.sac.discount)

    return tasks, rows(context, shares[0], 1), rows(replay, shares[1], config.sac.n_step)


def losses(
    config: PearlConfig,
    learner: PearlLearner,
    learned: Any,
    context: Batch,
    batch: Batch,
    key: Key[Array, ""],
) -> tuple[dict[str, Float[Array, ""]], dict[str, Array]]:
    """The losses by name, and figures. The total is their sum.

    Critics and encoder learn from `critic`, the encoder also from `kl`; the actor's loss moves
    neither, z is a number to it.

    Args:
        config: the settings.
        learner: where the targets and the scales come from.
        learned: actor, critics, log temperature and encoder; what is differentiated.
        context: rows sorted by task, as many of each.
        batch: the same.
        key: random key.
    """
    sac, n = config.sac, context.reward.shape[0] // config.context
    actor, critics, log_temperature, encoder = learned
    key_z, key_next, key_now = jax.random.split(key, 3)
    latent = posterior(encoder, learner, context, n, config.next_obs)
    noise = jax.random.normal(key_z, latent.mean.shape, jnp.float32)
    noise_next, noise_now = (jax.random.normal(k, batch.act.shape) for k in (key_next, key_now))
    z = latent.mean + jnp.exp(latent.log_std) * noise
    inputs, next_inputs = (_inputs(learner, obs, z) for obs in (batch.obs, batch.next_obs))
    fixed, next_fixed = jax.lax.stop_gradient((inputs, next_inputs))
    temperature = jnp.exp(learner.sac.log_temperature)
    next_act, next_log_prob = actions(learner.sac.actor, next_fixed, noise_next)
    next_value = values(learner.sac.targets, next_fixed, next_act).min(0)
    next_value = next_value - temperature * next_log_prob
    target = sac.reward_scale * batch.reward + batch.discount * next_value
    value = values(critics, inputs, batch.act)
    act, log_prob = actions(actor, fixed, noise_now)
    middle, _ = jax.vmap(functools.partial(heads, actor))(fixed)
    gain = values(jax.lax.stop_gradient(critics), fixed, act).min(0)
    entropy = -jax.lax.stop_gradient(log_prob).mean()
    kl = jax.vmap(gaussian_kl)(*latent, *prior(latent.mean.shape))
    parts = {
        "critic": jnp.mean((value - target) ** 2, 1).sum(),
        "actor": jnp.mean(temperature * log_prob - gain),
        "kl": config.kl_weight * kl.sum(),
    }
    if sac.temperature is None:
        excess = entropy - sac.target_entropy * batch.act.shape[-1]
        parts["temperature"] = log_temperature * excess
    figures = {
        **{f"loss/{name}": parts[name] for name in ("critic", "actor", "kl")},
        "latent/kl": kl.mean(),
        "latent/std": jnp.exp(latent.log_std).mean(),
        "latent/spread": latent.mean.std(0).mean(),
        "value": value.mean(),
        "entropy": entropy,
        "temperature": temperature,
        "variance": jnp.mean((act - jnp.tanh(middle)) ** 2, 0),
    }
    return parts, figures


def imitation_losses(
    config: PearlConfig,
    learner: PearlLearner,
    learned: Any,
    context: Batch,
    batch: Batch,
    shown: Demonstrations,
    key: Key[Array, ""],
) -> tuple[dict[str, Float[Array, ""]], dict[str, Array]]:
    """`losses` of a step before the first round: critics and encoder learn as ever, what the
    imitator's actions are worth; the actor from the experts' labels `shown`.

    An actor that imitated alone would soon be led astray by critics that know nothing.
    """
    parts, figures = losses(config, learner, learned, context, batch, key)
    actor, _, _, encoder = learned
    latent = posterior(encoder, learner, context, shown.act.shape[0], config.next_obs)
    noise = jax.random.normal(jax.random.fold_in(key, 1), latent.mean.shape, jnp.float32)
    # As in the actor's own loss z is a number.
    z = jax.lax.stop_gradient(latent.mean + jnp.exp(latent.log_std) * noise)
    seen = _inputs(learner, shown.obs.reshape(-1, shown.obs.shape[-1]), z)
    middle, _ = jax.vmap(functools.partial(heads, actor))(seen)
    error = jnp.tanh(middle) - shown.act.reshape(middle.shape)
    return {
        "critic": parts["critic"],
        "kl": parts["kl"],
        "actor": jnp.mean((error**2).sum(-1)),
    }, figures


def _inputs(
    learner: PearlLearner, obs: Float[Array, "b obs"], z: Float[Array, "task latent"]
) -> Float[Array, "b in"]:
    """Normalised input of actor and critics; the rows of `obs` are sorted by task."""
    net = actor_net(learner.sac)
    each = jnp.repeat(z, obs.shape[0] // z.shape[0], 0)
    return (jnp.concatenate([obs, each], -1) - net.mean) / net.scale


def _learned(sac: SacState, encoder: Mlp) -> Any:
    return sac.actor, sac.critics, sac.log_temperature, encoder


def _optimiser(config: PearlConfig) -> optax.GradientTransformation:
    return optax.adam(config.sac.learning_rate)


def _step(
    config: PearlConfig,
    learner: PearlLearner,
    context: Batch,
    batch: Batch,
    key: Key[Array, ""],
    shown: Demonstrations | None,
) -> tuple[PearlLearner, dict[str, Array]]:
    def total(learned: Any):
        of = (config, learner, learned, context, batch)
        found = losses(*of, key) if shown is None else imitation_losses(*of, shown, key)
        parts, figures = found
        return sum(parts.values(), jnp.zeros(())), figures

    learned, sac = _learned(learner.sac, learner.encoder), learner.sac
    gradient, figures = jax.grad(total, has_aux=True)(learned)
    learned, opt_state = descend(_optimiser(config), gradient, sac.opt_state, learned)
    actor, critics, log_temperature, encoder = learned
    rate = config.sac.polyak
    targets = jax.tree.map(lambda old, new: old + rate * (new - old), sac.targets, critics)
    sac = SacState(actor, critics, targets, log_temperature, opt_state, sac.moments)
    return learner._replace(sac=sac, encoder=encoder), figures
