"""A point in the plane that must find a hidden goal: small enough to follow by hand.

The point starts at the origin. An action in [-1, 1]^2 moves it by up to 0.1 m along each axis.
Goals lie on the upper half of the unit circle, 0 to 180 degrees, so the mean of all goals is
far from each of them and the goals at both ends are the hardest to reach without adapting.

Known levels, from the origin without start noise and for the goal (1, 0): the scripted expert
is at the goal after 10 steps and returns -(0.9 + 0.8 + ... + 0.1) = -4.5; standing still
returns -20, with any goal.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from gmps.core.types import Task
from gmps.tasks.base import Part, PureFamily, Spec, State, Transition
from gmps.tasks.choices import Split
from gmps.tasks.lists import select_evenly

#: Metres that a full action moves the point along an axis in one step.
STEP = 0.1
#: A final distance below this, in m, is a success.
SUCCESS_DISTANCE = 0.1
#: Of 24 even angles from 0 to 180 degrees these are held out, the ends among them; the other 16
#: are for training.
HELDOUT_INDICES = (0, 3, 7, 10, 13, 16, 20, 23)


@dataclass(frozen=True)
class PointGoal(PureFamily):
    """See the module docstring. A task is its goal, `(2,)` in m; an observation the position."""

    #: Standard deviation of the start position around the origin, in m.
    start_noise: float = 0.01

    name: ClassVar[str] = "point-goal"
    parts: ClassVar[tuple[Part, ...]] = (Part("position", 2, "m"),)
    spec: ClassVar[Spec] = Spec(obs_size=2, act_size=2, context_size=2, horizon=20, control_dt=0.1)

    def tasks(self, split: Split, n: int | None = None, key: Key[Array, ""] | None = None) -> Task:
        """Goals `(n, 2)`; random ones have a uniform angle in both splits."""
        if key is not None:
            angles = jax.random.uniform(key, (1 if n is None else n,), jnp.float32, maxval=math.pi)
            return jnp.stack([jnp.cos(angles), jnp.sin(angles)], -1)
        angles = np.linspace(0, math.pi, 24)
        held_out = np.isin(np.arange(24), HELDOUT_INDICES)
        angles = angles[held_out if split == "heldout" else ~held_out]
        goals = np.stack([np.cos(angles), np.sin(angles)], -1)
        return select_evenly(self.name, jnp.asarray(goals, jnp.float32), n)

    def context(self, task: Task) -> Float[Array, " 2"]:
        """The goal."""
        return task

    def reset(self, key: Key[Array, ""], task: Task) -> State:
        """At rest near the origin."""
        del task
        nothing = jnp.zeros(0, jnp.float32)
        return State(self.start_noise * jax.random.normal(key, (2,), jnp.float32), nothing, nothing)

    def step(self, state: State, act: Float[Array, " 2"]) -> State:
        """Move by the action."""
        return state._replace(qpos=state.qpos + STEP * act)

    @property
    def observation_names(self) -> tuple[str, ...]:
        """See `TaskFamily`."""
        return ("x (m)", "y (m)")

    @property
    def action_names(self) -> tuple[str, ...]:
        """See `TaskFamily`."""
        return ("move along x (0.1 m)", "move along y (0.1 m)")

    def observe(self, state: State) -> Float[Array, " 2"]:
        """The position."""
        return state.qpos

    def reward(self, task: Task, transition: Transition) -> dict[str, Float[Array, ""]]:
        """`distance`: minus the distance to the goal after the step, in m."""
        return {"distance": -_norm(transition.next_state.qpos - task)}

    def outcome(
        self, task: Task, states: State, sensors: Float[Array, "t1 0"]
    ) -> dict[str, Float[Array, ""]]:
        """`final_error` in m, and `success` if it is below 0.1 m."""
        del sensors
        error = _norm(states.qpos[-1] - task)
        return {"success": (error < SUCCESS_DISTANCE).astype(jnp.float32), "final_error": error}

    def paths(
        self, states: State, sensors: Float[Array, "t1 0"]
    ) -> dict[str, Float[Array, "t1 2"]]:
        """The path of the `point`."""
        del sensors
        return {"point": states.qpos}

    def goal_point(self, task: Task) -> Float[Array, " 2"]:
        """The goal."""
        return task

    def describe(self, task: Task) -> str:
        """The goal's angle."""
        return f"{math.degrees(math.atan2(float(task[1]), float(task[0]))):.0f} deg"

    @property
    def expert(self) -> Callable[[Task, Float[Array, " 2"]], Float[Array, " 2"]]:
        """Straight to the goal, as fast as it goes."""
        return _expert


def _expert(task: Task, obs: Float[Array, " 2"]) -> Float[Array, " 2"]:
    return jnp.clip((task - obs) / STEP, -1, 1)


def _norm(x: Float[Array, " 2"]) -> Float[Array, ""]:
    return jnp.sqrt(jnp.sum(x**2))
