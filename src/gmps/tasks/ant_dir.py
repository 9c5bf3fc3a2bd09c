"""An ant that must find out in which direction to run.

A task is an angle. Reward: velocity in its direction, a bonus for living and a control cost; an
episode ends where the torso leaves its heights.

Source: Rakelly et al. 2019 (PEARL, arXiv:1903.08254: 200 steps, and the released environment
`ant-dir`), after Finn et al. 2017 (MAML) and Rothfuss et al. 2019 (ProMP, the whole circle). The
ant is Gymnasium's, with its motors of gear 150. A contact cost that is 0 in their version of MuJoCo
is left out. `ant-forward-backward` has the two tasks of PEARL's figure, 0 and 180 degrees, in both
splits; on the whole circle angles are an even list, of which each third is held out.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from gmps.tasks.ant import HEIGHTS
from gmps.tasks.base import Camera, Part, Spec, State, Transition
from gmps.tasks.choices import Split
from gmps.tasks.lists import select_evenly
from gmps.tasks.locomotion import HORIZON, Runner

#: To have come so far the right way, in m, is a success: our choice.
FAR = 2.0


@dataclass(frozen=True)
class AntDir(Runner):
    """See the module docstring. A task is the unit vector of its direction, `(2,)`."""

    #: Whether the tasks are forward and backward alone.
    two_ways: bool = False

    asset: ClassVar[str] = "ant.xml"
    start: ClassVar[tuple[float, ...]] = (0, 0, 0.75, 1, *(0,) * 11)
    speeds: ClassVar[int] = 14
    hidden: ClassVar[int] = 2
    variant_of: ClassVar[str | None] = "ant-dir"
    spec: ClassVar[Spec] = Spec(
        obs_size=27, act_size=8, context_size=2, horizon=HORIZON, control_dt=0.05
    )
    parts: ClassVar[tuple[Part, ...]] = (
        Part("height", 1, "m"),
        Part("quaternion", 4),
        Part("joints", 8, "rad"),
        Part("velocity", 3, "m/s"),
        Part("spin", 3, "rad/s"),
        Part("joint_speeds", 8, "rad/s"),
    )
    camera: ClassVar[Camera | None] = Camera((0.0, 0.0, 0.0), 10.0, 90.0, -60.0)

    @property
    def name(self) -> str:
        """`ant-dir` or `ant-forward-backward`."""
        return "ant-forward-backward" if self.two_ways else "ant-dir"

    @property
    def summary(self) -> str:
        """The variant in words."""
        which = "forward or backward" if self.two_ways else "of the whole circle"
        return f"An ant that must find out in which direction to run: {which}."

    def tasks(
        self, split: Split, n: int | None = None, key: Key[Array, ""] | None = None
    ) -> Float[Array, "n 2"]:
        """20 to train on and 10 held out, or both ways in both splits; random ones are uniform."""
        count = 1 if n is None else n
        if self.two_ways and key is not None:
            angles = math.pi * jax.random.bernoulli(key, shape=(count,)).astype(jnp.float32)
        elif key is not None:
            angles = jax.random.uniform(key, (count,), jnp.float32, maxval=2 * math.pi)
        elif self.two_ways:
            angles = jnp.array([0.0, math.pi], jnp.float32)
        else:
            held_out = np.arange(30) % 3 == 0
            chosen = held_out if split == "heldout" else ~held_out
            angles = jnp.asarray(np.arange(30)[chosen] * (2 * math.pi / 30), jnp.float32)
        tasks = jnp.stack([jnp.cos(angles), jnp.sin(angles)], -1)
        return tasks if key is not None else select_evenly(self.name, tasks, n)

    def context(self, task: Float[Array, " 2"]) -> Float[Array, " 2"]:
        """The direction."""
        return task

    def reset(self, key: Key[Array, ""], task: Float[Array, " 2"]) -> State:
        """Standing near the origin; the quaternion is a unit one."""
        state = super().reset(key, task)
        quaternion = state.qpos[3:7] / jnp.linalg.norm(state.qpos[3:7])
        return state._replace(qpos=state.qpos.at[3:7].set(quaternion))

    def terminated(self, state: State) -> Bool[Array, ""]:
        """The torso has left its heights, or a number is not finite."""
        finite = jnp.isfinite(state.qpos).all() & jnp.isfinite(state.qvel).all()
        low, high = HEIGHTS
        return ~(finite & (state.qpos[2] >= low) & (state.qpos[2] <= high))

    def reward(
        self, task: Float[Array, " 2"], transition: Transition
    ) -> dict[str, Float[Array, ""]]:
        """`forward`: the velocity in the direction, m/s; `alive`: 1; `control`: -0.5 times the sum
        of squared actions."""
        return {
            "forward": self.velocity(transition) @ task,
            "alive": jnp.ones((), jnp.float32),
            "control": -0.5 * jnp.sum(transition.act**2),
        }

    def outcome(
        self, task: Float[Array, " 2"], states: State, sensors: Float[Array, "t1 0"]
    ) -> dict[str, Float[Array, ""]]:
        """`distance` in the direction, m; `success`: above 2."""
        del sensors
        distance = self.travelled(states) @ task
        return {"success": (distance > FAR).astype(jnp.float32), "distance": distance}

    def goal_point(self, task: Float[Array, " 2"]) -> Float[Array, " 2"]:
        """4 m in the direction."""
        return 4 * task

    def describe(self, task: Float[Array, " 2"]) -> str:
        """The angle."""
        return f"{math.degrees(math.atan2(float(task[1]), float(task[0]))) % 360:.0f} deg"
