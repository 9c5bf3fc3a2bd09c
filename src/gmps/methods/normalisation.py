"""Shift and scale of what a policy's head acts on."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from gmps.core.policy import Policy, PolicyActor, encoded
from gmps.core.types import Demonstrations, Task, env_steps, stack, task_count
from gmps.worlds.base import World

#: Smallest scale of an observation: coordinates that never move are not blown up.
MIN_OBS_STD = 0.03


@jax.jit
def normalised(policy: Policy, demos: Demonstrations) -> Policy:
    """The policy with its head's inputs shifted and scaled to the features of `demos`."""
    shown = encoded(policy.encoder, demos)
    weight = shown.valid[..., None] / shown.valid.sum()
    mean = jnp.sum(shown.obs * weight, (0, 1))
    std = jnp.sqrt(jnp.sum((shown.obs - mean) ** 2 * weight, (0, 1)))
    return eqx.tree_at(
        lambda p: (p.head.obs_mean, p.head.obs_std), policy, (mean, jnp.maximum(std, MIN_OBS_STD))
    )


def renormalised(policy: Policy, demos: Demonstrations) -> Policy:
    """The same function, its head's inputs shifted and scaled to the features of `demos`.

    One step size then suits all of them. Features change as the encoder learns, so this is done
    again after imitation; where it has nothing to learn they do not, and the policy stays as it is.
    """
    return _renormalised(policy, demos) if jax.tree.leaves(policy.encoder) else policy


@jax.jit
def _renormalised(policy: Policy, demos: Demonstrations) -> Policy:
    old, new = policy.head, normalised(policy, demos).head
    first, size = old.weights[0], old.obs_mean.shape[0]
    moved = (new.obs_mean - old.obs_mean) / old.obs_std
    weight = first.at[:size].multiply((new.obs_std / old.obs_std)[:, None])
    bias = old.biases[0] + moved @ first[:size]
    head = eqx.tree_at(lambda p: (p.weights[0], p.biases[0]), new, (weight, bias))
    return Policy(policy.encoder, head)


def normalised_by_rollout(
    world: World, tasks: Task, policy: Policy, episodes: int, key: Key[Array, ""]
) -> tuple[Policy, int]:
    """The policy with its inputs shifted and scaled to its own episodes in all `tasks`: for methods
    without experts. Returns it with the environment steps that the episodes took."""
    policies = stack(policy, task_count(tasks))
    actor = PolicyActor(world.family.spec.act_size)
    data = world.rollout(actor, policies, tasks, episodes, key).trajectories
    obs, act, alive = (
        x.reshape(x.shape[0], -1, *x.shape[3:]) for x in (data.obs, data.act, data.alive)
    )
    return normalised(policy, Demonstrations(obs, act, alive)), env_steps(data)
