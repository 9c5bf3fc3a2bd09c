"""An ant that must find a goal on a quarter circle around its start.

The ant (`gmps.tasks.ant`) is stepped for 200 steps (2 s). Goals have radius 2 m and angles from 0
to 90 degrees; the authors list 40 even angles and publish expert demonstrations for every 4th of
them.

Motor order of the 8 actions: hip 4, ankle 4, hip 1, ankle 1, hip 2, ankle 2, hip 3, ankle 3.

Source: Guided Meta-Policy Search (Mendonca et al., NeurIPS 2019) and its released environment.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from gmps.core.types import Task
from gmps.errors import GmpsError
from gmps.tasks.ant import Ant, dense_reward, distance_outcome
from gmps.tasks.base import Spec, State, Transition
from gmps.tasks.choices import Split
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
class AntGoal(Ant):
    """See the module docstring. A task is its goal, `(2,)` in m.

    Observation and action are those of `gmps.tasks.ant.Ant`.
    """

    #: Whether the distance to the goal is paid only near the goal: see `reward`.
    sparse: bool = False
    #: Training goals: those with published demonstrations that are not held out (8), or all of the
    #: authors' 40 that are not held out (27).
    goals: Literal["demonstrated", "all"] = "demonstrated"

    variant_of: ClassVar[str | None] = "ant-goal"
    spec: ClassVar[Spec] = Spec(
        obs_size=38, act_size=8, context_size=2, horizon=200, control_dt=0.01
    )

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

    def context(self, task: Task) -> Float[Array, " 2"]:
        """The goal."""
        return task

    def recorded_state(self, obs: Float[Array, " 38"]) -> State:
        """All of it is in the observation."""
        return State(obs[:15], obs[15:29], jnp.zeros(0, jnp.float32))

    def convert_observations(
        self, obs: Float[np.ndarray, "*n obs"]
    ) -> Float[np.ndarray, "*n 38"] | None:
        """Observations of a demonstration file as this family has them; None if it has no way."""
        return authors_observation(obs) if obs.shape[-1] == 122 else None

    def reward(self, task: Task, transition: Transition) -> dict[str, Float[Array, ""]]:
        """Dense: `gmps.tasks.ant.dense_reward`. Sparse: the same within 0.8 m (2-norm) of the
        goal; further away `goal` is the constant that it is at the origin."""
        centre = transition.next_sensors[:2]
        terms = dense_reward(task, centre, transition.act)
        if self.sparse:
            near = jnp.sum((centre - task) ** 2) <= SPARSE_DISTANCE**2
            terms["goal"] = jnp.where(near, terms["goal"], -jnp.abs(task).sum())
        return terms

    def outcome(
        self, task: Task, states: State, sensors: Float[Array, "t1 3"]
    ) -> dict[str, Float[Array, ""]]:
        """`final_distance` of the centre of mass to the goal in m; `success`: below 0.5 m."""
        del states
        return distance_outcome(task, sensors[-1, :2])

    def goal_point(self, task: Task) -> Float[Array, " 2"]:
        """The goal."""
        return task

    def describe(self, task: Task) -> str:
        """The goal's angle."""
        return f"{math.degrees(math.atan2(float(task[1]), float(task[0]))):.1f} deg"
