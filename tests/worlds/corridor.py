"""A corridor as a Gymnasium environment, and the episodes that its family plays."""

from dataclasses import dataclass
from typing import ClassVar

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from gmps.core.actors import Actor
from gmps.tasks.base import Spec
from gmps.tasks.gymnasium_family import GymnasiumFamily
from gmps.worlds.gymnasium_world import GymnasiumWorld


class Corridor(gymnasium.Env):
    """Starts by its seed and moves by its action; ends beyond `wall`; reward: the position."""

    observation_space = gymnasium.spaces.Box(-100, 100, (2,), np.float64)
    action_space = gymnasium.spaces.Box(np.float32([0]), np.float32([4]))
    wall: float
    fail_at: int | None = None

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.t = self.np_random.uniform(0, 0.5), 0
        return np.array([self.x, self.t], float), {}

    def step(self, action):
        if self.t == self.fail_at:
            raise ZeroDivisionError("oops")
        self.x, self.t = self.x + float(action[0]), self.t + 1
        over = self.x > self.wall
        return np.array([self.x, self.t], float), self.x, over, False, {"success": over}


@dataclass(frozen=True)
class CorridorFamily(GymnasiumFamily):
    """The task is where the wall is."""

    name: ClassVar[str] = "corridor"
    spec: ClassVar[Spec] = Spec(2, 1, 1, horizon=4, control_dt=1.0)
    fail_at: int | None = None
    limit: int | None = None

    def make_env(self):
        env = Corridor()
        env.fail_at = self.fail_at
        return gymnasium.wrappers.TimeLimit(env, self.limit) if self.limit else env

    def set_task(self, env, task):
        env.unwrapped.wall = float(task[0])

    def tasks(self, split, n=None, key=None):
        return jnp.array([[3.0], [100.0], [7.0]])[: n or 3]

    def goal_point(self, task):
        return jnp.zeros(2)


@dataclass(frozen=True)
class Constant(Actor):
    """Plays `params` plus a little noise."""

    noise_size: ClassVar[int] = 1

    def __call__(self, params, task, obs, noise):
        return params + 1e-3 * noise, jnp.sum(noise)


def corridor(episodes=2, params=None, key=0, **options):
    world = GymnasiumWorld(CorridorFamily(), **options)
    tasks = CorridorFamily().tasks("train")
    params = jnp.zeros((3, 1)) if params is None else params
    out = world.rollout(Constant(), params, tasks, episodes, jax.random.key(key))
    world.close()
    return out


def same(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.array_equal(x, y) for x, y in pairs)
