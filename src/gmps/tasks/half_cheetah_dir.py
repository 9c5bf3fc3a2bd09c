"""A half-cheetah that must find out which of two ways to run; no policy serves both.

A task is a direction, 1 or -1. Reward: velocity in it, and a control cost.

Source: Finn et al. 2017 (MAML) and Rakelly et al. 2019 (PEARL, arXiv:1903.08254: 200 steps, and the
released environment `cheetah-dir`). As there, nothing is held out: both splits are the two tasks.
"""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from gmps.tasks.base import Spec, State, Transition
from gmps.tasks.choices import Split
from gmps.tasks.half_cheetah import HalfCheetah, control_cost
from gmps.tasks.lists import select_evenly
from gmps.tasks.locomotion import HORIZON

#: To have come so far the right way, in m, is a success: our choice.
FAR = 2.0


@dataclass(frozen=True)
class HalfCheetahDir(HalfCheetah):
    """See the module docstring. A task is `(1,)`."""

    name: ClassVar[str] = "half-cheetah-dir"
    spec: ClassVar[Spec] = Spec(
        obs_size=17, act_size=6, context_size=1, horizon=HORIZON, control_dt=0.05
    )

    def tasks(
        self, split: Split, n: int | None = None, key: Key[Array, ""] | None = None
    ) -> Float[Array, "n 1"]:
        """Both directions, in both splits; random ones are one or the other."""
        del split
        if key is not None:
            return jax.random.rademacher(key, (1 if n is None else n, 1), jnp.float32)
        return select_evenly(self.name, jnp.array([[1.0], [-1.0]], jnp.float32), n)

    def context(self, task: Float[Array, " 1"]) -> Float[Array, " 1"]:
        """The direction."""
        return task

    def reward(
        self, task: Float[Array, " 1"], transition: Transition
    ) -> dict[str, Float[Array, ""]]:
        """`forward`: the velocity in the direction, m/s; `control`: -0.05 times the sum of squared
        actions."""
        forward = task[0] * self.velocity(transition)[0]
        return {"forward": forward, "control": control_cost(transition.act)}

    def outcome(
        self, task: Float[Array, " 1"], states: State, sensors: Float[Array, "t1 0"]
    ) -> dict[str, Float[Array, ""]]:
        """`distance` in the direction, m; `success`: above 2."""
        del sensors
        distance = task[0] * self.travelled(states)[0]
        return {"success": (distance > FAR).astype(jnp.float32), "distance": distance}

    def goal_point(self, task: Float[Array, " 1"]) -> Float[Array, " 2"]:
        """10 m in the direction."""
        return jnp.stack([10 * task[0], jnp.zeros(())])

    def describe(self, task: Float[Array, " 1"]) -> str:
        """In words."""
        return "forward" if float(task[0]) > 0 else "backward"
