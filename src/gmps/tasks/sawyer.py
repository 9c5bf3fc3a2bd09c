"""The scene that the Sawyer families share: a table and a mocap-driven hand.

Built in code from primitive shapes. The arm is not simulated; what it does to the hand is: the hand
trails its target as the authors' arm does (a critically damped constraint), and the arm's limited
reach shows as a soft limit on the hand's y. See `docs/families/sawyer-push.md` for the fit.

World frame: x to the side, y away from the robot, z up; the table top is z = 0. The hand moves on
three slide joints whose coordinates are its world position, so `qpos[:3]` is the hand in m.
"""

import functools

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Float

#: Seconds per physics step, and physics steps per control step.
TIMESTEP = 0.01
FRAME_SKIP = 5
#: How far a full action moves the hand's target in one control step, m.
STEP_SIZE = 0.01
#: The box that the hand's target is clipped to, m.
TARGET_LOW = (-0.5, 0.4, 0.05)
TARGET_HIGH = (0.5, 1.0, 0.5)

#: Half sizes of one finger, m; both hang down from the hand.
FINGER_SIZE = (0.015, 0.005, 0.045)
#: Offset in y of the finger that faces away from the robot and of the one that faces it, m. The
#: front one stands where the authors' gripper is pushed back to within 0.3 s of contact.
FRONT_FINGER_Y = 0.02
REAR_FINGER_Y = -0.05
#: Midpoint between the finger tips relative to the hand, m.
FINGER_CENTRE = (0.0, (FRONT_FINGER_Y + REAR_FINGER_Y) / 2, -0.03)

#: Half sizes of the table and its centre, m.
TABLE_SIZE = (0.4, 0.4, 0.5)
TABLE_POS = (0.0, 0.8, -0.5)

#: Bits of `contype`/`conaffinity`: objects touch the table and the fingers; these do not touch
#: each other, because the target's lowest height keeps the fingers 5 mm above the table.
TABLE_BIT = 1
FINGER_BIT = 2

#: Sliding friction of table and fingers; the authors' table has 10, see the family's page.
TABLE_FRICTION = 2.0
FINGER_FRICTION = 1.0
#: Contacts as stiff as the solver takes them, critically damped within 0.02 s.
CONTACT_SOLREF = (0.02, 1.0)
CONTACT_SOLIMP = (0.9999, 0.9999, 0.001, 0.5, 2.0)


def scene() -> mujoco.MjSpec:
    """Table, hand and target, without objects. A family adds its own and compiles it.

    Bodies: `hand` (joints `hand_x`, `hand_y`, `hand_z`, the first three of `qpos`) and the mocap
    body `target`.
    """
    spec = mujoco.MjSpec()
    spec.option.timestep = TIMESTEP
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_EULER
    spec.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    spec.option.impratio = 3.0
    spec.option.tolerance = 1e-6
    spec.visual.headlight.ambient = [0.35] * 3
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.85, 0.9, 0.95],
        rgb2=[0.55, 0.6, 0.65],
        width=32,
        height=192,
    )
    spec.worldbody.add_light(pos=[0.0, 0.6, 2.0], dir=[0.0, 0.0, -1.0], castshadow=False)
    spec.worldbody.add_geom(
        name="table",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=TABLE_POS,
        size=TABLE_SIZE,
        rgba=[0.6, 0.6, 0.5, 1.0],
        friction=[TABLE_FRICTION, 0.1, 0.002],
        contype=TABLE_BIT,
        conaffinity=0,
        solref=CONTACT_SOLREF,
        solimp=CONTACT_SOLIMP,
    )
    _add_hand(spec)
    return spec


def _add_hand(spec: mujoco.MjSpec) -> None:
    """The hand on its slides, pulled by the mocap body `target`."""
    hand = spec.worldbody.add_body(
        name="hand", mass=1.0, ipos=np.zeros(3), inertia=np.ones(3), explicitinertial=True
    )
    add_slides(hand, "hand")
    # The reach of the arm: the further out, the more the hand trails its target.
    reach = spec.joint("hand_y")
    reach.limited = mujoco.mjtLimited.mjLIMITED_TRUE
    reach.range = [-1.0, 0.82]
    reach.solref_limit = [0.02, 1.0]
    reach.solimp_limit = [0.8, 0.8, 0.001, 0.5, 2.0]
    for name, y in (("front_finger", FRONT_FINGER_Y), ("rear_finger", REAR_FINGER_Y)):
        hand.add_geom(
            name=name,
            type=mujoco.mjtGeom.mjGEOM_BOX,
            pos=[0.0, y, 0.0],
            size=FINGER_SIZE,
            rgba=[0.2, 0.7, 0.7, 1.0],
            friction=[FINGER_FRICTION, 0.005, 0.0001],
            margin=0.001,
            contype=FINGER_BIT,
            conaffinity=0,
            solref=CONTACT_SOLREF,
            solimp=CONTACT_SOLIMP,
        )
    hand.add_geom(
        name="palm",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=[0.0, (FRONT_FINGER_Y + REAR_FINGER_Y) / 2, 0.06],
        size=[0.02, 0.045, 0.015],
        rgba=[0.3, 0.3, 0.3, 1.0],
        contype=0,
        conaffinity=0,
    )
    spec.worldbody.add_body(name="target", mocap=True)
    # The hand cannot rotate, so a point constraint does what a weld does with half the rows.
    pull = spec.add_equality(
        type=mujoco.mjtEq.mjEQ_CONNECT,
        objtype=mujoco.mjtObj.mjOBJ_BODY,
        name1="target",
        name2="hand",
        solref=[0.02, 1.0],
        solimp=[0.9, 0.95, 0.001, 0.5, 2.0],
    )
    pull.data = np.zeros_like(pull.data)


def add_slides(body: mujoco.MjsBody, name: str) -> None:
    """Let `body` translate, not rotate: joints `{name}_x`, `{name}_y` and `{name}_z`."""
    for axis, direction in zip("xyz", np.eye(3), strict=True):
        body.add_joint(name=f"{name}_{axis}", type=mujoco.mjtJoint.mjJNT_SLIDE, axis=direction)


def set_damping(joint: mujoco.MjsJoint, value: float) -> None:
    """Give a joint linear damping, N s/m or N m s/rad.

    From 3.7 on MuJoCo's specification holds a polynomial, whose first coefficient this is.
    """
    joint.damping = value if np.ndim(joint.damping) == 0 else [value, *joint.damping[1:]]


def move_target(target: Float[Array, " 3"], act: Float[Array, " 3"]) -> Float[Array, " 3"]:
    """The target after one action in [-1, 1]^3: `STEP_SIZE` per unit, clipped to the box, m."""
    return jnp.clip(target + STEP_SIZE * act, jnp.array(TARGET_LOW), jnp.array(TARGET_HIGH))


@functools.cache
def settled_hand(target: tuple[float, float, float]) -> tuple[float, float, float]:
    """Where the hand comes to rest under `target`, m: gravity leaves it a little below."""
    model = scene().compile()
    data = mujoco.MjData(model)
    data.qpos[:] = target
    data.mocap_pos[0] = target
    mujoco.mj_step(model, data, nstep=200)
    x, y, z = (float(v) for v in data.qpos)
    return x, y, z


def start(position: tuple[float, float, float]) -> tuple[jax.Array, jax.Array]:
    """The settled hand and its target at `position`, each `(3,)` in m."""
    return jnp.array(settled_hand(position), jnp.float32), jnp.array(position, jnp.float32)
