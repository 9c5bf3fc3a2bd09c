"""An ant that must find a goal on a quarter circle around its start.

The ant is Gymnasium's `ant.xml` with motors of gear 30 instead of 150, stepped at 0.01 s with RK4
and no frame skip, for 200 steps (2 s). Goals have radius 2 m and angles from 0 to 90 degrees; the
authors list 40 even angles and publish expert demonstrations for every 4th of them.

Motor order of the 8 actions: hip 4, ankle 4, hip 1, ankle 1, hip 2, ankle 2, hip 3, ankle 3.

Source: Guided Meta-Policy Search (Mendonca et al., NeurIPS 2019) and its released environment.
"""

import importlib.util
import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from gmps.core.types import Task
from gmps.errors import GmpsError
from gmps.tasks.base import Camera, Control, MujocoFamily, Spec, Split, State, Transition
from gmps.tasks.lists import select_evenly

#: Distance of the goals from the origin, in m.
RADIUS = 2.0
#: Indices of the goals with published demonstrations in the list of 40 even angles.
DEMONSTRATED = tuple(range(0, 40, 4))
#: Demonstrated goals (by their index among the ten) that are held out.
HELDOUT_DEMONSTRATIONS = (1, 8)
#: Training goals, as indices in the list of 40: the demonstrated ones but 4 and 32.
TRAIN_INDICES = tuple(i for k, i in enumerate(DEMONSTRATED) if k not in HELDOUT_DEMONSTRATIONS)
#: Held-out goals: the two demonstrated ones (4 and 32), angles in between over the whole range
#: and the end at 90 degrees.
HELDOUT_INDICES = (2, 4, 6, 10, 14, 18, 22, 26, 30, 32, 34, 37, 39)
#: Within this distance of the goal (2-norm), in m, the sparse reward shows the way.
SPARSE_DISTANCE = 0.8
#: A final distance below this, in m, is a success. Our choice; the source has no success measure.
SUCCESS_DISTANCE = 0.5
#: Heights of the torso between which the ant lives, in m.
HEIGHTS = (0.2, 1.0)

_START = (0, 0, 0.55, 1, 0, 0, 0, 0, 1, 0, -1, 0, -1, 0, 1)
_GEAR = 30


def goal_at(angle: Float[Array, "*n"]) -> Float[Array, "*n 2"]:
    """The goal at an angle in rad."""
    return RADIUS * jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1)


def authors_observation(obs: Float[np.ndarray, "*n 122"]) -> Float[np.ndarray, "*n 38"]:
    """Our observation from one in the authors' files: the 84 contact forces are dropped.

    Raises:
        GmpsError: the last axis does not have 122 numbers.
    """
    if obs.shape[-1] != 122:
        raise GmpsError(
            f"The authors' ant observations have 122 numbers, these have {obs.shape[-1]}; give "
            "qpos 15, qvel 14, contact forces 84 and the torso's rotation matrix 9."
        )
    return np.concatenate([obs[..., :29], obs[..., 113:]], -1)


@dataclass(frozen=True)
class AntGoal(MujocoFamily):
    """See the module docstring. A task is its goal, `(2,)` in m.

    Observation, 38 numbers: qpos 15 (world x, y and unit quaternion included), qvel 14, rotation
    matrix of the torso by rows 9.
    """

    #: Whether starts vary: standard deviation 0.01 on qpos and 0.1 on qvel.
    start_noise: bool = True
    #: Whether the distance to the goal is paid only near the goal: see `reward`.
    sparse: bool = False
    #: Training goals: those with published demonstrations that are not held out (8), or all of the
    #: authors' 40 that are not held out (27).
    goals: Literal["demonstrated", "all"] = "demonstrated"

    variant_of: ClassVar[str | None] = "ant-goal"
    spec: ClassVar[Spec] = Spec(
        obs_size=38, act_size=8, context_size=2, horizon=200, control_dt=0.01
    )
    frame_skip: ClassVar[int] = 1
    camera: ClassVar[Camera] = Camera((0.9, 0.9, 0.0), 5.0, 45.0, -50.0)

    @property
    def name(self) -> str:
        """`ant-goal` or `ant-goal-sparse`."""
        return "ant-goal-sparse" if self.sparse else "ant-goal"

    @property
    def summary(self) -> str:
        """The variant in words."""
        paid = "the way is paid for only near it" if self.sparse else "dense reward"
        return f"An ant that must find a goal on a quarter circle; {paid}."

    def tasks(self, split: Split, n: int | None = None, key: Key[Array, ""] | None = None) -> Task:
        """Goals `(n, 2)`; random ones have a uniform angle in both splits."""
        if key is not None:
            count = 1 if n is None else n
            return goal_at(jax.random.uniform(key, (count,), jnp.float32, maxval=math.pi / 2))
        train = TRAIN_INDICES
        if self.goals == "all":
            train = tuple(i for i in range(40) if i not in HELDOUT_INDICES)
        index = np.array(HELDOUT_INDICES if split == "heldout" else train)
        angles = np.linspace(0, math.pi / 2, 40)[index]
        return select_evenly(self.name, goal_at(jnp.asarray(angles, jnp.float32)), n)

    def model(self) -> mujoco.MjModel:
        """Gymnasium's ant with weaker motors and a sensor of the whole body's centre of mass."""
        spec = mujoco.MjSpec.from_file(str(_ant_xml()))
        for motor in spec.actuators:
            motor.gear = [_GEAR, 0, 0, 0, 0, 0]
        spec.add_sensor(
            name="centre_of_mass",
            type=mujoco.mjtSensor.mjSENS_SUBTREECOM,
            objtype=mujoco.mjtObj.mjOBJ_BODY,
            objname="torso",
        )
        return spec.compile()

    def context(self, task: Task) -> Float[Array, " 2"]:
        """The goal."""
        return task

    def reset(self, key: Key[Array, ""], task: Task) -> State:
        """Standing at the origin, with noise if `start_noise`; the quaternion is a unit one."""
        del task
        position, velocity = jax.random.split(key)
        scale = float(self.start_noise)
        qpos = jnp.array(_START, jnp.float32) + 0.01 * scale * jax.random.normal(
            position, (15,), jnp.float32
        )
        quaternion = qpos[3:7] / jnp.linalg.norm(qpos[3:7])
        return State(
            qpos=qpos.at[3:7].set(quaternion),
            qvel=0.1 * scale * jax.random.normal(velocity, (14,), jnp.float32),
            mocap_pos=jnp.zeros(0, jnp.float32),
        )

    def observe(self, state: State) -> Float[Array, " 38"]:
        """Positions, velocities and the torso's rotation matrix."""
        return jnp.concatenate([state.qpos, state.qvel, _rotation(state.qpos[3:7])])

    def recorded_state(self, obs: Float[Array, " 38"]) -> State:
        """All of it is in the observation."""
        return State(obs[:15], obs[15:29], jnp.zeros(0, jnp.float32))

    def convert_observations(
        self, obs: Float[np.ndarray, "*n obs"]
    ) -> Float[np.ndarray, "*n 38"] | None:
        """Observations of a demonstration file as this family has them; None if it has no way."""
        return authors_observation(obs) if obs.shape[-1] == 122 else None

    def control(self, state: State, act: Float[Array, " 8"]) -> Control:
        """Motor commands."""
        del state
        return Control(act, jnp.zeros(0, jnp.float32))

    def reward(self, task: Task, transition: Transition) -> dict[str, Float[Array, ""]]:
        """Dense: minus the 1-norm from the centre of mass to the goal (m), plus two bonuses.

        `goal` is that distance term, `offset` 4.0, `alive` 0.05, `control` -0.005 times the sum
        of squared actions. Sparse: the same within 0.8 m (2-norm) of the goal; further away `goal`
        is the constant that it is at the origin.
        """
        offset = transition.next_sensors[:2] - task
        goal = -jnp.abs(offset).sum()
        if self.sparse:
            near = jnp.sum(offset**2) <= SPARSE_DISTANCE**2
            goal = jnp.where(near, goal, -jnp.abs(task).sum())
        return {
            "goal": goal,
            "offset": jnp.full((), 4.0, jnp.float32),
            "alive": jnp.full((), 0.05, jnp.float32),
            "control": -0.005 * jnp.sum(transition.act**2),
        }

    def terminated(self, state: State) -> Bool[Array, ""]:
        """The torso has left its heights, or a number is not finite."""
        low, high = HEIGHTS
        finite = jnp.isfinite(state.qpos).all() & jnp.isfinite(state.qvel).all()
        return ~(finite & (state.qpos[2] >= low) & (state.qpos[2] <= high))

    def outcome(
        self, task: Task, states: State, sensors: Float[Array, "t1 3"]
    ) -> dict[str, Float[Array, ""]]:
        """`final_distance` of the centre of mass to the goal in m; `success`: below 0.5 m."""
        del states
        distance = jnp.sqrt(jnp.sum((sensors[-1, :2] - task) ** 2))
        success = (distance < SUCCESS_DISTANCE).astype(jnp.float32)
        return {"success": success, "final_distance": distance}

    def paths(
        self, states: State, sensors: Float[Array, "t1 3"]
    ) -> dict[str, Float[Array, "t1 2"]]:
        """The path of the `ant`'s centre of mass."""
        del states
        return {"ant": sensors[:, :2]}

    def goal_point(self, task: Task) -> Float[Array, " 2"]:
        """The goal."""
        return task

    def describe(self, task: Task) -> str:
        """The goal's angle."""
        return f"{math.degrees(math.atan2(float(task[1]), float(task[0]))):.1f} deg"


def _ant_xml() -> Path:
    found = importlib.util.find_spec("gymnasium")
    if found is None or found.origin is None:
        raise ModuleNotFoundError(
            "The ant families take their robot from gymnasium; install gymnasium."
        )
    return Path(found.origin).parent / "envs" / "mujoco" / "assets" / "ant.xml"


def _rotation(quaternion: Float[Array, " 4"]) -> Float[Array, " 9"]:
    """Rotation matrix of a unit quaternion (w, x, y, z), by rows."""
    w, x, y, z = quaternion
    return jnp.stack(
        [
            1 - 2 * (y * y + z * z),
            2 * (x * y - w * z),
            2 * (x * z + w * y),
            2 * (x * y + w * z),
            1 - 2 * (x * x + z * z),
            2 * (y * z - w * x),
            2 * (x * z - w * y),
            2 * (y * z + w * x),
            1 - 2 * (x * x + y * y),
        ]
    )
