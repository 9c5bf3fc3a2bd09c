"""What GMPS learns where a latent tells tasks apart: imitation at own and at inferred latents.

The inner step is a function of its own: `gmps_latent` moves the latent by a policy gradient, and
`in_context` reads it off the episodes.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from gmps.core.choices import Imitation
from gmps.core.losses import imitation_loss
from gmps.core.nets import GaussianPolicy
from gmps.core.optimise import descend, keys_of_steps
from gmps.core.policy import Policy, encoded
from gmps.core.types import Demonstrations
from gmps.data.aggregate import Aggregate, sample
from gmps.methods.episode_advantage import RewardScale
from gmps.methods.gmps_latent_settings import LatentSettings
from gmps.methods.imitation import head_bc_loss
from gmps.methods.latent import Latent, prior_kl
from gmps.methods.practice import Practice, practice_loss
from gmps.tasks.base import Augment

Metrics = dict[str, Float[Array, ""]]
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
    #: What the inner step is made of: the advantage of an episode, or a reader of them all.
    advantage: Any


class Explored(NamedTuple):
    """What the inner step needs of the episodes of each task. No gradient enters it."""

    #: Rewards, summed over segments of the episode.
    rewards: Float[Array, "task ep segment"]
    #: The noise e of each episode's z.
    noise: Float[Array, "task ep z"]
    #: Steps at the adapted and at the own latents, where the learner practises.
    adapted: Practice | None = None
    own: Practice | None = None
    #: The episodes as a transformer reads them, where one does.
    trial: Float[Array, "task ep part token"] | None = None


#: The inner step: from what it has learned, the scale of rewards, a round's episodes and a key to
#: latents of the tasks. Several are inferred from more and fewer episodes, those from all of the
#: exploring ones first.
Infer = Callable[[Any, RewardScale, Explored, Key[Array, ""]], Float[Array, "place task z"]]


def start_latents(tasks: int, size: int, key: Key[Array, ""]) -> Latent:
    """The tasks' own latents before imitation: all near the prior's mean, and narrower than it."""
    shape = (tasks, size)
    return Latent(
        0.1 * jax.random.normal(key, shape, jnp.float32), jnp.full(shape, -1.0, jnp.float32)
    )


def own_loss(
    head: GaussianPolicy,
    latents: Latent,
    labelled: Demonstrations,
    key: Key[Array, ""],
    config: LatentSettings,
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


def imitate_own(
    params: LatentParams,
    data: Aggregate,
    key: Key[Array, ""],
    config: LatentSettings,
    augment: Augment | None,
) -> LatentParams:
    """The start: imitation with each task's own latent. The advantage is left as it is."""
    steps = config.pretrain_steps
    # One program, whatever the number of steps and the advantage.
    learned = params._replace(advantage=())
    any_number = replace(config, pretrain_steps=0)
    learned = _imitated(learned, data, keys_of_steps(key, steps), steps, any_number, augment)
    return learned._replace(advantage=params.advantage)


@partial(jax.jit, static_argnames=("config", "augment"))
def _imitated(
    params: LatentParams,
    data: Aggregate,
    keys: Key[Array, " room"],
    steps: Int[Array, ""],
    config: LatentSettings,
    augment: Augment | None,
) -> LatentParams:
    optimiser = optimiser_of(config)

    def loss(
        params: LatentParams, labelled: Demonstrations, key: Key[Array, ""]
    ) -> Float[Array, ""]:
        shown = encoded(params.net.encoder, labelled)
        return own_loss(params.net.head, params.latents, shown, key, config)

    def step(i: Int[Array, ""], carry: tuple) -> tuple:
        params, opt_state = carry
        sample_key, noise_key = jax.random.split(keys[i])
        labelled = _labelled(data, sample_key, config, augment)
        gradient = _fixed_std(jax.grad(loss)(params, labelled, noise_key))
        return descend(optimiser, gradient, opt_state, params)

    start: Any = (params, optimiser.init(params))  # pyright: ignore[reportArgumentType]
    return jax.lax.fori_loop(0, steps, step, start)[0]


def outer_steps(
    params: LatentParams,
    opt_state: optax.OptState,
    data: Aggregate,
    scale: RewardScale,
    explored: Explored,
    key: Key[Array, ""],
    config: LatentSettings,
    augment: Augment | None,
    infer: Infer,
) -> tuple[LatentParams, optax.OptState, Metrics]:
    """Steps of Adam on the same episodes; returns figures for the log."""
    optimiser = optimiser_of(config)

    def loss(
        params: LatentParams, labelled: Demonstrations, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], Metrics]:
        # Pictures are encoded once, for all three losses.
        head, shown = params.net.head, encoded(params.net.encoder, labelled)
        inferred = infer(params.advantage, scale, explored, jax.random.fold_in(key, 2))
        # Tasks without labels come last.
        n = shown.act.shape[0]
        at = [latent_bc_loss(head, z[:n], shown, config.imitation) for z in inferred]
        z, adapted = inferred[0], sum(at[1:], at[0]) / len(at)
        own = own_loss(head, params.latents, shown, key, config)
        at_prior = replace(head, bias_transform=jnp.zeros(z.shape[1]))
        before = head_bc_loss(at_prior, shown, config.imitation)
        parts = {"loss/imitation": adapted, "loss/own": own, "loss/blind": before}
        total = config.imitation_weight * (adapted + own + config.blind_weight * before)
        if explored.adapted is not None and explored.own is not None:
            keys = jax.random.split(jax.random.fold_in(key, 1))
            steps, latents = PRACTICE_STEPS, params.latents.mean
            earned = practice_loss(head, z, explored.adapted, steps, keys[0])
            earned += practice_loss(head, latents, explored.own, steps, keys[1])
            parts["loss/practice"] = earned
            total += config.practice * earned
        return total, parts

    def step(carry: tuple, key: Key[Array, ""]) -> tuple[tuple, Metrics]:
        params, opt_state = carry
        sample_key, noise_key = jax.random.split(key)
        labelled = _labelled(data, sample_key, config, augment)
        gradient, parts = jax.grad(loss, has_aux=True)(params, labelled, noise_key)
        return descend(optimiser, _fixed_std(gradient), opt_state, params), parts

    carry, parts = jax.lax.scan(
        step, (params, opt_state), jax.random.split(key, config.outer_steps)
    )
    params, opt_state = carry
    move = infer(params.advantage, scale, explored, jax.random.fold_in(key, 2))[0]
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
    return params, opt_state, metrics


def _labelled(
    data: Aggregate, key: Key[Array, ""], config: LatentSettings, augment: Augment | None
) -> Demonstrations:
    labelled = sample(data, config.labels, key)
    if augment is None:
        return labelled
    return labelled._replace(obs=augment(labelled.obs, jax.random.fold_in(key, 1)))


def optimiser_of(config: LatentSettings) -> optax.GradientTransformation:
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
