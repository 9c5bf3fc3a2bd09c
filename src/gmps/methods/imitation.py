"""Behaviour cloning (BC) of all experts, and the labels that it takes."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from gmps.core.choices import Imitation
from gmps.core.losses import imitation_loss
from gmps.core.nets import GaussianPolicy
from gmps.core.optimise import descend
from gmps.core.policy import Policy, encoded
from gmps.core.types import Demonstrations, Task, Trajectories
from gmps.data.aggregate import Aggregate, append, sample
from gmps.experts.base import Controller, label


def bc_loss(policy: Policy, labelled: Demonstrations, kind: Imitation) -> Float[Array, ""]:
    """Imitation loss of one policy for all tasks."""
    return head_bc_loss(policy.head, encoded(policy.encoder, labelled), kind)


def head_bc_loss(
    head: GaussianPolicy, labelled: Demonstrations, kind: Imitation
) -> Float[Array, ""]:
    """Imitation loss of one head for all tasks, on labelled features."""

    def one_task(labelled: Demonstrations) -> Float[Array, ""]:
        return imitation_loss(head, labelled.obs, labelled.act, labelled.valid, kind)

    return jax.vmap(one_task)(labelled).mean()


@partial(jax.jit, static_argnames=("steps", "learning_rate", "batch_size", "kind"))
def imitate(
    policy: Policy,
    data: Aggregate,
    key: Key[Array, ""],
    *,
    steps: int,
    learning_rate: float,
    batch_size: int,
    kind: Imitation,
) -> tuple[Policy, Float[Array, " step"]]:
    """Adam on the imitation loss to all experts' actions, `batch_size` of each task a step.

    Returns the policy and the loss of each step. The standard deviation keeps its value.
    """
    optimiser = optax.adam(learning_rate)

    def step(carry: tuple, key: Key[Array, ""]) -> tuple[tuple, Float[Array, ""]]:
        policy, opt_state = carry
        value, gradient = jax.value_and_grad(bc_loss)(policy, sample(data, batch_size, key), kind)
        return descend(optimiser, gradient, opt_state, policy), value

    start: Any = (policy, optimiser.init(policy))  # pyright: ignore[reportArgumentType]
    carry, losses = jax.lax.scan(step, start, jax.random.split(key, steps))
    return carry[0], losses


@partial(jax.jit, static_argnames="controller")
def label_visits(
    data: Aggregate, visited: Trajectories, tasks: Task, controller: Controller
) -> Aggregate:
    """The data with the experts' actions in the states visited in each task."""
    return append(data, label(controller, tasks, visited))


def shifted_visits(visited: Trajectories, others: int, key: Key[Array, ""]) -> list[Trajectories]:
    """Visits for other tasks' experts to label: the episodes of each task moved to `others` other
    tasks, at most to all of them."""
    shifts = 1 + jax.random.permutation(key, visited.alive.shape[0] - 1)[:others]
    return [jax.tree.map(partial(jnp.roll, shift=s, axis=0), visited) for s in shifts]
