"""Families with dynamics in JAX: the whole rollout is one compiled scan."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from gmps.core.actors import Actor
from gmps.core.types import Params, Rollout, Task
from gmps.sim import episodes as ep
from gmps.sim.scan import record_scan
from gmps.tasks.base import PureFamily, TaskFamily
from gmps.worlds.base import Draws
from gmps.worlds.batch import check_batch, draw


class PureWorld:
    """A family with dynamics in JAX: the whole rollout is one compiled function."""

    def __init__(self, family: PureFamily):
        self.family: TaskFamily = family
        self._record = functools.partial(_pure_record, family)

    def rollout(
        self, actor: Actor, params: Params, tasks: Task, episodes: int, key: Key[Array, ""] | Draws
    ) -> Rollout:
        """See `gmps.worlds.base.World.rollout`."""
        check_batch(self.family, params, tasks, episodes)
        draws = draw(self.family, actor, episodes, tasks, key)
        record = self._record(actor, episodes, params, tasks, *draws)
        return ep.finish(self.family, episodes, tasks, record)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _pure_record(
    family: PureFamily,
    actor: Actor,
    episodes: int,
    params: Params,
    tasks: Task,
    starts: Float[Array, "b state"],
    noise: Float[Array, "t b noise"],
) -> ep.Recording:
    sizes = ep.state_sizes(family)

    def sense(states):
        return jnp.zeros((states.shape[0], 0), jnp.float32)

    def advance(states, acts):
        new = jax.vmap(lambda s, a: ep.pack(family.step(ep.unpack(s, sizes), a)))(states, acts)
        return new, sense(states)

    return record_scan(family, actor, episodes, advance, sense, params, tasks, starts, noise)
