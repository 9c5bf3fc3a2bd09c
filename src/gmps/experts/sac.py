"""Soft actor-critic on a task family: an expert that sees the task.

Haarnoja et al. 2018 (arXiv:1812.05905): tanh-Gaussian actor, twin critics with target networks,
temperature tuned to a target entropy or fixed. All updates between two collections are one
compiled scan.
"""

import functools
import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Key

from gmps.core.actors import Actor
from gmps.core.dist import gaussian_log_prob
from gmps.core.optimise import descend
from gmps.core.types import Task
from gmps.experts.replay import Batch, Replay, draw, take
from gmps.experts.sac_settings import SacConfig
from gmps.tasks.base import TaskFamily

#: Bounds of the actor's log standard deviation before the tanh.
LOG_STD = (-5.0, 2.0)
#: Weight of the value against imitation, alpha of Fujimoto & Gu 2021 (arXiv:2106.06860).
IMITATED = 2.5
#: Smallest scale of a normalised input.
_MIN_SCALE = 0.03


class Mlp(eqx.Module):
    """ReLU layers, each optionally followed by a layer normalisation before the ReLU."""

    layers: tuple[eqx.nn.Linear, ...]
    norms: tuple[eqx.nn.LayerNorm, ...]

    def __init__(self, key: Key[Array, ""], sizes: tuple[int, ...], layer_norm: bool):
        keys = jax.random.split(key, len(sizes) - 1)
        self.layers = tuple(
            eqx.nn.Linear(n_in, n_out, key=k)
            for n_in, n_out, k in zip(sizes[:-1], sizes[1:], keys, strict=True)
        )
        self.norms = tuple(eqx.nn.LayerNorm(n) for n in sizes[1:-1]) if layer_norm else ()

    def __call__(self, x: Float[Array, " _in"]) -> Float[Array, " _out"]:
        """The last layer's output."""
        return self.after_first(self.layers[0](x))

    def after_first(self, x: Float[Array, " _first"]) -> Float[Array, " _out"]:
        """The last layer's output, from the first layer's before normalisation and ReLU."""
        for i, layer in enumerate(self.layers[1:]):
            x = layer(jax.nn.relu(self.norms[i](x) if self.norms else x))
        return x


class SacActorNet(eqx.Module):
    """The actor with the normalisation of its input `[observation, context]`."""

    mlp: Mlp
    mean: Float[Array, " in"]
    scale: Float[Array, " in"]

    def __call__(self, seen: Float[Array, " in"]) -> tuple[Float[Array, " act"], ...]:
        """Mean and log standard deviation of the action before the tanh."""
        return heads(self.mlp, (seen - self.mean) / self.scale)


def heads(actor: Mlp, x: Float[Array, " in"]) -> tuple[Float[Array, " act"], ...]:
    """Mean and log standard deviation of the action before the tanh, for a normalised input."""
    mean, raw = jnp.split(actor(x), 2)
    low, high = LOG_STD
    return mean, low + (high - low) * 0.5 * (jnp.tanh(raw) + 1)


class Moments(NamedTuple):
    """Running mean and variance of the networks' input."""

    count: Float[Array, ""]
    mean: Float[Array, " in"]
    var: Float[Array, " in"]


class SacState(NamedTuple):
    """One learner."""

    actor: Mlp
    critics: tuple[Mlp, Mlp]
    targets: tuple[Mlp, Mlp]
    log_temperature: Float[Array, ""]
    opt_state: Any
    moments: Moments


def init_sac(
    key: Key[Array, ""], config: SacConfig, obs_size: int, context_size: int, act_size: int
) -> SacState:
    """A learner before its first step."""
    seen = obs_size + context_size
    key_actor, *key_critics = jax.random.split(key, 3)
    actor = Mlp(key_actor, (seen, *config.hidden, 2 * act_size), False)
    sizes = (seen + act_size, *config.hidden, 1)
    one, two = (Mlp(k, sizes, config.layer_norm) for k in key_critics)
    start = 1.0 if config.temperature is None else config.temperature
    log_temperature = jnp.log(jnp.asarray(max(start, 1e-8), jnp.float32))
    learned: Any = (actor, (one, two), log_temperature)
    opt_state = _optimiser(config).init(learned)
    moments = Moments(jnp.zeros(()), jnp.zeros(seen), jnp.ones(seen))
    return SacState(actor, (one, two), (one, two), log_temperature, opt_state, moments)


def actor_net(state: SacState) -> SacActorNet:
    """The actor as it is run."""
    scale = jnp.maximum(jnp.sqrt(state.moments.var), _MIN_SCALE)
    return SacActorNet(state.actor, state.moments.mean, scale)


def observe_inputs(moments: Moments, seen: Float[Array, "n in"], valid: Array) -> Moments:
    """Moments with the valid rows added (Chan et al. 1979)."""
    weight = valid.astype(jnp.float32)[:, None]
    n = weight.sum()
    mean = (weight * seen).sum(0) / n
    var = (weight * (seen - mean) ** 2).sum(0) / n
    total = moments.count + n
    gap = mean - moments.mean
    share = n / total
    return Moments(
        total,
        moments.mean + gap * share,
        (1 - share) * moments.var + share * var + share * (1 - share) * gap**2,
    )


@functools.partial(jax.jit, static_argnums=(0, 3))
def update(
    config: SacConfig,
    state: SacState,
    replay: Replay,
    steps: int,
    key: Key[Array, ""],
    shown: Replay | None = None,
    share: Float[Array, ""] | float = 1.0,
) -> tuple[SacState, dict[str, Float[Array, ""]]]:
    """`steps` gradient steps; returns the mean of each figure.

    With demonstrations `shown`, `share` of one half of each batch is theirs: with 1, symmetric
    sampling (Ball et al. 2023, arXiv:2302.02948, section 4.1). There the actor's loss has `share`
    times the squared distance of its mean action from theirs added, in the unit of the values
    (Fujimoto & Gu 2021, arXiv:2106.06860, equation 3).
    """
    half = config.batch // 2
    buffers = [(replay, config.batch)] + ([] if shown is None else [(shown, half)])
    ends = [jnp.cumsum(buffer.length) for buffer, _ in buffers]

    def chances(key: Key[Array, ""]):
        key_batch, *key_noise = jax.random.split(key, 3)
        noise = [jax.random.normal(k, (config.batch, replay.act.shape[-1])) for k in key_noise]
        keys = [key_batch, jax.random.fold_in(key_batch, 1)]
        places = [
            draw(buffer, end, n, k)
            for (buffer, n), end, k in zip(buffers, ends, keys, strict=False)
        ]
        theirs = jax.random.uniform(jax.random.fold_in(key_batch, 2), (half,)) < share
        return places, theirs, *noise

    def one(state: SacState, chance: Any):
        places, theirs, noise_next, noise_now = chance
        parts = [
            take(buffer, row, t, config.n_step, config.discount)
            for (buffer, _), (row, t) in zip(buffers, places, strict=True)
        ]
        batch, imitated = parts[0], None
        if shown is not None:
            batch = jax.tree.map(functools.partial(_instead, theirs), *parts)
            imitated = share * theirs
        return _step(config, state, batch, noise_next, noise_now, imitated)

    # All random numbers at once: one by one they take 4 % of a step on a CPU.
    state, figures = jax.lax.scan(one, state, jax.vmap(chances)(jax.random.split(key, steps)))
    return state, jax.tree.map(jnp.mean, figures)


def _instead(theirs: Bool[Array, " half"], own: Array, shown: Array) -> Array:
    """`own`, its first rows replaced by those of `shown` that are theirs."""
    rows = theirs.reshape(-1, *[1] * (own.ndim - 1))
    return own.at[: len(shown)].set(jnp.where(rows, shown, own[: len(shown)]))


def _step(
    config: SacConfig,
    state: SacState,
    batch: Batch,
    noise_next: Float[Array, "b act"],
    noise_now: Float[Array, "b act"],
    imitated: Float[Array, " half"] | None,
) -> tuple[SacState, dict[str, Float[Array, ""]]]:
    net = actor_net(state)
    normalise = lambda obs: (  # noqa: E731
        (jnp.concatenate([obs, batch.context], -1) - net.mean) / net.scale
    )
    seen, next_seen = normalise(batch.obs), normalise(batch.next_obs)
    temperature = jnp.exp(state.log_temperature)
    next_act, next_log_prob = actions(state.actor, next_seen, noise_next)
    next_value = values(state.targets, next_seen, next_act).min(0) - temperature * next_log_prob
    target = config.reward_scale * batch.reward + batch.discount * next_value

    def loss(learned):
        actor, critics, log_temperature = learned
        first = _first_layer(critics, seen, batch.act)
        value = _values_after(critics, first)
        critic_loss = jnp.mean((value - target) ** 2, 1).sum()
        mean, log_std = jax.vmap(functools.partial(heads, actor))(seen)
        act, log_prob = jax.vmap(squash)(mean, log_std, noise_now)
        # The actor's loss must not move the critics, nor the temperature.
        frozen, first = jax.lax.stop_gradient((critics, first))
        first = _move_actions(frozen, first, act - batch.act)
        earned = _values_after(frozen, first).min(0)
        actor_loss = jnp.mean(temperature * log_prob - earned)
        if imitated is not None:
            shown = slice(len(imitated))
            gap = ((jnp.tanh(mean[shown]) - batch.act[shown]) ** 2).sum(-1)
            unit = jax.lax.stop_gradient(jnp.abs(earned).mean()) / IMITATED
            actor_loss += unit * (imitated * gap).mean()
        entropy = -jax.lax.stop_gradient(log_prob).mean()
        excess = entropy - config.target_entropy * batch.act.shape[-1]
        temperature_loss = log_temperature * excess if config.temperature is None else 0.0
        figures = {
            "loss/critic": critic_loss,
            "loss/actor": actor_loss,
            "value": value.mean(),
            "entropy": entropy,
            "temperature": temperature,
        }
        return critic_loss + actor_loss + temperature_loss, figures

    learned = (state.actor, state.critics, state.log_temperature)
    gradient, figures = jax.grad(loss, has_aux=True)(learned)
    learned, opt_state = descend(_optimiser(config), gradient, state.opt_state, learned)
    actor, critics, log_temperature = learned
    targets = jax.tree.map(
        lambda old, new: old + config.polyak * (new - old), state.targets, critics
    )
    new = SacState(actor, critics, targets, log_temperature, opt_state, state.moments)
    return new, figures


def _optimiser(config: SacConfig) -> optax.GradientTransformation:
    return optax.adam(config.learning_rate)


def values(
    critics: tuple[Mlp, Mlp], seen: Float[Array, "b in"], act: Float[Array, "b act"]
) -> Float[Array, "2 b"]:
    """Both critics' values of actions, for normalised inputs."""
    return _values_after(critics, _first_layer(critics, seen, act))


def _first_layer(
    critics: tuple[Mlp, Mlp], seen: Float[Array, "b in"], act: Float[Array, "b act"]
) -> list[Float[Array, "b hidden"]]:
    """What the critics' first layers return, before normalisation and ReLU."""
    x = jnp.concatenate([seen, act], -1)
    return [jax.vmap(critic.layers[0])(x) for critic in critics]


def _move_actions(
    critics: tuple[Mlp, Mlp], first: list[Float[Array, "b hidden"]], by: Float[Array, "b act"]
) -> list[Float[Array, "b hidden"]]:
    """`_first_layer` after the actions have moved: cheaper, as the observations stay."""
    each = zip(critics, first, strict=True)
    return [h + by @ critic.layers[0].weight[:, -by.shape[-1] :].T for critic, h in each]


def _values_after(
    critics: tuple[Mlp, Mlp], first: list[Float[Array, "b hidden"]]
) -> Float[Array, "2 b"]:
    """The critics' values, from what their first layers return."""
    each = zip(critics, first, strict=True)
    return jnp.stack([jax.vmap(critic.after_first)(h)[:, 0] for critic, h in each])


def actions(
    actor: Mlp, seen: Float[Array, "b in"], noise: Float[Array, "b act"]
) -> tuple[Float[Array, "b act"], Float[Array, " b"]]:
    """Actions and log densities for normalised inputs."""
    mean, log_std = jax.vmap(functools.partial(heads, actor))(seen)
    return jax.vmap(squash)(mean, log_std, noise)


def squash(
    mean: Float[Array, " act"], log_std: Float[Array, " act"], noise: Float[Array, " act"]
) -> tuple[Float[Array, " act"], Float[Array, ""]]:
    """`tanh(mean + std * noise)` and its log density."""
    raw = mean + jnp.exp(log_std) * noise
    # log(1 - tanh(x)^2) = 2 (log 2 - x - softplus(-2 x)), without cancellation.
    volume = 2 * (math.log(2) - raw - jax.nn.softplus(-2 * raw)).sum()
    return jnp.tanh(raw), gaussian_log_prob(raw, mean, log_std) - volume


@dataclass(frozen=True)
class SacActor(Actor):
    """Runs a `SacActorNet` on `[observation, context]`; `stochastic=False` takes tanh(mean)."""

    family: TaskFamily
    stochastic: bool = True

    @property
    def noise_size(self) -> int:
        """One normal number for each action dimension."""
        return self.family.spec.act_size

    def __call__(
        self,
        params: SacActorNet,
        task: Task,
        obs: Float[Array, " obs"],
        noise: Float[Array, " noise"],
    ) -> tuple[Float[Array, " act"], Float[Array, ""]]:
        """The action in (-1, 1) and its log density."""
        mean, log_std = params(jnp.concatenate([obs, self.family.context(task)]))
        return squash(mean, log_std, noise if self.stochastic else jnp.zeros_like(noise))
