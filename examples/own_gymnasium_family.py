"""A task family of your own from any `gymnasium.Env` and a function that sets its task.

Gymnasium's pendulum must swing up, where gravity is hidden. Try:

    gmps train examples/own_gymnasium_family.py:PendulumGravity --run runs/pendulum
"""

from dataclasses import dataclass
from typing import ClassVar

import gymnasium
import jax
import jax.numpy as jnp

from gmps.tasks.base import Spec
from gmps.tasks.gymnasium_family import GymnasiumFamily
from gmps.tasks.lists import select_evenly

TRAIN, HELDOUT = jnp.linspace(2.5, 9.5, 8), jnp.linspace(2.0, 10.0, 5)


@dataclass(frozen=True)
class PendulumGravity(GymnasiumFamily):
    """A task is gravity `(1,)` in m/s^2; an observation is cosine, sine and angular velocity."""

    name: ClassVar[str] = "pendulum-gravity"
    spec: ClassVar[Spec] = Spec(
        obs_size=3, act_size=1, context_size=1, horizon=200, control_dt=0.05
    )

    def make_env(self):
        return gymnasium.make("Pendulum-v1")

    def set_task(self, env, task):
        env.unwrapped.g = float(task[0])

    def tasks(self, split, n=None, key=None):
        if key is not None:
            return jax.random.uniform(key, (n or 1, 1), minval=2.0, maxval=10.0)
        return select_evenly(self.name, (TRAIN if split == "train" else HELDOUT)[:, None], n)

    def outcome(self, task, states, sensors):
        upright = states.qpos[-20:, 0].min()
        return {"success": (upright > 0.9).astype(jnp.float32), "final_cosine": states.qpos[-1, 0]}

    def goal_point(self, task):
        return jnp.array([1.0, 0.0])

    @property
    def expert(self):
        return swing_up


def swing_up(task, obs):
    """Pump energy until the pendulum can stand, then hold it; `task` is gravity."""
    cosine, sine, speed = obs
    # Per m l^2: kinetic energy 1/6 speed^2, potential g/2 cosine; upright at rest g/2.
    missing = task[0] / 2 * (1 - cosine) - speed**2 / 6
    pump = jnp.tanh(4 * missing) * jnp.tanh(8 * (speed + 0.05))
    hold = -(task[0] / 2 + 4.0) * sine - 1.2 * speed
    near = jax.nn.sigmoid(30 * (cosine - 0.9))
    return jnp.clip(near * hold / 2 + (1 - near) * pump, -1, 1)[None]
