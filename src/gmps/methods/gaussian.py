"""What methods share whose policies are Gaussian: how they start, act and take an inner step."""

from functools import partial
from typing import Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from gmps.adapt import adapt
from gmps.losses import InnerBatch
from gmps.meta_gradient import MetaParams
from gmps.methods.imitation import normalised
from gmps.nets import GaussianPolicy, PolicyActor, Subset, init_policy, with_std
from gmps.tasks.base import Spec
from gmps.types import Demonstrations
from gmps.worlds.base import World


class PolicySettings(Protocol):
    """The settings of every method that say what its policy is."""

    @property
    def hidden(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def bias_size(self) -> int: ...  # noqa: D102
    @property
    def std(self) -> float: ...  # noqa: D102
    @property
    def normalise(self) -> bool: ...  # noqa: D102


def fresh_policy(settings: PolicySettings, spec: Spec, key: Key[Array, ""]) -> GaussianPolicy:
    """A random policy; its bias transformation starts at `bias_init`, where there is that setting,
    or else at 0."""
    return init_policy(
        key,
        spec.obs_size,
        spec.act_size,
        hidden=settings.hidden,
        bias_size=settings.bias_size,
        bias_init=getattr(settings, "bias_init", 0.0),
        std=settings.std,
    )


def untrained_policy(
    settings: PolicySettings, spec: Spec, key: Key[Array, ""], demos: Demonstrations
) -> GaussianPolicy:
    """A policy that has learned nothing, its inputs scaled to the experts' data if `normalise`."""
    policy = fresh_policy(settings, spec, key)
    return normalised(policy, demos) if settings.normalise else policy


class GaussianMethod:
    """What methods share whose policies are `GaussianPolicy`s."""

    config: PolicySettings
    world: World

    def untrained(self, key: Key[Array, ""], demos: Demonstrations) -> GaussianPolicy:
        """A policy that has learned nothing, its inputs scaled to the experts' data."""
        return untrained_policy(self.config, self.world.family.spec, key, demos)

    def actor(self, stochastic: bool = True) -> PolicyActor:
        """Runs the policies."""
        return PolicyActor(self.world.family.spec.act_size, stochastic)

    def action_std(self, policy: GaussianPolicy) -> Float[Array, " act"]:
        """The policy's standard deviation."""
        return jnp.exp(policy.log_std)

    def with_noise_of(self, policies: GaussianPolicy, policy: GaussianPolicy) -> GaussianPolicy:
        """The policies, acting with the standard deviation of `policy`."""
        return with_std(policies, self.action_std(policy))

    def export(self, policy: GaussianPolicy) -> GaussianPolicy:
        """The policy itself."""
        return policy


@partial(jax.jit, static_argnames="subset")
def adapt_step(
    params: MetaParams, policies: GaussianPolicy, batch: InnerBatch, subset: Subset
) -> GaussianPolicy:
    """One inner step of each task's policy with the learned step sizes; leaves `(task, ...)`."""

    def one_task(policy: GaussianPolicy, batch: InnerBatch) -> GaussianPolicy:
        return adapt(policy, params.step_sizes, [batch], subset=subset)

    return jax.vmap(one_task)(policies, batch)


def mean_step_size(step_sizes: PyTree) -> Float[Array, ""]:
    """Mean over all numbers of a tree of step sizes."""
    leaves = [jnp.ravel(x) for x in jax.tree.leaves(eqx.filter(step_sizes, eqx.is_array))]
    return jnp.concatenate(leaves).mean()
