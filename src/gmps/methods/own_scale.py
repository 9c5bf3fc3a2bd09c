"""Input scaling for methods without experts: from the first episodes of their own policy."""

from jaxtyping import Array, Key

from gmps.core.nets import GaussianPolicy, PolicyActor
from gmps.core.types import Demonstrations, Task, env_steps, task_count
from gmps.methods.base import stack
from gmps.methods.imitation import normalised
from gmps.worlds.base import World


def scaled_to(
    world: World, tasks: Task, policy: GaussianPolicy, episodes: int, key: Key[Array, ""]
) -> tuple[GaussianPolicy, int]:
    """The policy with its inputs shifted and scaled to its own episodes in all `tasks`.

    Returns it with the environment steps that the episodes took.
    """
    policies = stack(policy, task_count(tasks))
    actor = PolicyActor(world.family.spec.act_size)
    data = world.rollout(actor, policies, tasks, episodes, key).trajectories
    flat = lambda x: x.reshape(x.shape[0], -1, *x.shape[3:])  # noqa: E731
    visited = Demonstrations(flat(data.obs), flat(data.act), flat(data.alive))
    return normalised(policy, visited), env_steps(data)
