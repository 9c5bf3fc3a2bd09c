"""A task family of your own from an MJCF model and a few pure functions.

A cart on a rail, pushed by a motor, must stop at a place that it does not see. Try:

    gmps train examples/own_mjcf_family.py:CartGoal --run runs/cart
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import mujoco

from gmps.tasks.base import Camera, Control, MujocoFamily, Spec, State
from gmps.tasks.lists import select_evenly

NOTHING = jnp.zeros(0, jnp.float32)


@dataclass(frozen=True)
class CartGoal(MujocoFamily):
    """A task is the place `(1,)` in m; an observation is the cart's position and velocity."""

    name: ClassVar[str] = "cart-goal"
    spec: ClassVar[Spec] = Spec(obs_size=2, act_size=1, context_size=1, horizon=50, control_dt=0.05)
    frame_skip: ClassVar[int] = 5
    camera: ClassVar[Camera] = Camera((0.0, 0.0, 0.0), 2.5, 90.0, -25.0)

    def model(self):
        return mujoco.MjModel.from_xml_path(str(Path(__file__).with_name("cart.xml")))

    def tasks(self, split, n=None, key=None):
        if key is not None:
            return jax.random.uniform(key, (n or 1, 1), minval=-1.0, maxval=1.0)
        train, heldout = jnp.linspace(-0.95, 0.95, 12), jnp.linspace(-1, 1, 7)
        return select_evenly(self.name, (train if split == "train" else heldout)[:, None], n)

    def context(self, task):
        return task

    def reset(self, key, task):
        return State(0.01 * jax.random.normal(key, (1,)), jnp.zeros(1, jnp.float32), NOTHING)

    def observe(self, state):
        return jnp.concatenate([state.qpos, state.qvel])

    def control(self, state, act):
        return Control(act, NOTHING)

    def reward(self, task, transition):
        away = jnp.abs(transition.next_state.qpos[0] - task[0])
        return {"distance": -away, "effort": -0.01 * transition.act[0] ** 2}

    def outcome(self, task, states, sensors):
        error = jnp.abs(states.qpos[-1, 0] - task[0])
        return {"success": (error < 0.1).astype(jnp.float32), "final_error": error}

    def paths(self, states, sensors):
        return {"cart": jnp.pad(states.qpos, ((0, 0), (0, 1)))}

    def goal_point(self, task):
        return jnp.array([task[0], 0.0])

    @property
    def expert(self):
        return drive


def drive(task, obs):
    """To the place, with damping."""
    return jnp.clip(3 * (task - obs[:1]) - 1.5 * obs[1:], -1, 1)
