"""The meta-objective over a batch of tasks and its gradient, through the inner steps.

`meta_loss` is the definition. `meta_value_and_grad` computes its value and gradient faster than
differentiating it would, in three ways:

- Reverse mode by hand over the inner steps. With `phi' = phi - alpha g(phi)` and the cotangent `v`
  of `phi'`, that of `phi` is `v - H(alpha v)`: the Hessian `H` is symmetric, so one forward-mode
  product serves, on the activations that the gradient `g` has computed already.
- Samples are columns. Every product of the forward and the backward pass, and of their tangents,
  is then one that CPU matrix kernels run near their peak, without a transposed copy.
- On a CPU the tasks are taken one after another, so that a task's activations stay in cache;
  elsewhere all at once.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmps.core.adapt import StepSizes, adapt, gradient_step
from gmps.core.columns import inner_objective, outer_objective
from gmps.core.losses import Imitation, InnerBatch, imitation_loss
from gmps.core.nets import GaussianPolicy, Subset, subset_mask
from gmps.core.types import Demonstrations


class MetaParams(NamedTuple):
    """What the outer loop learns."""

    policy: GaussianPolicy
    step_sizes: StepSizes


def meta_loss(
    params: MetaParams,
    batches: tuple[InnerBatch, ...],
    demos: Demonstrations,
    *,
    subset: Subset = "all",
    first_order: bool = False,
    imitation: Imitation = "mse",
) -> tuple[Float[Array, ""], Float[Array, " task"]]:
    """Mean over tasks of the imitation loss after the inner steps (GMPS, eq. 3), and each task's.

    Every leaf of `batches` and `demos` has a leading `task` axis.
    """

    def one_task(batches: tuple[InnerBatch, ...], demos: Demonstrations) -> Float[Array, ""]:
        adapted = adapt(
            params.policy, params.step_sizes, batches, subset=subset, first_order=first_order
        )
        return imitation_loss(adapted, demos.obs, demos.act, demos.valid, imitation)

    losses = jax.vmap(one_task)(batches, demos)
    return losses.mean(), losses


def meta_value_and_grad(
    params: MetaParams,
    batches: tuple[InnerBatch, ...],
    demos: Demonstrations,
    *,
    subset: Subset = "all",
    first_order: bool = False,
    imitation: Imitation = "mse",
) -> tuple[tuple[Float[Array, ""], Float[Array, " task"]], MetaParams]:
    """`((loss, loss of each task), gradient)` of `meta_loss` with respect to `params`.

    Call it under `jax.jit`: what a subset leaves unused is dropped there. Not differentiable
    itself.
    """
    value, gradient, _ = _value_and_grads(
        params, batches, demos, subset, first_order, imitation, False
    )
    return value, gradient


def meta_value_and_grads(
    params: MetaParams,
    batches: tuple[InnerBatch, ...],
    demos: Demonstrations,
    *,
    subset: Subset = "all",
    first_order: bool = False,
    imitation: Imitation = "mse",
) -> tuple[tuple[Float[Array, ""], Float[Array, " task"]], MetaParams, Float[Array, "task n obs"]]:
    """As `meta_value_and_grad`, and also the gradient with respect to `demos.obs`: for what these
    observations were computed from. The inner batches are data."""
    value, gradient, obs_gradient = _value_and_grads(
        params, batches, demos, subset, first_order, imitation, True
    )
    assert obs_gradient is not None
    return value, gradient, obs_gradient


def _value_and_grads(
    params: MetaParams,
    batches: tuple[InnerBatch, ...],
    demos: Demonstrations,
    subset: Subset,
    first_order: bool,
    imitation: Imitation,
    with_obs: bool,
) -> tuple[
    tuple[Float[Array, ""], Float[Array, " task"]], MetaParams, Float[Array, "task n obs"] | None
]:
    """Means over tasks: value, gradient, and if wanted the gradient of the observations."""

    def one_task(
        batches: tuple[InnerBatch, ...], demos: Demonstrations
    ) -> tuple[Float[Array, ""], MetaParams, Array | None]:
        return _task_value_and_grad(
            params, batches, demos, subset, first_order, imitation, with_obs
        )

    def in_turn(
        batches: tuple[InnerBatch, ...], demos: Demonstrations
    ) -> tuple[Float[Array, " task"], MetaParams, Array | None]:
        def add(
            total: MetaParams, task: tuple[tuple[InnerBatch, ...], Demonstrations]
        ) -> tuple[MetaParams, tuple[Float[Array, ""], Array | None]]:
            loss, gradient, obs_gradient = one_task(*task)
            return jax.tree.map(jnp.add, total, gradient), (loss, obs_gradient)

        zero = jax.tree.map(jnp.zeros_like, params)
        total, (losses, obs_gradient) = jax.lax.scan(add, zero, (batches, demos))
        return losses, total, obs_gradient

    def at_once(
        batches: tuple[InnerBatch, ...], demos: Demonstrations
    ) -> tuple[Float[Array, " task"], MetaParams, Array | None]:
        losses, gradients, obs_gradient = jax.vmap(one_task)(batches, demos)
        return losses, jax.tree.map(lambda g: g.sum(0), gradients), obs_gradient

    losses, *total = jax.lax.platform_dependent(batches, demos, cpu=in_turn, default=at_once)
    gradient, obs_gradient = jax.tree.map(lambda g: g / losses.shape[0], tuple(total))
    return (losses.mean(), losses), gradient, obs_gradient


def _task_value_and_grad(
    params: MetaParams,
    batches: tuple[InnerBatch, ...],
    demos: Demonstrations,
    subset: Subset,
    first_order: bool,
    imitation: Imitation,
    with_obs: bool,
) -> tuple[Float[Array, ""], MetaParams, Float[Array, "n obs"] | None]:
    """Imitation loss of one task after its inner steps, and its gradient."""
    policy, step_sizes = params
    mask = subset_mask(policy, subset)
    steps = []
    for batch in batches:
        moving, fixed = eqx.partition(policy, mask)
        objective = inner_objective(policy, batch)
        gradient, hessian_product = jax.linearize(
            lambda moving, fixed=fixed, f=objective: jax.grad(f)(eqx.combine(moving, fixed)),
            moving,
        )
        policy, step_transpose = jax.vjp(
            lambda p, g, a: gradient_step(p, g, a, subset), policy, gradient, step_sizes
        )
        steps.append((hessian_product, step_transpose))

    obs_cotangent = None
    if with_obs:
        loss, (cotangent, obs_cotangent) = jax.value_and_grad(
            lambda p, obs: outer_objective(policy, demos._replace(obs=obs), imitation)(p), (0, 1)
        )(policy, demos.obs)
    else:
        loss, cotangent = jax.value_and_grad(outer_objective(policy, demos, imitation))(policy)
    step_sizes_cotangent = jax.tree.map(jnp.zeros_like, step_sizes)
    for hessian_product, step_transpose in reversed(steps):
        cotangent, gradient_cotangent, step_sizes_term = step_transpose(cotangent)
        step_sizes_cotangent = jax.tree.map(jnp.add, step_sizes_cotangent, step_sizes_term)
        if not first_order:
            second_order = hessian_product(eqx.filter(gradient_cotangent, mask))
            cotangent = jax.tree.map(jnp.add, cotangent, second_order)
    return loss, MetaParams(cotangent, step_sizes_cotangent), obs_cotangent
