"""A half-cheetah that must find out how fast to run.

A task is a velocity from 0 to 3 m/s. Reward: minus the distance to it, and a control cost.

Source: Finn et al. 2017 (MAML, velocities to 2 m/s) and Rakelly et al. 2019 (PEARL,
arXiv:1903.08254: to 3 m/s, 200 steps, and the released environment `cheetah-vel`). Their velocities
are drawn at random, 100 to train on and 30 held out; ours are an even list, of which each third is
held out. They observe the position of the torso besides, which we leave out, as Gymnasium does.
"""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from gmps.tasks.base import Spec, State, Transition
from gmps.tasks.choices import Split
from gmps.tasks.half_cheetah import HalfCheetah, control_cost
from gmps.tasks.lists import select_evenly
from gmps.tasks.locomotion import HORIZON

#: The fastest task, m/s.
FASTEST = 3.0
#: A mean velocity over the second half of the episode this near, in m/s, is a success: our choice.
NEAR = 0.3


@dataclass(frozen=True)
class HalfCheetahVel(HalfCheetah):
    """See the module docstring. A task is `(1,)`, m/s."""

    name: ClassVar[str] = "half-cheetah-vel"
    spec: ClassVar[Spec] = Spec(
        obs_size=17, act_size=6, context_size=1, horizon=HORIZON, control_dt=0.05
    )

    def tasks(
        self, split: Split, n: int | None = None, key: Key[Array, ""] | None = None
    ) -> Float[Array, "n 1"]:
        """20 to train on and 10 held out, the slowest and the fastest among these; random ones are
        uniform in both splits."""
        if key is not None:
            return jax.random.uniform(key, (1 if n is None else n, 1), jnp.float32, maxval=FASTEST)
        index = np.arange(30)
        held_out = np.isin(index % 3, 0) & (index < 27) | (index == 29)
        chosen = np.linspace(0, FASTEST, 30)[held_out if split == "heldout" else ~held_out]
        return select_evenly(self.name, jnp.asarray(chosen[:, None], jnp.float32), n)

    def context(self, task: Float[Array, " 1"]) -> Float[Array, " 1"]:
        """The velocity, from -1 to 1."""
        return 2 * task / FASTEST - 1

    def reward(
        self, task: Float[Array, " 1"], transition: Transition
    ) -> dict[str, Float[Array, ""]]:
        """`speed`: minus the distance of the velocity to the task's; `control`: -0.05 times the sum
        of squared actions."""
        speed = -jnp.abs(self.velocity(transition)[0] - task[0])
        return {"speed": speed, "control": control_cost(transition.act)}

    def outcome(
        self, task: Float[Array, " 1"], states: State, sensors: Float[Array, "t1 0"]
    ) -> dict[str, Float[Array, ""]]:
        """`speed_error`: of the mean velocity over the second half, m/s; `success`: below 0.3."""
        del sensors
        x = states.qpos[:, 0]
        middle = (len(x) - 1) // 2
        speed = (x[-1] - x[middle]) / ((len(x) - 1 - middle) * self.spec.control_dt)
        error = jnp.abs(speed - task[0])
        return {"success": (error < NEAR).astype(jnp.float32), "speed_error": error}

    def goal_point(self, task: Float[Array, " 1"]) -> Float[Array, " 2"]:
        """Where it would be after the episode."""
        return jnp.stack([task[0] * HORIZON * self.spec.control_dt, jnp.zeros(())])

    def describe(self, task: Float[Array, " 1"]) -> str:
        """As in `1.5 m/s`."""
        return f"{float(task[0]):.2f} m/s"
