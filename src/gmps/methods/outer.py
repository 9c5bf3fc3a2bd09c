"""Outer steps that raise the return of each task's policy: TRPO, or clipped surrogates (PPO).

A caller says how the policies of all tasks follow from the parameters; what it learns may be one
policy for all, or what an inner step starts from.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from gmps.core.losses import InnerBatch
from gmps.core.nets import GaussianPolicy
from gmps.core.optimise import descend, over_tasks
from gmps.core.surrogates import (
    ActionDistributions,
    action_distributions,
    clipped_surrogate,
    fisher_product,
    mean_kl,
    surrogate_loss,
)
from gmps.core.trust_region import natural_step
from gmps.core.trust_region_settings import TrustRegionConfig
from gmps.errors import GmpsError
from gmps.methods.outer_settings import Outer, PpoConfig

P = TypeVar("P")
Metrics = dict[str, Float[Array, ""]]


def check_outer(outer: str) -> None:
    """Raise GmpsError unless `outer` is an outer step."""
    if outer not in ("trpo", "ppo"):
        raise GmpsError(f"outer is {outer!r}; it must be 'trpo' or 'ppo'.")


def start_optimiser(outer: Outer, config: PpoConfig, params: Any) -> optax.OptState:
    """State of the outer optimiser: Adam's for `ppo`, none for `trpo`."""
    check_outer(outer)
    return optax.adam(config.learning_rate).init(params) if outer == "ppo" else ()


def trpo_step(
    policies: Callable[[P], GaussianPolicy],
    params: P,
    learned: PyTree[bool],
    batch: InnerBatch,
    config: TrustRegionConfig,
    penalty: Callable[[P], Float[Array, ""]] = lambda _: jnp.zeros(()),
) -> tuple[P, Metrics]:
    """One trust-region step on the mean over tasks of `-mean_t[r_t A_t]`, plus a penalty.

    The KL that it limits is that of the tasks' own policies, old to new, in the states of `batch`;
    for a meta-learner these are the policies after the inner step.

    Args:
        policies: from the parameters to the policies of all tasks, leaves `(task, ...)`.
        params: the parameters.
        learned: a tree like `params`: which leaves the step may change.
        batch: on-policy episodes of `policies(params)`, leaves `(task, ep, t, ...)`.
        config: settings of the step.
        penalty: added to the loss, not to the KL.
    """
    free, fixed = eqx.partition(params, learned)
    start, unravel = ravel_pytree(free)
    whole: Callable[[Array], P] = lambda x: eqx.combine(unravel(x), fixed)  # noqa: E731
    cost: Callable[[Array], Array] = lambda x: penalty(whole(x))  # noqa: E731

    def actions(x: Array) -> ActionDistributions:
        return over_tasks(action_distributions, policies(whole(x)), batch.obs, batch.alive)

    def surrogate(actions: ActionDistributions) -> Array:
        return jax.vmap(surrogate_loss)(actions, batch).mean()

    old, forward = jax.linearize(actions, start)
    backward = jax.linear_transpose(forward, start)

    def product(v: Array) -> Array:
        informed = jax.vmap(fisher_product)(old, forward(v), batch.alive)
        return backward(jax.tree.map(lambda x: x / batch.alive.shape[0], informed))[0]

    def evaluate(x: Array) -> tuple[Array, Array]:
        new = actions(x)
        return surrogate(new) + cost(x), jax.vmap(mean_kl)(old, new, batch.alive).mean()

    loss, cotangent = jax.value_and_grad(surrogate)(old)
    extra, extra_gradient = jax.value_and_grad(cost)(start)
    loss, gradient = loss + extra, backward(cotangent)[0] + extra_gradient
    stepped, found = natural_step(start, loss, gradient, product, evaluate, config)
    metrics = {
        "loss/surrogate": found.loss_before,
        "outer/gain": found.loss_before - found.loss,
        "outer/kl": found.kl,
        "outer/share": found.share,
        "outer/accepted": found.accepted,
    }
    return whole(stepped), metrics


def ppo_steps(
    policies: Callable[[P], GaussianPolicy],
    params: P,
    learned: PyTree[bool],
    batch: InnerBatch,
    config: PpoConfig,
    opt_state: optax.OptState,
    penalty: Callable[[P], Float[Array, ""]] = lambda _: jnp.zeros(()),
) -> tuple[P, optax.OptState, Metrics]:
    """`clipped_steps` of policies of single observations. Arguments as for `trpo_step`."""

    def actions(params: P) -> ActionDistributions:
        return jax.vmap(action_distributions)(policies(params), batch.obs, batch.alive)

    return clipped_steps(actions, params, learned, batch, config, opt_state, penalty)


def clipped_steps(
    actions: Callable[[P], ActionDistributions],
    params: P,
    learned: PyTree[bool],
    batch: InnerBatch,
    config: PpoConfig,
    opt_state: optax.OptState,
    penalty: Callable[[P], Float[Array, ""]] = lambda _: jnp.zeros(()),
) -> tuple[P, optax.OptState, Metrics]:
    """Adam steps on the mean over tasks of the clipped surrogate, plus a penalty.

    `actions` says what the policies of all tasks do in the steps of `batch`, leaves `(task, ...)`;
    the other arguments are as for `trpo_step`. Returns the parameters, the optimiser's new state
    and figures.
    """
    optimiser = optax.adam(config.learning_rate)
    old = actions(params)

    def loss(params: P) -> Float[Array, ""]:
        clipped = partial(clipped_surrogate, clip=config.clip)
        return jax.vmap(clipped)(actions(params), batch).mean() + penalty(params)

    def step(carry: tuple, _: None) -> tuple[tuple, Float[Array, ""]]:
        params, opt_state = carry
        value, gradient = jax.value_and_grad(loss)(params)
        gradient = jax.tree.map(lambda g, on: g if on else jnp.zeros_like(g), gradient, learned)
        params, opt_state = descend(optimiser, gradient, opt_state, params)
        return (params, opt_state), value

    (params, opt_state), values = jax.lax.scan(step, (params, opt_state), length=config.steps)
    metrics = {
        "loss/surrogate": values[0],
        "outer/gain": values[0] - loss(params),
        "outer/kl": jax.vmap(mean_kl)(old, actions(params), batch.alive).mean(),
    }
    return params, opt_state, metrics
