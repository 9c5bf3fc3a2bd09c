"""The ant of the ant families: its body, and how it stands, moves and dies.

The ant is Gymnasium's `ant.xml` with motors of gear 30 instead of 150, stepped at 0.01 s with RK4
and no frame skip.
"""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import mujoco
from jaxtyping import Array, Bool, Float, Key

from gmps.core.types import Task
from gmps.tasks.base import Camera, Control, MujocoFamily, Part, State

#: A final distance to a goal below this, in m, is a success. Our choice; the source has no success
#: measure.
SUCCESS_DISTANCE = 0.5
#: Heights of the torso between which the ant lives, in m.
HEIGHTS = (0.2, 1.0)

_START = (0, 0, 0.55, 1, 0, 0, 0, 0, 1, 0, -1, 0, -1, 0, 1)
_GEAR = 30


@dataclass(frozen=True)
class Ant(MujocoFamily):
    """What the ant families have in common: all but their tasks and rewards.

    Observation, 38 numbers: qpos 15 (world x, y and unit quaternion included), qvel 14, rotation
    matrix of the torso by rows 9. Action: 8 motors.
    """

    #: Whether starts vary: standard deviation 0.01 on qpos and 0.1 on qvel.
    start_noise: bool = True

    parts: ClassVar[tuple[Part, ...]] = (
        Part("torso", 3, "m"),
        Part("quaternion", 4),
        Part("joints", 8, "rad"),
        Part("velocity", 3, "m/s"),
        Part("spin", 3, "rad/s"),
        Part("joint_speeds", 8, "rad/s"),
        Part("rotation", 9),
    )
    frame_skip: ClassVar[int] = 1
    camera: ClassVar[Camera | None] = Camera((0.9, 0.9, 0.0), 5.0, 45.0, -50.0)

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

    def control(self, state: State, act: Float[Array, " 8"]) -> Control:
        """Motor commands."""
        del state
        return Control(act, jnp.zeros(0, jnp.float32))

    def terminated(self, state: State) -> Bool[Array, ""]:
        """The torso has left its heights, or a number is not finite."""
        low, high = HEIGHTS
        finite = jnp.isfinite(state.qpos).all() & jnp.isfinite(state.qvel).all()
        return ~(finite & (state.qpos[2] >= low) & (state.qpos[2] <= high))

    def paths(
        self, states: State, sensors: Float[Array, "t1 3"]
    ) -> dict[str, Float[Array, "t1 2"]]:
        """The path of the `ant`'s centre of mass."""
        del states
        return {"ant": sensors[:, :2]}


def dense_reward(
    goal: Float[Array, " 2"], centre: Float[Array, " 2"], act: Float[Array, " 8"]
) -> dict[str, Float[Array, ""]]:
    """Minus the 1-norm from the centre of mass to the goal (m), plus two bonuses.

    `goal` is that distance term, `offset` 4.0, `alive` 0.05, `control` -0.005 times the sum of
    squared actions.
    """
    return {
        "goal": -jnp.abs(centre - goal).sum(),
        "offset": jnp.full((), 4.0, jnp.float32),
        "alive": jnp.full((), 0.05, jnp.float32),
        "control": -0.005 * jnp.sum(act**2),
    }


def distance_outcome(
    goal: Float[Array, " 2"], centre: Float[Array, " 2"]
) -> dict[str, Float[Array, ""]]:
    """`final_distance` of the centre of mass to the goal in m; `success`: below 0.5 m."""
    distance = jnp.sqrt(jnp.sum((centre - goal) ** 2))
    success = (distance < SUCCESS_DISTANCE).astype(jnp.float32)
    return {"success": success, "final_distance": distance}


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
