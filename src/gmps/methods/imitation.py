"""Imitation of all experts without the task parameter."""

from functools import partial
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from gmps.core.losses import Imitation, imitation_loss
from gmps.core.nets import GaussianPolicy
from gmps.core.optimise import descend
from gmps.core.types import Demonstrations, Task, Trajectories
from gmps.core.vision import VisionPolicy, perceive
from gmps.data.aggregate import Aggregate, append, sample
from gmps.experts.base import Controller, label

Imitator = TypeVar("Imitator", GaussianPolicy, VisionPolicy)
#: Smallest scale of an observation: coordinates that never move are not blown up.
MIN_OBS_STD = 0.03


def normalised(policy: GaussianPolicy, demos: Demonstrations) -> GaussianPolicy:
    """The policy with its inputs shifted and scaled to the experts' observations."""
    weight = demos.valid[..., None] / demos.valid.sum()
    mean = jnp.sum(demos.obs * weight, (0, 1))
    std = jnp.sqrt(jnp.sum((demos.obs - mean) ** 2 * weight, (0, 1)))
    return eqx.tree_at(
        lambda p: (p.obs_mean, p.obs_std), policy, (mean, jnp.maximum(std, MIN_OBS_STD))
    )


def rescaled(policy: Imitator, demos: Demonstrations) -> Imitator:
    """The same function, its head's inputs shifted and scaled to the features of `demos`.

    One step size then suits all of them. Features change as the convolutions learn, so this is
    done again after imitation. Observations do not, and a policy of these stays as it is.
    """
    if isinstance(policy, VisionPolicy):
        return _rescaled(policy, demos)
    return policy


@jax.jit
def _rescaled(policy: VisionPolicy, demos: Demonstrations) -> VisionPolicy:
    head, seen = perceive(policy, demos)
    scaled = normalised(head, seen)
    first, size = head.weights[0], head.obs_mean.shape[0]
    moved = (scaled.obs_mean - head.obs_mean) / head.obs_std
    weight = first.at[:size].multiply((scaled.obs_std / head.obs_std)[:, None])
    bias = head.biases[0] + moved @ first[:size]
    scaled = eqx.tree_at(lambda p: (p.weights[0], p.biases[0]), scaled, (weight, bias))
    return VisionPolicy(policy.encoder, scaled)


def blind_loss(
    policy: GaussianPolicy | VisionPolicy, labels: Demonstrations, kind: Imitation
) -> Float[Array, ""]:
    """Imitation loss of one policy for all tasks."""
    policy, labels = perceive(policy, labels)
    one_task = lambda d: imitation_loss(policy, d.obs, d.act, d.valid, kind)  # noqa: E731
    return jax.vmap(one_task)(labels).mean()


@partial(jax.jit, static_argnames=("steps", "learning_rate", "labels", "kind"))
def imitate(
    policy: Imitator,
    data: Aggregate,
    key: Key[Array, ""],
    *,
    steps: int,
    learning_rate: float,
    labels: int,
    kind: Imitation,
) -> tuple[Imitator, Float[Array, " step"]]:
    """Adam on the imitation loss to all experts' actions, `labels` of each task a step.

    Returns the policy and the loss of each step. The standard deviation keeps its value.
    """
    optimiser = optax.adam(learning_rate)

    def step(carry: tuple, key: Key[Array, ""]) -> tuple[tuple, Float[Array, ""]]:
        policy, opt_state = carry
        value, gradient = jax.value_and_grad(blind_loss)(policy, sample(data, labels, key), kind)
        return descend(optimiser, gradient, opt_state, policy), value

    start: Any = (policy, optimiser.init(policy))  # pyright: ignore[reportArgumentType]
    carry, losses = jax.lax.scan(step, start, jax.random.split(key, steps))
    return carry[0], losses


@partial(jax.jit, static_argnames="controller")
def add_labels(
    data: Aggregate, visited: Trajectories, tasks: Task, controller: Controller
) -> Aggregate:
    """The data with the experts' actions in the states visited in each task."""
    return append(data, label(controller, tasks, visited))


def elsewhere(visited: Trajectories, others: int, key: Key[Array, ""]) -> list[Trajectories]:
    """The episodes of each task moved to `others` other tasks, at most all of them."""
    shifts = 1 + jax.random.permutation(key, visited.alive.shape[0] - 1)[:others]
    return [jax.tree.map(partial(jnp.roll, shift=s, axis=0), visited) for s in shifts]
