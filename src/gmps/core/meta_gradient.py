"""The meta-objective over a batch of tasks and its gradient, through the inner steps.

`meta_loss` is the definition. `meta_value_and_grad` computes its value and gradient faster than
differentiating it would, in two ways beside the fast networks of `gmps.core.nets`:

- Reverse mode by hand over the inner steps. With `phi' = phi - alpha g(phi)` and the cotangent `v`
  of `phi'`, that of `phi` is `v - H(alpha v)`: the Hessian `H` is symmetric, so one forward-mode
  product serves, on the activations that the gradient `g` has computed already.
- On a CPU the tasks are taken one after another, so that a task's activations stay in cache;
  elsewhere all at once.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmps.core.adapt import StepSizes, adapt, gradient_step
from gmps.core.choices import Imitation, Subset
from gmps.core.losses import InnerBatch, imitation_loss, policy_gradient_loss
from gmps.core.nets import GaussianPolicy, subset_mask
from gmps.core.optimise import over_tasks
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
) -> tuple[tuple[Float[Array, ""], Float[Array, " task"]], MetaParams, Float[Array, "task n obs"]]:
    """`((loss, loss of each task), gradient, gradient of demos.obs)` of `meta_loss`.

    The gradients are those with respect to `params` and to `demos.obs`; the latter is for what
    these observations were computed from, such as an encoder. The inner batches are data.

    Call it under `jax.jit`: what a subset or the caller leaves unused is dropped there. Not
    differentiable itself.
    """

    def one_task(
        batches: tuple[InnerBatch, ...], demos: Demonstrations
    ) -> tuple[Float[Array, ""], MetaParams, Float[Array, "n obs"]]:
        return _task_value_and_grad(params, batches, demos, subset, first_order, imitation)

    losses, gradients, obs_gradient = over_tasks(one_task, batches, demos)
    n = losses.shape[0]
    gradient = jax.tree.map(lambda g: g.sum(0) / n, gradients)
    return (losses.mean(), losses), gradient, obs_gradient / n


def _task_value_and_grad(
    params: MetaParams,
    batches: tuple[InnerBatch, ...],
    demos: Demonstrations,
    subset: Subset,
    first_order: bool,
    imitation: Imitation,
) -> tuple[Float[Array, ""], MetaParams, Float[Array, "n obs"]]:
    """Imitation loss of one task after its inner steps, and its gradients."""
    policy, step_sizes = params
    mask = subset_mask(policy, subset)
    steps = []
    for batch in batches:
        moving, fixed = eqx.partition(policy, mask)
        gradient, hessian_product = jax.linearize(
            lambda moving, fixed=fixed, batch=batch: jax.grad(policy_gradient_loss)(
                eqx.combine(moving, fixed), batch
            ),
            moving,
        )
        policy, step_transpose = jax.vjp(
            lambda p, g, a: gradient_step(p, g, a, subset), policy, gradient, step_sizes
        )
        steps.append((hessian_product, step_transpose))

    loss, (cotangent, obs_cotangent) = jax.value_and_grad(imitation_loss, (0, 1))(
        policy, demos.obs, demos.act, demos.valid, imitation
    )
    step_sizes_cotangent = jax.tree.map(jnp.zeros_like, step_sizes)
    for hessian_product, step_transpose in reversed(steps):
        cotangent, gradient_cotangent, step_sizes_term = step_transpose(cotangent)
        step_sizes_cotangent = jax.tree.map(jnp.add, step_sizes_cotangent, step_sizes_term)
        if not first_order:
            second_order = hessian_product(eqx.filter(gradient_cotangent, mask))
            cotangent = jax.tree.map(jnp.add, cotangent, second_order)
    gradient = MetaParams(cotangent, step_sizes_cotangent)
    return loss, gradient, obs_cotangent
