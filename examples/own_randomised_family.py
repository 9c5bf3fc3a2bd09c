"""Training for a robot whose physics are not known: tasks that differ in what one cannot measure.

Pushing to hidden goals, where friction and the block's mass differ from task to task as well. The
expert is told the goal, and the policy nothing. Try:

    gmps train examples/own_randomised_family.py:PushAnywhere --random-tasks 60 --run runs/anywhere
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import jax
import jax.numpy as jnp

from gmps.tasks.base import Spec
from gmps.tasks.lists import lattice, select_evenly
from gmps.tasks.sawyer_push import GOAL_HIGH, GOAL_LOW, SawyerPush, push_expert

#: Factors of every sliding friction and of the block's mass.
FRICTION, MASS = (0.4, 1.5), (0.5, 4.0)
LOW = jnp.array([*GOAL_LOW, *jnp.log(jnp.array([FRICTION[0], MASS[0]]))])
HIGH = jnp.array([*GOAL_HIGH, *jnp.log(jnp.array([FRICTION[1], MASS[1]]))])


@dataclass(frozen=True)
class PushAnywhere(SawyerPush):
    """A task is the goal in m and the logarithms of the two factors, `(4,)`."""

    name: ClassVar[str] = "push-anywhere"
    spec: ClassVar[Spec] = replace(SawyerPush.spec, context_size=4)
    edits_model: ClassVar[bool] = True
    variant_of: ClassVar[str | None] = None

    def tasks(self, split, n=None, key=None):
        if key is not None:
            return jax.random.uniform(key, (n or 1, 4), minval=LOW, maxval=HIGH)
        if split == "train":
            return select_evenly(self.name, LOW + lattice(60, 4) * (HIGH - LOW), n)
        goals = super().tasks("heldout")
        return select_evenly(self.name, jnp.pad(goals, ((0, 0), (0, 2))), n)

    def edit_model(self, model, task):
        model.geom_friction[:, 0] *= float(jnp.exp(task[2]))
        model.body("block").mass *= float(jnp.exp(task[3]))

    def reward(self, task, transition):
        return super().reward(task[:2], transition)

    def outcome(self, task, states, sensors):
        return super().outcome(task[:2], states, sensors)

    def reset(self, key, task):
        return super().reset(key, task[:2])

    def goal_point(self, task):
        return task[:2]

    def describe(self, task):
        friction, mass = jnp.exp(task[2:])
        return f"{super().describe(task[:2])}, friction x {friction:.2g}, mass x {mass:.2g}"

    @property
    def expert(self):
        return push_to_goal


def push_to_goal(task, obs):
    """The controller of `sawyer-push`: it looks at the goal alone."""
    return push_expert(task[:2], obs)
