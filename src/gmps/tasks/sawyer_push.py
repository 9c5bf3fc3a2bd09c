"""Sawyer pushing: bring a block on a table to a hidden goal.

Mendonca et al., Guided Meta-Policy Search, 2019, appendix; constants from the authors' released
code. The task is the goal's position `(x, y)` in m: any `(n, 2)` array is a batch of tasks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Float, Key

from gmps.core.types import evenly
from gmps.errors import GmpsError
from gmps.tasks import sawyer
from gmps.tasks.base import Camera, Control, MujocoFamily, Part, Spec, State, Transition
from gmps.tasks.choices import Split

Goals = tuple[tuple[float, float], ...]

#: The region of goals, m.
GOAL_LOW = (-0.1, 0.7)
GOAL_HIGH = (0.1, 0.8)
HAND_START = (0.0, 0.4, 0.05)
BLOCK_START = (0.0, 0.52, 0.02)
#: Half the edge of the block, m, and its mass, kg.
BLOCK_SIZE = 0.02
BLOCK_MASS = 0.01
#: A final block error below this is a success, m.
SUCCESS_RADIUS = 0.05
#: The sparse reward is paid with the block this close to the goal, m.
SPARSE_RADIUS = 0.05

Reward = Literal["dense", "sparse", "appendix"]


def even_goals(n: int) -> Goals:
    """`n` goals spread evenly over the inside of the region, m: a Fibonacci lattice, whose
    x and y are all different."""
    i = np.arange(n)
    unit = np.stack([(i + 0.5) / n, (i * (np.sqrt(5) - 1) / 2 + 0.25) % 1.0], axis=1)
    goals = np.array(GOAL_LOW) + unit * np.subtract(GOAL_HIGH, GOAL_LOW)
    return tuple((float(x), float(y)) for x, y in goals)


def grid_goals(nx: int, ny: int) -> Goals:
    """A grid over the whole region, its edges and corners included, m."""
    xs = np.linspace(GOAL_LOW[0], GOAL_HIGH[0], nx)
    ys = np.linspace(GOAL_LOW[1], GOAL_HIGH[1], ny)
    return tuple((float(x), float(y)) for x in xs for y in ys)


#: Training goals fill the inside of the region; held-out ones include its edges and corners.
TRAIN_GOALS = even_goals(20)
HELDOUT_GOALS = grid_goals(5, 4)
#: The goals of the authors' release (their `push_v4` and `push_v4_val`), for comparisons with it.
# fmt: off
AUTHORS_TRAIN_GOALS: Goals = (
    (0.012391, 0.736144), (0.098469, 0.728989), (-0.003334, 0.78698), (0.067683, 0.793818),
    (0.097456, 0.750567), (-0.076261, 0.797991), (0.020856, 0.761436), (-0.053038, 0.757685),
    (0.073134, 0.750547), (0.015481, 0.75093), (-0.07842, 0.765639), (0.041389, 0.735896),
    (0.065034, 0.779039), (-0.087516, 0.721401), (-0.008827, 0.775719), (0.057743, 0.732904),
    (-0.035105, 0.799161), (0.088284, 0.748186), (-0.053629, 0.736264), (-0.010312, 0.733327),
)
AUTHORS_HELDOUT_GOALS: Goals = (
    (-0.003195, 0.744787), (-0.048274, 0.760256), (-0.052225, 0.745789), (-0.031043, 0.737558),
    (-0.044579, 0.769384), (-0.001956, 0.726854), (-0.085922, 0.747719), (0.056446, 0.735387),
    (-0.073799, 0.71634), (-0.083462, 0.717708), (0.044959, 0.702841), (0.055272, 0.772857),
    (0.092878, 0.709429), (-0.011408, 0.762265), (0.022821, 0.76826), (-0.025416, 0.70449),
    (0.016033, 0.776074), (-0.055773, 0.766562), (-0.058644, 0.797673), (0.019859, 0.706835),
)
# fmt: on


class PushScene(MujocoFamily):
    """The table, the hand and the block: what the pushing families have in common.

    Observation: hand xyz, block xyz (m). Action: the move of the hand's target, 1 cm per unit.
    Every episode starts in the same state and lasts 50 steps of 0.05 s. All tasks have 2 numbers.
    """

    parts: ClassVar[tuple[Part, ...]] = (Part("hand", 3, "m"), Part("block", 3, "m"))
    spec: ClassVar[Spec] = Spec(
        obs_size=6,
        act_size=3,
        context_size=2,
        horizon=50,
        control_dt=sawyer.TIMESTEP * sawyer.FRAME_SKIP,
    )
    frame_skip: ClassVar[int] = sawyer.FRAME_SKIP
    camera: ClassVar[Camera] = Camera((0.0, 0.64, 0.03), 0.75, 60.0, -40.0)

    def model(self) -> mujoco.MjModel:
        """`qpos`: hand xyz, block xyz (m). The block does not rotate, as in the original, where
        its moment of inertia is 1e5 kg m^2."""
        spec = sawyer.scene()
        block = spec.worldbody.add_body(
            name="block",
            mass=BLOCK_MASS,
            ipos=np.zeros(3),
            inertia=[1e-5] * 3,
            explicitinertial=True,
        )
        sawyer.add_slides(block, "block")
        block.add_geom(
            name="block",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            size=[BLOCK_SIZE] * 3,
            rgba=[0.1, 0.2, 0.9, 1.0],
            friction=[1.0, 0.1, 0.002],
            contype=0,
            conaffinity=sawyer.FINGER_BIT,
            solref=sawyer.CONTACT_SOLREF,
            solimp=sawyer.CONTACT_SOLIMP,
        )
        # A block that cannot rotate rests on one point as it does on four, at a third of the cost.
        block.add_geom(
            name="block_foot",
            type=mujoco.mjtGeom.mjGEOM_SPHERE,
            size=[BLOCK_SIZE, 0.0, 0.0],
            rgba=[0.1, 0.2, 0.9, 1.0],
            friction=[1.0, 0.1, 0.002],
            contype=0,
            conaffinity=sawyer.TABLE_BIT,
            solref=sawyer.CONTACT_SOLREF,
            solimp=sawyer.CONTACT_SOLIMP,
        )
        return spec.compile()

    def reset(self, key: Key[Array, ""], task: Float[Array, " 2"]) -> State:
        """The one start state: settled hand behind the block, everything at rest."""
        del key, task
        hand, target = sawyer.start(HAND_START)
        block = jnp.array(BLOCK_START, jnp.float32)
        return State(jnp.concatenate([hand, block]), jnp.zeros(6, jnp.float32), target)

    def control(self, state: State, act: Float[Array, " 3"]) -> Control:
        """Moves the hand's target; there is no actuator, the gripper stays as it is."""
        return Control(jnp.zeros(0, jnp.float32), sawyer.move_target(state.mocap_pos, act))

    @property
    def observation_names(self) -> tuple[str, ...]:
        """See `TaskFamily`."""
        return tuple(f"{part} {axis} (m)" for part in ("hand", "block") for axis in "xyz")

    @property
    def action_names(self) -> tuple[str, ...]:
        """See `TaskFamily`."""
        return tuple(f"move of the hand along {axis} (cm)" for axis in "xyz")

    def observe(self, state: State) -> Float[Array, " 6"]:
        """Hand xyz, block xyz (m)."""
        return state.qpos

    def recorded_state(self, obs: Float[Array, " 6"]) -> State:
        """The positions, with which rewards are content; at rest, the target at the hand."""
        return State(obs, jnp.zeros(6, jnp.float32), obs[:3])

    def paths(
        self, states: State, sensors: Float[Array, "t1 0"]
    ) -> dict[str, Float[Array, "t1 2"]]:
        """`hand` and `block`, seen from above, m."""
        del sensors
        return {"hand": states.qpos[:, :2], "block": states.qpos[:, 3:5]}


def dense_reward(goal: Float[Array, " 2"], state: State) -> dict[str, Float[Array, ""]]:
    """`reach`, minus the distance from the block to the fingers' centre, and `progress`, 100
    max(0, d0 - d), where d is the distance in the plane from the block to the goal and d0 its value
    at the start, m."""
    hand, block = jnp.split(state.qpos, 2)
    fingers = hand + jnp.array(sawyer.FINGER_CENTRE)
    progress = 100.0 * jnp.maximum(0.0, _start_distance(goal) - jnp.linalg.norm(block[:2] - goal))
    return {"reach": -jnp.linalg.norm(block - fingers), "progress": progress}


def _start_distance(goal: Float[Array, " 2"]) -> Float[Array, ""]:
    return jnp.linalg.norm(jnp.array(BLOCK_START[:2]) - goal)


def block_outcome(goal: Float[Array, " 2"], states: State) -> dict[str, Float[Array, ""]]:
    """`final_error`: distance from the block to the goal at the end, m; `success`: 1 if that is
    below 0.05 m."""
    error = jnp.linalg.norm(states.qpos[-1, 3:5] - goal)
    return {"success": (error < SUCCESS_RADIUS).astype(jnp.float32), "final_error": error}


@dataclass(frozen=True)
class SawyerPush(PushScene):
    """Push the block to the goal. A task is the goal, `(2,)` in m."""

    #: Which reward: see `reward`.
    variant: Reward = "dense"
    #: The published goals of each split, `(x, y)` in m.
    train_goals: Goals = TRAIN_GOALS
    heldout_goals: Goals = HELDOUT_GOALS

    variant_of: ClassVar[str | None] = "sawyer-push"

    def __post_init__(self) -> None:
        """Raises GmpsError for an unknown reward, or goals that are not finite pairs."""
        if self.variant not in get_args(Reward):
            raise GmpsError(
                f"sawyer-push: there is no reward {self.variant!r}; choose one of "
                f"{', '.join(get_args(Reward))}"
            )
        for name in ("train_goals", "heldout_goals"):
            goals = getattr(self, name)
            if not goals or not all(len(g) == 2 and np.isfinite(g).all() for g in goals):
                raise GmpsError(
                    f"sawyer-push: {name} must be one or more finite pairs (x, y) in m, but is "
                    f"{goals!r}; give for example ((0.0, 0.75),)"
                )

    @property
    def name(self) -> str:
        """`sawyer-push`, `sawyer-push-sparse` or `sawyer-push-appendix`."""
        return "sawyer-push" if self.variant == "dense" else f"sawyer-push-{self.variant}"

    @property
    def summary(self) -> str:
        """The variant in words."""
        rewards = {
            "dense": "reward of the released code",
            "sparse": "rewarded only near it",
            "appendix": "reward as the paper prints it",
        }
        return f"A robot hand pushes a block to a hidden goal; {rewards[self.variant]}."

    def tasks(
        self, split: Split, n: int | None = None, key: Key[Array, ""] | None = None
    ) -> Float[Array, "n 2"]:
        """Goals `(x, y)` in m. With a key: uniform over the region, for either split."""
        goals = {"train": self.train_goals, "heldout": self.heldout_goals}[split]
        n = len(goals) if n is None else n
        if key is not None:
            return jax.random.uniform(
                key, (n, 2), minval=jnp.array(GOAL_LOW), maxval=jnp.array(GOAL_HIGH)
            )
        if not 1 <= n <= len(goals):
            raise GmpsError(
                f"{self.name}: {n} tasks asked for, but the {split} list has {len(goals)}; "
                f"ask for 1 to {len(goals)}, or pass a key to draw random goals"
            )
        return jnp.array([goals[i] for i in evenly(len(goals), n)], jnp.float32)

    def context(self, task: Float[Array, " 2"]) -> Float[Array, " 2"]:
        """The goal, m."""
        return task

    def reward(
        self, task: Float[Array, " 2"], transition: Transition
    ) -> dict[str, Float[Array, ""]]:
        """The terms of the variant. d is the distance in the plane from the block to the goal, d0
        its value at the start, m.

        - `dense` (the released code): `reach`, minus the distance from the block to the fingers'
          centre, and `progress`, 100 max(0, d0 - d).
        - `sparse`: `progress` alone, and only where d is at most 0.05 m.
        - `appendix` (as printed): `reach`, and `progress` 100 |d0 - p| with the fingers' distance
          p to the goal in the plane in place of the block's. It can be earned without the block.
        """
        state = transition.next_state
        terms = dense_reward(task, state)
        if self.variant == "sparse":
            near = jnp.linalg.norm(state.qpos[3:5] - task) <= SPARSE_RADIUS
            return {"progress": jnp.where(near, terms["progress"], 0.0)}
        if self.variant == "appendix":
            fingers = state.qpos[:2] + jnp.array(sawyer.FINGER_CENTRE[:2])
            apart = jnp.linalg.norm(fingers - task)
            terms["progress"] = 100.0 * jnp.abs(_start_distance(task) - apart)
        return terms

    def outcome(
        self, task: Float[Array, " 2"], states: State, sensors: Float[Array, "t1 0"]
    ) -> dict[str, Float[Array, ""]]:
        """`final_error`: distance from the block to the goal at the end, m; `success`: 1 if
        that is below 0.05 m."""
        del sensors
        return block_outcome(task, states)

    def goal_point(self, task: Float[Array, " 2"]) -> Float[Array, " 2"]:
        """The goal, m."""
        return task

    def describe(self, task: Float[Array, " 2"]) -> str:
        """The goal in cm, as in `goal (-3.0, 75.2) cm`."""
        return f"goal ({100 * float(task[0]):.1f}, {100 * float(task[1]):.1f}) cm"

    @property
    def expert(self) -> Callable[[Float[Array, " 2"], Float[Array, " 6"]], Float[Array, " 3"]]:
        """The scripted controller, `push_expert`."""
        return push_expert


#: Half extents around the block's centre at which the front finger's centre touches it, m.
_TOUCH = (sawyer.FINGER_SIZE[0] + BLOCK_SIZE, sawyer.FINGER_SIZE[1] + BLOCK_SIZE)
#: Heights of the hand to push at and to pass over the block at, m.
_PUSH_HEIGHT, _PASS_HEIGHT = 0.055, 0.102
#: Block errors at which the expert is content when it is pushing, and when it would have to go
#: around the block first, m.
_CONTENT_PUSHING, _CONTENT_AWAY = 0.002, 0.018


def push_expert(
    goal: Float[Array, " 2"],
    obs: Float[Array, " 6"],
    deceleration: Float[Array, ""] | None = None,
) -> Float[Array, " 3"]:
    """Scripted controller: a smooth function of the goal and the observation, without memory.

    The front finger goes behind the block, as seen from the goal, and pushes along the line to
    the goal. If it is not behind the block it rises, passes over and comes down beyond; to pull
    the block back, the hand comes down with the block between its fingers. When the block has
    arrived, the hand backs off 1.6 cm and stays. Every decision is a sigmoid of a
    distance, so that a network can imitate it and label any state that a poor learner visits.

    With the `deceleration` in m/s^2 of a block that slides on by itself, it pushes no faster than
    lets the block stop at the goal.

    Returns an action in [-1, 1]^3.
    """
    hand, block = obs[:3], obs[3:5]
    to_goal = goal - block
    distance = _norm(to_goal)
    along = to_goal / distance
    across = jnp.stack([-along[1], along[0]])
    finger = hand[:2] + jnp.array([0.0, sawyer.FRONT_FINGER_Y]) - block

    # Where the finger is: every name is a number from 0 (no) to 1 (yes).
    span = _box_gauge(finger)
    rear_finger = finger + jnp.array([0.0, sawyer.REAR_FINGER_Y - sawyer.FRONT_FINGER_Y])
    behind = _above(-(finger @ along) / _norm(finger), 0.5, 0.05)
    near = _above(1.3, span, 0.04)
    clear = _above(span, 1.2, 0.04) * _above(_box_gauge(rear_finger), 1.2, 0.04)
    far = _above(_norm(finger), 0.12, 0.005)
    low = _above(0.078, hand[2], 0.002)
    passing = _above(hand[2], 0.089, 0.0015)
    ready = behind * low
    lift = (1 - far) * (1 - behind * (1 - (1 - low) * (1 - clear)))

    # Go to a point behind the block; the closer to its line, the closer to the block; then push.
    touch = 1.0 / _box_gauge(along)
    off_line = finger @ across
    spread = jnp.minimum(jnp.abs(off_line) / 0.02, 1.0) * (1 - near)
    short_of = -touch * (1 + spread + 0.4 * (1 - ready)) - finger @ along
    correction = off_line * (1 - near * ready)
    course = (short_of + 0.03 * ready) * along - correction * across
    course = course / jnp.maximum(jnp.abs(course).max(), 0.012)
    brake = jnp.minimum(30.0 * distance, 1.0)
    if deceleration is not None:
        top_speed = sawyer.STEP_SIZE / (sawyer.TIMESTEP * sawyer.FRAME_SKIP)
        brake = jnp.minimum(brake, jnp.sqrt(2 * deceleration * distance) / top_speed)
    course = course * (1 - near * ready * (1 - brake)) * (1 - lift * (1 - passing))
    height = _PUSH_HEIGHT + (_PASS_HEIGHT - _PUSH_HEIGHT) * lift
    climb = jnp.clip(60.0 * (height - hand[2]), -1.0, 1.0)

    content = _CONTENT_PUSHING * ready + _CONTENT_AWAY * (1 - ready)
    go = _above(distance, content, 0.001)
    retreat = jnp.clip(40.0 * (-_TOUCH[1] - 0.016 - finger[1]), -1.0, 0.0) * low * near
    course = go * course + (1 - go) * retreat * jnp.array([0.0, 1.0])
    return jnp.append(course, go * climb)


def _norm(x: Float[Array, " 2"]) -> Float[Array, ""]:
    """Euclidean length, differentiable at 0."""
    return jnp.sqrt(x @ x + 1e-8)


def _above(
    x: Float[Array, ""] | float, threshold: Float[Array, ""] | float, width: float
) -> Float[Array, ""]:
    """0 where `x` is well below `threshold`, 1 where it is well above."""
    return jax.nn.sigmoid((x - threshold) / width)


def _box_gauge(offset: Float[Array, " 2"]) -> Float[Array, ""]:
    """1 where the finger at `offset` from the block touches it, below 1 where it overlaps; a
    smooth maximum over the two axes."""
    return jnp.sum((offset / jnp.array(_TOUCH)) ** 8 + 1e-12) ** (1 / 8)
