"""Adaptation: the one place where a policy changes for a task (one task; callers `vmap`)."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmps.core.choices import Baseline, StepSizeKind, Subset
from gmps.core.losses import InnerBatch, log_probs, policy_gradient_loss
from gmps.core.nets import GaussianPolicy, subset_mask
from gmps.core.returns import advantages, check_without_state
from gmps.core.types import Trajectories
from gmps.errors import GmpsError

#: A scalar, or a tree like the policy whose leaves broadcast against the policy's.
StepSizes = Any
#: A surrogate of the negative return of one task, such as `policy_gradient_loss`.
InnerLoss = Callable[[GaussianPolicy, InnerBatch], Float[Array, ""]]


def init_step_sizes(policy: GaussianPolicy, kind: StepSizeKind, value: float) -> StepSizes:
    """Step sizes of the given kind, all equal to `value`."""
    match kind:
        case "scalar":
            return jnp.asarray(value, jnp.float32)
        case "leaf":
            return jax.tree.map(lambda p: jnp.asarray(value, p.dtype), policy)
        case "parameter":
            return jax.tree.map(lambda p: jnp.full(p.shape, value, p.dtype), policy)
    raise GmpsError(f"step size kind is {kind!r}; it must be 'scalar', 'leaf' or 'parameter'.")


def inner_batch(
    data: Trajectories,
    *,
    discount: float = 0.99,
    gae_lambda: float = 1.0,
    baseline: Baseline = "linear",
) -> InnerBatch:
    """Trajectories of each task with their advantages, on-policy weights 1.

    Raises:
        GmpsError: the baseline reads the state, where the policy was shown pictures.
    """
    if data.frames is not None:
        check_without_state(baseline)
    advantage = _advantages(data._replace(frames=None), discount, gae_lambda, baseline)
    return InnerBatch(
        obs=data.obs,
        act=data.act,
        advantage=advantage,
        log_prob=data.log_prob,
        weight=jnp.ones_like(advantage),
        alive=data.alive,
        frames=data.frames,
    )


@partial(jax.jit, static_argnums=(1, 2, 3))
def _advantages(
    data: Trajectories, discount: float, gae_lambda: float, baseline: Baseline
) -> Float[Array, "task ep t"]:
    one_task = partial(advantages, discount=discount, gae_lambda=gae_lambda, baseline=baseline)
    return jax.vmap(one_task)(data)


def gradient_step(
    policy: GaussianPolicy, gradient: GaussianPolicy, step_sizes: StepSizes, subset: Subset
) -> GaussianPolicy:
    """`policy - step_size * gradient` on the leaves of the subset."""
    if eqx.is_array(step_sizes):
        step_sizes = jax.tree.map(lambda _: step_sizes, policy)
    return jax.tree.map(
        lambda p, g, a, moves: p - a * g if moves else p,
        policy,
        gradient,
        step_sizes,
        subset_mask(policy, subset),
    )


def adapt(
    policy: GaussianPolicy,
    step_sizes: StepSizes,
    batches: Sequence[InnerBatch],
    *,
    subset: Subset = "all",
    first_order: bool = False,
    loss: InnerLoss = policy_gradient_loss,
) -> GaussianPolicy:
    """One policy-gradient step for each batch, in turn (GMPS, eq. 2).

    Batch `j` was collected by the policy after `j` steps. `first_order` stops the derivative of
    the inner gradient (Finn et al. 2017, section 5.2). Another `loss` has the same gradient at the
    collecting policy and may have another Hessian.
    """
    for batch in batches:
        gradient = jax.grad(loss)(policy, batch)
        if first_order:
            gradient = jax.lax.stop_gradient(gradient)
        policy = gradient_step(policy, gradient, step_sizes, subset)
    return policy


def reweight(
    policy: GaussianPolicy,
    step_sizes: StepSizes,
    batches: Sequence[InnerBatch],
    *,
    subset: Subset = "all",
    clip: float | None = None,
) -> tuple[InnerBatch, ...]:
    """The same batches with the importance weights of the present policy.

    `w_t = pi_theta(a_t|s_t) / pi_collect(a_t|s_t)` for each time step, at most `clip`. Computed
    before differentiation, so that the meta-gradient is the gradient of a function of its inputs.
    Padded steps get 1.
    """
    weighted = []
    for batch in batches:
        ratio = jnp.exp(log_probs(policy, batch.obs, batch.act) - batch.log_prob)
        if clip is not None:
            ratio = jnp.minimum(ratio, clip)
        weight = jax.lax.stop_gradient(jnp.where(batch.alive, ratio, 1.0))
        batch = batch._replace(weight=weight)
        weighted.append(batch)
        policy = adapt(policy, step_sizes, [batch], subset=subset)
    return tuple(weighted)
