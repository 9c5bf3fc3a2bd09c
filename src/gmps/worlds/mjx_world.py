"""MuJoCo families on a GPU or a CPU by MJX: the whole rollout is one compiled scan.

Start states and noise are those of `NativeWorld` with the same key.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from gmps.core.actors import Actor
from gmps.core.types import Params, Rollout, Task
from gmps.errors import GmpsError
from gmps.sim import episodes as ep
from gmps.sim.mjx import MjxSimulator
from gmps.sim.native import edited_models
from gmps.sim.scan import record_scan
from gmps.tasks.base import MujocoFamily, TaskFamily
from gmps.tasks.check import compile_model
from gmps.tasks.pixels import PixelFamily
from gmps.worlds.base import Draws
from gmps.worlds.batch import check_batch, draw


def refusal(family: TaskFamily) -> str | None:
    """Why MJX cannot simulate a family, in one sentence; None if it can."""
    if not isinstance(family, MujocoFamily):
        return f"{family.name} has no MuJoCo model for MJX; leave out --sim mjx."
    if isinstance(family, PixelFamily):
        return f"{family.name} needs cameras, which MJX lacks; leave out --sim mjx."
    try:
        _simulator(family)
    except GmpsError as error:
        reason = str(error).rstrip(".")
        return f"{family.name} does not run on --sim mjx: {reason}; or use --sim native."
    return None


class MjxWorld:
    """See the module docstring. Worlds of one family share what was compiled."""

    def __init__(self, family: TaskFamily):
        """Raises GmpsError if MJX cannot simulate the family."""
        if reason := refusal(family):
            raise GmpsError(reason)
        assert isinstance(family, MujocoFamily)  # or it would have been refused
        self.family: TaskFamily = family
        self._mujoco_family = family
        self._varying: set[str] = set()

    def rollout(
        self, actor: Actor, params: Params, tasks: Task, episodes: int, key: Key[Array, ""] | Draws
    ) -> Rollout:
        """See `gmps.worlds.base.World.rollout`."""
        count = check_batch(self.family, params, tasks, episodes)
        draws = draw(self.family, actor, episodes, tasks, key)
        edits = self._edits(tasks, count)
        with jax.enable_x64(True):
            record = _record(self._mujoco_family, actor, episodes, params, tasks, edits, *draws)
        return ep.finish(self.family, episodes, tasks, record)

    def _edits(self, tasks: Task, count: int) -> dict[str, np.ndarray]:
        """What differs in the tasks' models, with the same names as in earlier batches: other
        names would be another program."""
        family = self._mujoco_family
        if not family.edits_model:
            return {}
        simulator = _simulator(family)
        models = edited_models(family, simulator.model, tasks)
        try:
            with jax.enable_x64(True):
                edits = simulator.edits(models)
        except GmpsError as error:
            raise GmpsError(f"{family.name}: {error}") from error
        for name in self._varying - set(edits):
            edits[name] = np.stack([simulator.base(name)] * count)
        self._varying |= set(edits)
        return edits


@functools.cache
def _simulator(family: MujocoFamily) -> MjxSimulator:
    with jax.enable_x64(True):
        return MjxSimulator(compile_model(family), family.frame_skip)


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _record(
    family: MujocoFamily,
    actor: Actor,
    episodes: int,
    params: Params,
    tasks: Task,
    edits: dict[str, Any],
    starts: Float[Array, "b state"],
    noise: Float[Array, "t b noise"],
) -> ep.Recording:
    simulator, sizes = _simulator(family), ep.state_sizes(family)
    edits = jax.tree.map(lambda x: jnp.repeat(x, episodes, 0), edits)

    @jax.vmap
    def advance(vector, act, edits):
        state = ep.unpack(vector, sizes)
        seen = ep.unpack(vector.astype(jnp.float32), sizes)
        new, sensors = simulator.advance(state, family.control(seen, act), edits)
        return ep.pack(new), sensors

    @jax.vmap
    def sense(vector, edits):
        return simulator.sense(ep.unpack(vector, sizes), edits)

    return record_scan(
        family,
        actor,
        episodes,
        lambda states, acts: advance(states, acts, edits),
        lambda states: sense(states, edits),
        params,
        tasks,
        starts.astype(float),
        noise,
    )
