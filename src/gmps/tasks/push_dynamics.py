"""Pushing a block: the tasks differ in its hidden mass and friction, not in the goal.

The scene of `gmps.tasks.sawyer_push`, always with the same goal; a task is `(friction, mass)`. A
block with little friction slides on when the hand stops, by up to 7 cm; a heavy one on rough
ground holds the hand back. Beyond the paper, whose tasks differ in goals.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Float, Key

from gmps.tasks.base import State, Transition
from gmps.tasks.choices import Split
from gmps.tasks.lists import lattice, select_evenly
from gmps.tasks.sawyer_push import PushScene, block_outcome, dense_reward, push_expert

#: The goal of all tasks, m.
GOAL = (0.0, 0.75)
#: Ranges of the sliding friction between block and table, and of the block's mass in kg. From a
#: friction of 0.7 on, a finger that drags the block down makes it jam and then jump.
FRICTION = (0.03, 0.5)
MASS = (0.01, 1.0)
#: Deceleration that the expert counts on, per unit of friction, m/s^2: less than gravity, because
#: the hand does not follow its target at once.
_DECELERATION = 4.0


def _spread(unit: np.ndarray) -> np.ndarray:
    """Tasks at points of the unit square, uniform in the logarithm."""
    low, high = np.log([FRICTION[0], MASS[0]]), np.log([FRICTION[1], MASS[1]])
    return np.exp(low + unit * (high - low))


@dataclass(frozen=True)
class PushDynamics(PushScene):
    """See the module docstring. A task is `(friction, mass)`, the mass in kg.

    Observation, action, start, reward and horizon are those of `sawyer-push`.
    """

    name: ClassVar[str] = "push-dynamics"
    edits_model: ClassVar[bool] = True

    def tasks(
        self, split: Split, n: int | None = None, key: Key[Array, ""] | None = None
    ) -> Float[Array, "n 2"]:
        """Published: 20 spread over the ranges, or a 4 x 4 grid with their ends; random: uniform
        in the logarithm, for either split."""
        if key is not None:
            low, high = (jnp.log(jnp.array([FRICTION[i], MASS[i]])) for i in (0, 1))
            count = 1 if n is None else n
            return jnp.exp(jax.random.uniform(key, (count, 2), minval=low, maxval=high))
        line = np.linspace(0, 1, 4)
        grid = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
        tasks = _spread(grid if split == "heldout" else lattice(20, 2))
        return select_evenly(self.name, jnp.asarray(tasks, jnp.float32), n)

    def edit_model(self, model: mujoco.MjModel, task: Any) -> None:
        """Set the block's mass and its friction on the table."""
        friction, mass = task
        model.body("block").mass = mass
        # Of two geoms in contact the larger friction counts; only the block touches the table.
        for name in ("table", "block_foot"):
            model.geom(name).friction[0] = friction

    def context(self, task: Float[Array, " 2"]) -> Float[Array, " 2"]:
        """Logarithms of friction and mass, from -1 to 1 over their ranges."""
        low, high = (jnp.log(jnp.array([FRICTION[i], MASS[i]])) for i in (0, 1))
        return 2 * (jnp.log(task) - low) / (high - low) - 1

    def reward(
        self, task: Float[Array, " 2"], transition: Transition
    ) -> dict[str, Float[Array, ""]]:
        """The dense reward of `sawyer-push` with the one goal, whatever the task."""
        del task
        return dense_reward(jnp.array(GOAL), transition.next_state)

    def outcome(
        self, task: Float[Array, " 2"], states: State, sensors: Float[Array, "t1 0"]
    ) -> dict[str, Float[Array, ""]]:
        """As `sawyer-push`."""
        del task, sensors
        return block_outcome(jnp.array(GOAL), states)

    def goal_point(self, task: Float[Array, " 2"]) -> Float[Array, " 2"]:
        """The goal, the same in all tasks, m."""
        del task
        return jnp.array(GOAL)

    def describe(self, task: Float[Array, " 2"]) -> str:
        """As in `friction 0.1, 50 g`."""
        return f"friction {float(task[0]):.2g}, {1000 * float(task[1]):.3g} g"

    @property
    def expert(self) -> Callable[[Float[Array, " 2"], Float[Array, " 6"]], Float[Array, " 3"]]:
        """The controller of `sawyer-push`, which pushes no faster than the friction allows."""
        return dynamics_expert


def dynamics_expert(task: Float[Array, " 2"], obs: Float[Array, " 6"]) -> Float[Array, " 3"]:
    """`push_expert` that knows how far the block slides by itself."""
    return push_expert(jnp.array(GOAL), obs, _DECELERATION * task[0])
