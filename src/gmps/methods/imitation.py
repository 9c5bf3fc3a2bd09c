"""Behaviour cloning (BC) of all experts, and the labels that it takes."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from gmps.core.choices import Imitation
from gmps.core.losses import imitation_loss
from gmps.core.nets import GaussianPolicy
from gmps.core.optimise import descend, keys_of_steps
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
    # One program, whatever the number of steps.
    keys = keys_of_steps(key, steps)
    policy, losses = _imitated(policy, data, keys, steps, learning_rate, batch_size, kind)
    return policy, losses[:steps]


@partial(jax.jit, static_argnames=("learning_rate", "batch_size", "kind"))
def _imitated(
    policy: Policy,
    data: Aggregate,
    keys: Key[Array, " room"],
    steps: Int[Array, ""],
    learning_rate: float,
    batch_size: int,
    kind: Imitation,
) -> tuple[Policy, Float[Array, " room"]]:
    optimiser = optax.adam(learning_rate)

    def step(i: Int[Array, ""], carry: tuple) -> tuple:
        policy, opt_state, losses = carry
        labelled = sample(data, batch_size, keys[i])
        value, gradient = jax.value_and_grad(bc_loss)(policy, labelled, kind)
        return *descend(optimiser, gradient, opt_state, policy), losses.at[i].set(value)

    start: Any = (policy, optimiser.init(policy), jnp.zeros(len(keys)))  # pyright: ignore[reportArgumentType]
    policy, _, losses = jax.lax.fori_loop(0, steps, step, start)
    return policy, losses


def label_visits(
    data: Aggregate, sources: Iterable[Trajectories], tasks: Task, controller: Controller
) -> Aggregate:
    """The data with the experts' actions in the states visited in each task, one source after the
    other. `data` itself stays whole: a state that holds it may yet be saved."""
    data = jax.tree.map(jnp.copy, data)
    for visited in sources:
        data = _appended(data, visited, tasks, controller)
    return data


# Pictures of labels take hundreds of megabytes: no source copies them.
@partial(jax.jit, static_argnames="controller", donate_argnames="data")
def _appended(
    data: Aggregate, visited: Trajectories, tasks: Task, controller: Controller
) -> Aggregate:
    return append(data, label(controller, tasks, visited))


def first_episodes(visited: Trajectories, n: int) -> Trajectories:
    """The first `n` episodes of each task, apart from the others, which may be let go of."""
    frames = None if visited.frames is None else visited.frames[:, :n].copy()
    return _first_episodes(visited._replace(frames=None), n)._replace(frames=frames)


@partial(jax.jit, static_argnames="n")
def _first_episodes(visited: Trajectories, n: int) -> Trajectories:
    return jax.tree.map(lambda x: x[:, :n], visited)


@partial(jax.jit, static_argnames="others")
def shifted_visits(visited: Trajectories, others: int, key: Key[Array, ""]) -> list[Trajectories]:
    """Visits for other tasks' experts to label: the episodes of each task moved to `others` other
    tasks, at most to all of them."""
    shifts = 1 + jax.random.permutation(key, visited.alive.shape[0] - 1)[:others]
    return [jax.tree.map(partial(jnp.roll, shift=s, axis=0), visited) for s in shifts]
