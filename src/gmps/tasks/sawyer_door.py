"""Sawyer door opening: open a door to a hidden angle.

Mendonca et al., Guided Meta-Policy Search, 2019, appendix; constants and goals from the authors'
released code. The task is the target angle in rad, `(1,)`: any `(n, 1)` array is a batch of tasks.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Float, Key

from gmps.errors import GmpsError
from gmps.tasks import sawyer
from gmps.tasks.base import Camera, Control, MujocoFamily, Part, Spec, State, Transition
from gmps.tasks.choices import Split
from gmps.tasks.lists import select_evenly

Angles = tuple[float, ...]

#: The authors' 20 training angles (`door_60deg`), rad.
# fmt: off
TRAIN_ANGLES: Angles = (
    0.540517, 0.726387, 0.17708, 0.41563, 0.373553, 0.039918, 0.116186, 0.42904, 0.491238,
    0.189331, 0.715937, 0.15213, 0.253194, 0.717084, 0.649269, 0.081505, 0.54285, 0.970528,
    0.710472, 0.605702,
)
#: The authors' second validation list (`door_60deg_val1`), 20 even angles from 0 to 60 degrees,
#: without the 0: there every policy's return is 0, whatever it does.
HELDOUT_ANGLES: Angles = (
    0.055116, 0.110232, 0.165347, 0.220463, 0.275579, 0.330695, 0.385811, 0.440926, 0.496042,
    0.551158, 0.606274, 0.661389, 0.716505, 0.771621, 0.826737, 0.881853, 0.936968, 0.992084,
    1.0472,
)
#: The authors' first validation list (`door_60deg_val`), rad; it ends at 50 degrees.
AUTHORS_VALIDATION_ANGLES: Angles = (
    0.055346, 0.225959, 0.543578, 0.715438, 0.451584, 0.589817, 0.03692, 0.34794, 0.203978,
    0.851727, 0.196801, 0.401372, 0.723479, 0.682893, 0.605526, 0.588045, 0.384803, 0.072315,
    0.073257, 0.874888,
)
# fmt: on
#: The largest target, rad.
MAX_ANGLE = math.pi / 3
HAND_START = (0.0, 0.4, 0.1)
#: The hinge, m, and the handle's centre relative to it with the door closed, m.
HINGE = (0.2, 1.0, 0.3)
HANDLE = (-0.3, -0.1, 0.0)
#: Half sizes of the door, m, and its mass, kg.
DOOR_SIZE = (0.2, 0.01, 0.15)
DOOR_MASS = 1.0
#: Damping of the hinge, N m s/rad: the door stops where it is let go. Range, rad.
HINGE_DAMPING = 5.0
HINGE_RANGE = (0.0, 1.4)
#: The handle is a square of four bars, open above and below, that a finger dips into: half its
#: edge and half the thickness of the bars, m.
HANDLE_SIZE, BAR_HALF = 0.032, 0.006
#: The reward of the released code is paid with the fingers' centre this close to the handle, m.
NEAR = 0.1

_LEVER = math.hypot(HANDLE[0], HANDLE[1])
_CLOSED = math.atan2(HANDLE[1], HANDLE[0])


def handle_at(angle: Float[Array, ""]) -> Float[Array, " 3"]:
    """The handle's centre with the door open by `angle` rad, m."""
    c, s = jnp.cos(angle), jnp.sin(angle)
    x, y, z = HANDLE
    return jnp.array(HINGE) + jnp.stack([c * x - s * y, s * x + c * y, jnp.full_like(c, z)])


def angle_of(handle: Float[Array, " 3"]) -> Float[Array, ""]:
    """The door's angle from the handle's centre, rad; the inverse of `handle_at`."""
    x, y = handle[0] - HINGE[0], handle[1] - HINGE[1]
    # Measured from the closed door, so that the jump of the arctangent lies at 180 degrees.
    c, s = math.cos(_CLOSED), math.sin(_CLOSED)
    return jnp.arctan2(c * y - s * x, c * x + s * y)


@dataclass(frozen=True)
class SawyerDoor(MujocoFamily):
    """Open the door to the target angle.

    Observation: hand xyz, handle xyz (m); the handle tells the door's angle. Action: the move of
    the hand's target, 1 cm per unit. Every episode starts in the same state, with the door closed,
    and lasts 100 steps of 0.05 s.
    """

    #: Whether the reward is paid wherever the hand is: see `reward`.
    always_paid: bool = False
    #: The published angles of each split, rad.
    train_angles: Angles = TRAIN_ANGLES
    heldout_angles: Angles = HELDOUT_ANGLES

    variant_of: ClassVar[str | None] = "sawyer-door"
    parts: ClassVar[tuple[Part, ...]] = (Part("hand", 3, "m"), Part("handle", 3, "m"))
    spec: ClassVar[Spec] = Spec(
        obs_size=6,
        act_size=3,
        context_size=1,
        horizon=100,
        control_dt=sawyer.TIMESTEP * sawyer.FRAME_SKIP,
    )
    frame_skip: ClassVar[int] = sawyer.FRAME_SKIP
    camera: ClassVar[Camera] = Camera((0.0, 0.8, 0.22), 1.15, 60.0, -35.0)
    #: A final error below this is a success, rad.
    success_angle: ClassVar[float] = math.radians(3.0)

    def __post_init__(self) -> None:
        """Raises GmpsError where a list of angles is empty or not of finite numbers."""
        for name in ("train_angles", "heldout_angles"):
            angles = getattr(self, name)
            if not angles or np.ndim(angles) != 1 or not np.isfinite(angles).all():
                raise GmpsError(
                    f"sawyer-door: {name} must be one or more finite angles in rad, but is "
                    f"{angles!r}; give for example (0.3, 0.9)"
                )

    @property
    def name(self) -> str:
        """`sawyer-door` or `sawyer-door-appendix`."""
        return "sawyer-door-appendix" if self.always_paid else "sawyer-door"

    @property
    def summary(self) -> str:
        """The variant in words."""
        paid = "always rewarded" if self.always_paid else "rewarded with the hand at the handle"
        return f"A robot hand opens a door to a hidden angle; {paid}."

    def model(self) -> mujoco.MjModel:
        """`qpos`: hand xyz (m), door angle (rad)."""
        spec = sawyer.scene()
        spec.compiler.degree = False
        width, depth, height = DOOR_SIZE
        door = spec.worldbody.add_body(
            name="door",
            pos=HINGE,
            mass=DOOR_MASS,
            ipos=[-width, 0.0, 0.0],
            inertia=[DOOR_MASS / 3 * (height**2 + depth**2)] * 2 + [DOOR_MASS / 3 * width**2],
            explicitinertial=True,
        )
        hinge = door.add_joint(name="hinge", type=mujoco.mjtJoint.mjJNT_HINGE, axis=[0, 0, 1])
        sawyer.set_damping(hinge, HINGE_DAMPING)
        hinge.limited = mujoco.mjtLimited.mjLIMITED_TRUE
        hinge.range = HINGE_RANGE
        how = {
            "friction": [1.0, 0.005, 0.0001],
            "contype": 0,
            "conaffinity": sawyer.FINGER_BIT,
            "solref": sawyer.CONTACT_SOLREF,
            "solimp": sawyer.CONTACT_SOLIMP,
        }
        box = mujoco.mjtGeom.mjGEOM_BOX
        brown, grey = [0.55, 0.4, 0.25, 1.0], [0.25, 0.25, 0.28, 1.0]
        door.add_geom(name="door", type=box, pos=[-width, 0, 0], size=DOOR_SIZE, rgba=brown, **how)
        corners = np.array(HANDLE) + HANDLE_SIZE * np.array(
            [[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]
        )
        bars = [(corners[i], corners[(i + 1) % 4]) for i in range(4)]
        neck = np.add(HANDLE, [0.0, HANDLE_SIZE, 0.0])
        bars.append((neck, np.array([HANDLE[0], 0.0, 0.0])))
        for i, (start, end) in enumerate(bars):
            door.add_geom(
                name=f"bar{i}",
                type=box,
                fromto=[*start, *end],
                size=[BAR_HALF, BAR_HALF, 0.0],
                rgba=grey,
                **how,
            )
        return spec.compile()

    def tasks(
        self, split: Split, n: int | None = None, key: Key[Array, ""] | None = None
    ) -> Float[Array, "n 1"]:
        """Target angles in rad. With a key: uniform from 0 to 60 degrees, for either split."""
        angles = {"train": self.train_angles, "heldout": self.heldout_angles}[split]
        if key is not None:
            count = len(angles) if n is None else n
            return jax.random.uniform(key, (count, 1), jnp.float32, maxval=MAX_ANGLE)
        return select_evenly(self.name, jnp.array(angles, jnp.float32)[:, None], n)

    def context(self, task: Float[Array, " 1"]) -> Float[Array, " 1"]:
        """The target angle, rad."""
        return task

    def reset(self, key: Key[Array, ""], task: Float[Array, " 1"]) -> State:
        """The one start state: settled hand, closed door, everything at rest."""
        del key, task
        hand, target = sawyer.start(HAND_START)
        return State(
            jnp.concatenate([hand, jnp.zeros(1, jnp.float32)]), jnp.zeros(4, jnp.float32), target
        )

    def control(self, state: State, act: Float[Array, " 3"]) -> Control:
        """Moves the hand's target; there is no actuator, the gripper stays as it is."""
        return Control(jnp.zeros(0, jnp.float32), sawyer.move_target(state.mocap_pos, act))

    @property
    def observation_names(self) -> tuple[str, ...]:
        """See `TaskFamily`."""
        return tuple(f"{part} {axis} (m)" for part in ("hand", "handle") for axis in "xyz")

    @property
    def action_names(self) -> tuple[str, ...]:
        """See `TaskFamily`."""
        return tuple(f"move of the hand along {axis} (cm)" for axis in "xyz")

    def observe(self, state: State) -> Float[Array, " 6"]:
        """Hand xyz, handle xyz (m)."""
        return jnp.concatenate([state.qpos[:3], handle_at(state.qpos[3])])

    def reward(
        self, task: Float[Array, " 1"], transition: Transition
    ) -> dict[str, Float[Array, ""]]:
        """`angle`: 10 times the door's angle up to the target, from there on falling as fast, at
        least 0. Paid while the fingers' centre is within 0.1 m of the handle, or always."""
        obs = self.observe(transition.next_state)
        angle, target = transition.next_state.qpos[3], task[0]
        paid = jnp.maximum(0.0, 10.0 * jnp.minimum(angle, 2 * target - angle))
        if not self.always_paid:
            fingers = obs[:3] + jnp.array(sawyer.FINGER_CENTRE)
            near = jnp.sum((fingers - obs[3:]) ** 2) < NEAR**2
            paid = jnp.where(near, paid, 0.0)
        return {"angle": paid}

    def outcome(
        self, task: Float[Array, " 1"], states: State, sensors: Float[Array, "t1 0"]
    ) -> dict[str, Float[Array, ""]]:
        """`final_error`: of the door's angle at the end, rad; `success`: 1 if that is below
        `success_angle`, here 3 degrees."""
        del sensors
        error = jnp.abs(states.qpos[-1, 3] - task[0])
        return {"success": (error < self.success_angle).astype(jnp.float32), "final_error": error}

    def paths(
        self, states: State, sensors: Float[Array, "t1 0"]
    ) -> dict[str, Float[Array, "t1 2"]]:
        """`hand` and `handle`, seen from above, m."""
        del sensors
        return {"hand": states.qpos[:, :2], "handle": jax.vmap(handle_at)(states.qpos[:, 3])[:, :2]}

    def goal_point(self, task: Float[Array, " 1"]) -> Float[Array, " 2"]:
        """Where the handle is at the target angle, m."""
        return handle_at(task[0])[:2]

    def goal_marker(self, task: Float[Array, " 1"]) -> Float[Array, " 3"]:
        """Where the handle's centre is at the target angle, m."""
        return handle_at(task[0])

    def describe(self, task: Float[Array, " 1"]) -> str:
        """The target, as in `open by 30.0 deg`."""
        return f"open by {math.degrees(float(task[0])):.1f} deg"

    @property
    def expert(self) -> Callable[[Float[Array, " 1"], Float[Array, " 6"]], Float[Array, " 3"]]:
        """The scripted controller, `door_expert`."""
        return door_expert


#: Height of the hand over the handle to pass at, and to hold it at, m.
_OVER, _HOLD = 0.085, 0.02
#: The front finger is in the handle below this height, and outside it above, m.
_DIPPED = 0.05


def door_expert(task: Float[Array, " 1"], obs: Float[Array, " 6"]) -> Float[Array, " 3"]:
    """Scripted controller: a smooth function of the task and the observation, without memory.

    The front finger goes over the handle, dips into it and moves along the handle's circle, the
    slower the closer the door is to the target, forwards or back. If the hand is low and beside
    the handle it rises first. Every decision is a sigmoid, so that a network can imitate it and it
    can label any state that a poor learner visits.

    Returns an action in [-1, 1]^3.
    """
    hand, handle = obs[:3], obs[3:]
    error = task[0] - angle_of(handle)
    offset = hand[:2] + jnp.array([0.0, sawyer.FRONT_FINGER_Y]) - handle[:2]
    height = hand[2] - handle[2]

    # Numbers from 0 (no) to 1 (yes).
    gap = jnp.sqrt(offset @ offset + 1e-8)
    centred = _above(0.013, gap, 0.002)
    inside = _above(HANDLE_SIZE, gap, 0.002)
    dipped = _above(_DIPPED, height, 0.003)
    held = inside * dipped
    passing = jnp.maximum(_above(height, _OVER - 0.025, 0.003), _above(gap, 0.14, 0.008))

    # Towards the handle, but not into it from the side.
    course = -offset / jnp.maximum(jnp.abs(offset).max(), 0.012) * passing
    level = _OVER + (_HOLD - _OVER) * jnp.maximum(centred, held)
    climb = jnp.clip(50.0 * (level - height), -1.0, 1.0)

    # Along the handle's circle; across it, stay in the middle.
    arm = (handle[:2] - jnp.array(HINGE[:2])) / _LEVER
    along = jnp.stack([-arm[1], arm[0]])
    speed = jnp.clip(40.0 * _LEVER * error, -1.0, 1.0)
    pull = speed * along / jnp.abs(along).max() - 40.0 * (offset @ arm) * arm
    course = held * pull + (1 - held) * course
    course = course / jnp.maximum(jnp.abs(course).max(), 1.0)
    return jnp.append(course, climb)


def _above(
    x: Float[Array, ""] | float, threshold: Float[Array, ""] | float, width: float
) -> Float[Array, ""]:
    """0 where `x` is well below `threshold`, 1 where it is well above."""
    return jax.nn.sigmoid((x - threshold) / width)
