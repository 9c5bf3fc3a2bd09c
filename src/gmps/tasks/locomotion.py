"""Robots that run: what the locomotion families have in common.

Bodies are Gymnasium's own MuJoCo models, with its frame skips, start noise and observations (v4,
without contact forces). A control step's velocity is how far the root moved in it, over its
duration, as in the environments of MAML, ProMP and PEARL.
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
from gmps.errors import GmpsError
from gmps.tasks.base import Camera, Control, MujocoFamily, State, Transition

#: Control steps of an episode (PEARL's configurations).
HORIZON = 200


@dataclass(frozen=True)
class Runner(MujocoFamily):
    """A robot that runs, without its tasks and rewards.

    The first `hidden` positions, where it is, are not observed; all others are, then all
    velocities. Actions are its motors' inputs.
    """

    #: Gymnasium's file of the model.
    asset: ClassVar[str]
    #: Positions at the start, without noise; the noise of each is uniform within `position_noise`.
    start: ClassVar[tuple[float, ...]]
    #: How many velocities there are.
    speeds: ClassVar[int]
    position_noise: ClassVar[float] = 0.1
    #: Deviation of the velocities at the start, where they are normal.
    velocity_noise: ClassVar[float] = 0.1
    #: How many of the first positions say where it is: 1 on a line, 2 in the plane.
    hidden: ClassVar[int] = 1
    frame_skip: ClassVar[int] = 5
    camera: ClassVar[Camera | None] = Camera((1.0, 0.0, 0.6), 5.0, 90.0, -15.0)

    def model(self) -> mujoco.MjModel:
        """Gymnasium's model as it is."""
        return mujoco.MjModel.from_xml_path(str(gymnasium_asset(self.asset)))

    def reset(self, key: Key[Array, ""], task: Task) -> State:
        """Near the start, wherever the task leads."""
        del task
        position, velocity = jax.random.split(key)
        shape, noise = (len(self.start),), self.position_noise
        offset = jax.random.uniform(position, shape, jnp.float32, minval=-noise, maxval=noise)
        return State(
            qpos=jnp.array(self.start, jnp.float32) + offset,
            qvel=self.start_velocity(velocity),
            mocap_pos=jnp.zeros(0, jnp.float32),
        )

    def start_velocity(self, key: Key[Array, ""]) -> Float[Array, " nv"]:
        """Velocities at the start, in m/s and rad/s."""
        return self.velocity_noise * jax.random.normal(key, (self.speeds,), jnp.float32)

    def observe(self, state: State) -> Float[Array, " obs"]:
        """Positions but where it is, and velocities."""
        return jnp.concatenate([state.qpos[self.hidden :], state.qvel])

    def control(self, state: State, act: Float[Array, " act"]) -> Control:
        """The motors' inputs."""
        del state
        return Control(act, jnp.zeros(0, jnp.float32))

    def velocity(self, transition: Transition) -> Float[Array, " hidden"]:
        """Mean velocity of the root in a control step, m/s."""
        moved = transition.next_state.qpos[: self.hidden] - transition.state.qpos[: self.hidden]
        return moved / self.spec.control_dt

    def paths(
        self, states: State, sensors: Float[Array, "t1 sensor"]
    ) -> dict[str, Float[Array, "t1 2"]]:
        """The path of the `root`: along the line and up, or in the plane."""
        del sensors
        return {"root": states.qpos[:, :2]}

    def travelled(self, states: State) -> Float[Array, " hidden"]:
        """How far the root has come in an episode, m."""
        return states.qpos[-1, : self.hidden] - states.qpos[0, : self.hidden]


def bounded(
    state: State, height: tuple[float, float], lean: float, largest: float = jnp.inf
) -> Bool[Array, ""]:
    """Whether a robot in a vertical plane stands: its root within heights in m, leaning by less
    than `lean` rad, and no number but the first two beyond `largest`."""
    numbers = jnp.concatenate([state.qpos, state.qvel])
    up = (state.qpos[1] > height[0]) & (state.qpos[1] < height[1])
    calm = jnp.isfinite(numbers).all() & (jnp.abs(numbers[2:]) < largest).all()
    return up & calm & (jnp.abs(state.qpos[2]) < lean)


def gymnasium_asset(name: str) -> Path:
    """Where Gymnasium keeps a MuJoCo model.

    Raises:
        GmpsError: Gymnasium is not installed.
    """
    found = importlib.util.find_spec("gymnasium")
    if found is None or found.origin is None:
        raise GmpsError(f"{name} is a robot of gymnasium's; install gymnasium.")
    return Path(found.origin).parent / "envs" / "mujoco" / "assets" / name
