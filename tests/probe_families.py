"""Families whose best answer is known: no policy that does not adapt can earn anything in them."""

from dataclasses import replace
from typing import Any, ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from gmps.core.types import Task
from gmps.tasks.base import Spec, Transition
from gmps.tasks.choices import Split
from gmps.tasks.point_goal import STEP, PointGoal


class SignBandit(PointGoal):
    """One action; the reward is its first number times the task's sign.

    Over both tasks every policy earns 0; one that adapts earns up to 1.
    """

    name: ClassVar[str] = "sign-bandit"
    spec: ClassVar[Spec] = replace(PointGoal.spec, horizon=1)

    def tasks(self, split: Split, n: int | None = None, key: Any = None) -> Task:
        del split, n, key
        return jnp.asarray([[1.0, 0.0], [-1.0, 0.0]])

    def reward(self, task: Task, transition: Transition) -> dict[str, Float[Array, ""]]:
        return {"right": task[0] * transition.act[0]}


class TwoSteps(SignBandit):
    """The first action is paid for in the second step, by where it led, and the second is not.

    Who gives credit to the action of the same step alone learns nothing.
    """

    name: ClassVar[str] = "two-steps"
    spec: ClassVar[Spec] = replace(PointGoal.spec, horizon=2)

    def reward(self, task: Task, transition: Transition) -> dict[str, Float[Array, ""]]:
        # In the first step the point is still within its start noise of 0.
        return {"right": task[0] * transition.state.qpos[0] / STEP}
