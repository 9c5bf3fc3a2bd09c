"""An ant with hidden motors: the tasks differ in the gear of each leg, not in the goal.

The ant of `ant-goal`, always with the same goal at 45 degrees; a task is four factors,
by which the gear of the motors of legs 1 to 4 differs from that of `ant-goal`. A policy must find
out how its own body has changed. Beyond the paper, whose tasks differ in goals.
"""

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Float, Key

from gmps.core.types import Task
from gmps.tasks.ant import Ant, dense_reward, distance_outcome
from gmps.tasks.ant_goal import RADIUS
from gmps.tasks.base import Spec, State, Transition
from gmps.tasks.choices import Split
from gmps.tasks.lists import lattice, select_evenly

#: The goal of all tasks, m.
GOAL = (RADIUS * math.cos(math.pi / 4), RADIUS * math.sin(math.pi / 4))
#: Range of the factors of a leg's gear.
FACTORS = (0.3, 1.5)
#: Which leg, from 0, each of the 8 motors moves.
LEG_OF_MOTOR = (3, 3, 0, 0, 1, 1, 2, 2)


def _train_factors() -> np.ndarray:
    low, high = FACTORS
    return low + (high - low) * lattice(20, 4)


def _heldout_factors() -> np.ndarray:
    """The unchanged ant, all legs weak or strong, each leg weak alone, each pair weak."""
    low, high = FACTORS
    rows = [np.ones(4), np.full(4, low), np.full(4, high)]
    for weak in ((0,), (1,), (2,), (3,), (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)):
        rows.append(np.where(np.isin(np.arange(4), weak), low, 1.0))
    return np.stack(rows)


@dataclass(frozen=True)
class AntGear(Ant):
    """See the module docstring. A task is the factors of the legs' gear, `(4,)`.

    Observation, action, start, end and horizon are those of `ant-goal`.
    """

    name: ClassVar[str] = "ant-gear"
    spec: ClassVar[Spec] = Spec(
        obs_size=38, act_size=8, context_size=4, horizon=200, control_dt=0.01
    )
    edits_model: ClassVar[bool] = True

    def tasks(self, split: Split, n: int | None = None, key: Key[Array, ""] | None = None) -> Task:
        """Factors `(n, 4)`; random ones are uniform in both splits."""
        low, high = FACTORS
        if key is not None:
            count = 1 if n is None else n
            return jax.random.uniform(key, (count, 4), jnp.float32, minval=low, maxval=high)
        factors = _heldout_factors() if split == "heldout" else _train_factors()
        return select_evenly(self.name, jnp.asarray(factors, jnp.float32), n)

    def edit_model(self, model: mujoco.MjModel, task: Any) -> None:
        """Multiply each motor's gear by its leg's factor."""
        model.actuator_gear[:, 0] *= np.asarray(task)[list(LEG_OF_MOTOR)]

    def context(self, task: Task) -> Float[Array, " 4"]:
        """The factors."""
        return task

    def reward(self, task: Task, transition: Transition) -> dict[str, Float[Array, ""]]:
        """The dense reward of `ant-goal` with the goal at 45 degrees, whatever the task."""
        del task
        return dense_reward(jnp.array(GOAL), transition.next_sensors[:2], transition.act)

    def outcome(
        self, task: Task, states: State, sensors: Float[Array, "t1 3"]
    ) -> dict[str, Float[Array, ""]]:
        """As `ant-goal`."""
        del task, states
        return distance_outcome(jnp.array(GOAL), sensors[-1, :2])

    def goal_point(self, task: Task) -> Float[Array, " 2"]:
        """The goal, the same in all tasks."""
        del task
        return jnp.array(GOAL)

    def describe(self, task: Task) -> str:
        """The factors, as in `gear x 0.3 1 1 1`."""
        return "gear x " + " ".join(f"{float(x):.2g}" for x in task)
