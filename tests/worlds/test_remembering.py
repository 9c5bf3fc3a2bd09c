"""Actors that remember: every world tells each reward at once, to its own episode."""

from dataclasses import dataclass
from typing import ClassVar

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmps.core.actors import RememberingActor
from gmps.core.types import Shared, Trajectories
from gmps.tasks import make_family
from gmps.tasks.base import Spec
from gmps.tasks.gymnasium_family import GymnasiumFamily
from gmps.worlds.base import Draws
from gmps.worlds.factory import make_world


@dataclass(frozen=True)
class Rewarded(RememberingActor):
    """Every number of its action is what its episode has earned so far, times `params`, plus some
    noise in the first one."""

    act_size: int
    noise_size: ClassVar[int] = 1

    def begin(self, params):
        return jnp.zeros_like(params)

    def step(self, params, memory, obs, noise):
        del obs
        return memory, jnp.full(self.act_size, params * memory) + 0.1 * noise, noise[0]

    def told(self, memory, act, reward):
        return memory + reward * jnp.isfinite(act).all()


class Growing(gymnasium.Env):
    """Pays what it is told to and ends after three steps."""

    observation_space = gymnasium.spaces.Box(-100, 100, (1,), np.float64)
    action_space = gymnasium.spaces.Box(np.float32([-1]), np.float32([1]))
    pay: float

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t, self.luck = 0, self.np_random.uniform()
        return np.zeros(1), {}

    def step(self, action):
        self.t += 1
        reward = self.pay * self.t + self.luck
        return np.full(1, self.t, float), reward, self.t == 3, False, {"success": False}


@dataclass(frozen=True)
class GrowingFamily(GymnasiumFamily):
    name: ClassVar[str] = "growing"
    spec: ClassVar[Spec] = Spec(1, 1, 1, horizon=4, control_dt=1.0)

    def make_env(self):
        return Growing()

    def set_task(self, env, task):
        env.unwrapped.pay = float(task[0])

    def tasks(self, split, n=None, key=None):
        return jnp.array([[0.1], [0.2]])[: n or 2]

    def goal_point(self, task):
        return jnp.zeros(2)


def held_to(data: Trajectories, scale: np.ndarray) -> None:
    """Each action is what its own episode had earned, and rewards are not all alike."""
    earned = np.cumsum(np.asarray(data.reward), -1)[..., :-1]
    told = np.concatenate([np.zeros_like(earned[..., :1]), earned], -1)
    wanted = scale[:, None, None] * told + 0.1 * np.asarray(data.log_prob)
    found = np.asarray(data.act)[..., 0]
    np.testing.assert_allclose(found[data.alive], wanted[data.alive], rtol=1e-4, atol=1e-4)
    assert np.ptp(np.asarray(data.reward)[data.alive]) > 1e-3


# The ant's reward is made of a sensor, which belongs to the state before a step.
@pytest.mark.parametrize("name", ["point-goal", "ant-goal", "hopper-params"])
def test_simulated_families_tell_their_rewards(name: str):
    family = make_family(name)
    world, tasks = make_world(family, 1), family.tasks("train", 2)
    keys = jax.random.split(jax.random.key(0), (2, 2))
    reset = jax.vmap(jax.vmap(family.reset, (0, None)))
    draws = Draws(reset(keys, tasks), jax.random.normal(jax.random.key(1), (2, 2, 5, 1)))
    scale = np.array([0.05, -0.02], np.float32)
    actor = Rewarded(family.spec.act_size)
    held_to(world.rollout(actor, jnp.asarray(scale), tasks, 2, draws).trajectories, scale)


def test_gymnasiums_environments_tell_theirs():
    family = GrowingFamily()
    # Three episodes at a time of four: memories do not go from one to the next.
    world = make_world(family, environments=3)
    scale, key = np.array([0.5, 2.0], np.float32), jax.random.key(0)
    tasks = family.tasks("train")
    data = world.rollout(Rewarded(1), jnp.asarray(scale), tasks, 2, key).trajectories
    assert np.array_equal(data.alive.sum(-1), [[3, 3], [3, 3]])
    held_to(data, scale)
    shared = world.rollout(Rewarded(1), Shared(jnp.array(0.5)), tasks, 2, key).trajectories
    held_to(shared, np.array([0.5, 0.5]))
