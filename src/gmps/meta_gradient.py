"""The meta-objective over a batch of tasks and its gradient, through the inner step."""

from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from gmps.adapt import StepSizes, adapt
from gmps.losses import Imitation, InnerBatch, imitation_loss
from gmps.nets import GaussianPolicy, Subset
from gmps.types import Demonstrations


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
        return imitation_loss(adapted, *demos, imitation)

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
    """`((loss, loss of each task), gradient)` of `meta_loss` with respect to `params`."""
    return jax.value_and_grad(meta_loss, has_aux=True)(
        params, batches, demos, subset=subset, first_order=first_order, imitation=imitation
    )
