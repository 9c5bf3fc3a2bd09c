"""What methods share whose policies are Gaussian: how they start, act and take an inner step."""

from functools import partial
from typing import Any, Protocol, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from gmps.core.adapt import adapt, inner_batch
from gmps.core.losses import InnerBatch
from gmps.core.meta_gradient import MetaParams
from gmps.core.nets import GaussianPolicy, PolicyActor, Subset, init_policy, with_std
from gmps.core.returns import check_without_state
from gmps.core.types import Demonstrations, Trajectories
from gmps.core.vision import VisionActor, VisionPolicy, init_vision_policy
from gmps.methods.imitation import normalised, rescaled
from gmps.tasks.base import Spec, TaskFamily
from gmps.tasks.pixels import PixelFamily
from gmps.worlds.base import World

P = TypeVar("P", GaussianPolicy, VisionPolicy)


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
    return init_policy(key, spec.obs_size, spec.act_size, **_network(settings))


def untrained_policy(
    settings: PolicySettings, family: TaskFamily, key: Key[Array, ""], demos: Demonstrations
) -> GaussianPolicy | VisionPolicy:
    """A policy that has learned nothing, its inputs scaled to the experts' data if `normalise`.

    It looks at pictures where the family has a camera.
    """
    if isinstance(family, PixelFamily):
        policy = init_vision_policy(
            key, family.hand_size, family.spec.act_size, **_network(settings)
        )
        return rescaled(policy, demos) if settings.normalise else policy
    policy = fresh_policy(settings, family.spec, key)
    return normalised(policy, demos) if settings.normalise else policy


def _network(settings: PolicySettings) -> dict[str, Any]:
    return {
        "hidden": settings.hidden,
        "bias_size": settings.bias_size,
        "bias_init": getattr(settings, "bias_init", 0.0),
        "std": settings.std,
        "activation": getattr(settings, "activation", "relu"),
    }


def gaussian_actor(family: TaskFamily, stochastic: bool = True) -> PolicyActor | VisionActor:
    """Runs the Gaussian policies of a family: on pictures where it has a camera."""
    if isinstance(family, PixelFamily):
        return VisionActor(family.spec.act_size, family.hand_size, stochastic)
    return PolicyActor(family.spec.act_size, stochastic)


def head_of(policy: GaussianPolicy | VisionPolicy) -> GaussianPolicy:
    """What an inner step moves."""
    return policy.head if isinstance(policy, VisionPolicy) else policy


def with_heads(policies: P, heads: GaussianPolicy) -> P:
    """Stacked policies with other heads."""
    if isinstance(policies, VisionPolicy):
        return VisionPolicy(policies.encoder, heads)
    return heads


def inner_view(
    policy: GaussianPolicy | VisionPolicy, data: Trajectories, **settings: Any
) -> InnerBatch:
    """Trajectories of each task as the inner step of the policy's head consumes them.

    `settings` are those of `gmps.core.adapt.inner_batch`. For pictures the observations are
    features, and only a baseline that needs no observation will do.
    """
    batch = inner_batch(data._replace(frames=None), **settings)
    if not isinstance(policy, VisionPolicy):
        return batch
    check_without_state(settings.get("baseline", "linear"))
    return batch._replace(obs=_features(policy, data.frames, data.obs))


_features = jax.jit(lambda policy, frames, obs: policy.features(frames, obs))


class GaussianMethod:
    """What methods share whose policies are `GaussianPolicy`s."""

    config: PolicySettings
    world: World

    def untrained(
        self, key: Key[Array, ""], demos: Demonstrations
    ) -> GaussianPolicy | VisionPolicy:
        """A policy that has learned nothing, its inputs scaled to the experts' data."""
        return untrained_policy(self.config, self.world.family, key, demos)

    def actor(self, stochastic: bool = True) -> PolicyActor | VisionActor:
        """Runs the policies."""
        return gaussian_actor(self.world.family, stochastic)

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
