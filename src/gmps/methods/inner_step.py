"""The inner step of methods whose policies are `Policy`s: it moves heads, never encoders."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from gmps.core.adapt import adapt
from gmps.core.choices import Subset
from gmps.core.losses import InnerBatch
from gmps.core.meta_gradient import MetaParams
from gmps.core.nets import GaussianPolicy
from gmps.core.policy import Policy, encoded
from gmps.core.types import tree_index


@jax.jit
def features(policies: Policy, batch: InnerBatch) -> InnerBatch:
    """The batch as the policies' heads consume it. All tasks' policies have one encoder."""
    return encoded(tree_index(policies.encoder, 0), batch)


def adapt_step(params: MetaParams, policies: Policy, batch: InnerBatch, subset: Subset) -> Policy:
    """One inner step of each task's policy with the learned step sizes; leaves `(task, ...)`."""
    heads = _adapt_heads(params, policies.head, features(policies, batch), subset)
    return Policy(policies.encoder, heads)


@partial(jax.jit, static_argnames="subset")
def _adapt_heads(
    params: MetaParams, heads: GaussianPolicy, batch: InnerBatch, subset: Subset
) -> GaussianPolicy:
    def one_task(head: GaussianPolicy, batch: InnerBatch) -> GaussianPolicy:
        return adapt(head, params.step_sizes, [batch], subset=subset)

    return jax.vmap(one_task)(heads, batch)


def mean_step_size(step_sizes: PyTree) -> Float[Array, ""]:
    """Mean over all numbers of a tree of step sizes."""
    leaves = [jnp.ravel(x) for x in jax.tree.leaves(eqx.filter(step_sizes, eqx.is_array))]
    return jnp.concatenate(leaves).mean()
