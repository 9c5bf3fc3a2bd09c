"""Runners whose tasks are bodies: masses, inertias, damping and friction are drawn.

A task is a vector of numbers `u` in [-1, 1], one for each number of the model that varies; each is
multiplied by `b^(3 u)`, where `b` is 1.5 for masses, inertias and friction and 1.3 for damping. A
policy must find out how its own body has changed. The reward is the same in all tasks.

Source: the random-parameter environments of Rothfuss et al. 2019 (ProMP) and Rakelly et al. 2019
(PEARL, arXiv:1903.08254, 40 tasks to train on, 10 held out, 200 steps).
"""

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from gmps.tasks.base import State, Transition
from gmps.tasks.choices import Split
from gmps.tasks.lists import select_evenly
from gmps.tasks.locomotion import Runner

#: What varies of a model: the names of its arrays, and the base of each one's factors.
VARIED = {"body_mass": 1.5, "body_inertia": 1.5, "dof_damping": 1.3, "geom_friction": 1.5}
#: The exponent is this often the number of the task.
LOG_SCALE = 3.0
#: Tasks to train on and held out.
TRAIN, HELDOUT = 40, 10


@functools.cache
def _drawn(size: int) -> Float[np.ndarray, "task u"]:
    return np.random.default_rng(0).uniform(-1, 1, (TRAIN + HELDOUT, size)).astype(np.float32)


@dataclass(frozen=True)
class RandomBody(Runner):
    """See the module docstring. A task is `u`, `(context_size,)`.

    Velocities in observations are clipped to [-10, 10].
    """

    edits_model: ClassVar[bool] = True
    position_noise: ClassVar[float] = 0.005
    velocity_noise: ClassVar[float] = 0.005

    def start_velocity(self, key: Key[Array, ""]) -> Float[Array, " nv"]:
        """Uniform within `velocity_noise`."""
        noise = self.velocity_noise
        return jax.random.uniform(key, (self.speeds,), jnp.float32, minval=-noise, maxval=noise)

    def observe(self, state: State) -> Float[Array, " obs"]:
        """Positions but where it is, and clipped velocities."""
        return jnp.concatenate([state.qpos[self.hidden :], jnp.clip(state.qvel, -10, 10)])

    def standing(self, state: State) -> Bool[Array, ""]:
        """Whether it still stands."""
        raise NotImplementedError

    def terminated(self, state: State) -> Bool[Array, ""]:
        """It no longer stands."""
        return ~self.standing(state)

    def tasks(
        self, split: Split, n: int | None = None, key: Key[Array, ""] | None = None
    ) -> Float[Array, "n u"]:
        """40 to train on and 10 held out, drawn once for all; others with a key. All are
        uniform."""
        size = self.spec.context_size
        if key is not None:
            shape = (1 if n is None else n, size)
            return jax.random.uniform(key, shape, jnp.float32, minval=-1, maxval=1)
        cut = slice(TRAIN, None) if split == "heldout" else slice(TRAIN)
        return select_evenly(self.name, jnp.asarray(_drawn(size)[cut]), n)

    def edit_model(self, model: mujoco.MjModel, task: Any) -> None:
        """Multiply what varies by its factors; the world itself has neither mass nor inertia."""
        numbers = np.asarray(task, np.float64)
        for name, base in VARIED.items():
            values = getattr(model, name)
            # The first body is the world.
            part = values[1:] if name.startswith("body") else values
            own, numbers = numbers[: part.size], numbers[part.size :]
            part *= base ** (LOG_SCALE * own.reshape(part.shape))

    def context(self, task: Float[Array, " u"]) -> Float[Array, " u"]:
        """The numbers of the task."""
        return task

    def reward(
        self, task: Float[Array, " u"], transition: Transition
    ) -> dict[str, Float[Array, ""]]:
        """`forward`: the velocity, m/s; `alive`: 1; `control`: -0.001 times the sum of squared
        actions."""
        del task
        return {
            "forward": self.velocity(transition)[0],
            "alive": jnp.ones((), jnp.float32),
            "control": -1e-3 * jnp.sum(transition.act**2),
        }

    def outcome(
        self, task: Float[Array, " u"], states: State, sensors: Float[Array, "t1 0"]
    ) -> dict[str, Float[Array, ""]]:
        """`distance` forward, m."""
        del task, sensors
        return {"distance": self.travelled(states)[0]}

    def goal_point(self, task: Float[Array, " u"]) -> Float[Array, " 2"]:
        """5 m ahead, the same in all tasks."""
        del task
        return jnp.array([5.0, 0.0])

    def describe(self, task: Float[Array, " u"]) -> str:
        """How far the body is from the plain one."""
        return f"body {float(jnp.sqrt(jnp.mean(task**2))):.2f} from plain"
