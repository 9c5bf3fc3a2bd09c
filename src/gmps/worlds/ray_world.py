"""A world whose tasks are spread over a Ray cluster, in pieces of fixed size.

A piece is a rollout of a few tasks with a key of its own, so the result depends neither on how many
workers there are nor on which of them ran what. A worker that dies costs its unfinished pieces,
which are run again.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from gmps.cluster import connect, remote
from gmps.core.actors import Actor
from gmps.core.types import Params, Rollout, Shared, Task, concatenated, tree_index
from gmps.errors import GmpsError
from gmps.tasks.base import TaskFamily
from gmps.worlds.base import Draws
from gmps.worlds.batch import check_batch
from gmps.worlds.factory import make_world

#: Tasks of a piece.
PIECE = 4


class RayWorld:
    """See the module docstring."""

    def __init__(self, family: TaskFamily, address: str | None = None, piece: int = PIECE):
        if piece < 1:
            raise GmpsError(f"piece is {piece}; a piece has at least 1 task.")
        self.family = family
        self.piece = piece
        self._ray = connect(address)
        self._run = remote(self._ray, run_piece)
        self._stored: dict[Actor, Any] = {}

    def rollout(
        self, actor: Actor, params: Params, tasks: Task, episodes: int, key: Key[Array, ""] | Draws
    ) -> Rollout:
        """See `gmps.worlds.base.World.rollout`."""
        count = check_batch(self.family, params, tasks, episodes)
        if actor not in self._stored:
            self._stored[actor] = self._ray.put((self.family, actor))
        params, tasks = jax.device_get((params, tasks))
        jobs = []
        for k, start in enumerate(range(0, count, self.piece)):
            cut = slice(start, start + self.piece)
            own = params if isinstance(params, Shared) else tree_index(params, cut)
            if isinstance(key, Draws):
                chance = jax.device_get(tree_index(key, cut))
            else:
                chance = np.asarray(jax.random.key_data(jax.random.fold_in(key, k)))
            # In a list Ray hands over the reference itself, not what it stands for.
            stored = [self._stored[actor]]
            jobs.append(self._run.remote(stored, own, tree_index(tasks, cut), episodes, chance))
        try:
            parts = self._ray.get(jobs)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from None
        return concatenated(*parts)


def run_piece(
    stored: list[Any], params: Params, tasks: Task, episodes: int, chance: np.ndarray | Draws
) -> Rollout:
    """A rollout of some tasks; runs on a worker."""
    world, actor = _load(*stored)
    key = chance if isinstance(chance, Draws) else jax.random.wrap_key_data(jnp.asarray(chance))
    return jax.device_get(world.rollout(actor, params, tasks, episodes, key))


@functools.lru_cache(maxsize=16)
def _load(reference: Any) -> tuple[Any, Actor]:
    """The world and the actor stored there; the same objects each time, so that what was compiled
    for them is used again."""
    import ray  # noqa: PLC0415 - an extra

    family, actor = ray.get(reference)
    return make_world(family, 1), actor
