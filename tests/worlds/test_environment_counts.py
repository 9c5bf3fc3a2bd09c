"""How many of a user's environments are made, and how many steps they take."""

from types import SimpleNamespace
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import pytest
from corridor import Constant, CorridorFamily, corridor, same

from gmps.errors import GmpsError
from gmps.experts.base import ExpertActor
from gmps.tasks import make_family
from gmps.training.export import spaces
from gmps.worlds.factory import make_world
from gmps.worlds.gymnasium_world import GymnasiumWorld
from places import EXAMPLES


class Counted(CorridorFamily):
    """Counts its environments, its resets and its steps."""

    made: ClassVar[list] = []
    steps: ClassVar[list] = []

    def make_env(self):
        env = CorridorFamily.make_env(self)
        self.made.append(env)
        step = env.step
        env.step = lambda action: self.steps.append(env) or step(action)
        return env


@pytest.fixture
def counted():
    Counted.made.clear()
    Counted.steps.clear()
    return Counted()


def play(world, tasks, episodes):
    params = jnp.zeros((len(tasks), 1))
    return world.rollout(Constant(), params, tasks, episodes, jax.random.key(0))


def test_as_many_environments_are_made_as_there_are_episodes(counted):
    world, tasks = make_world(counted), counted.tasks("train")
    assert len(counted.made) == 1
    two = play(world, tasks[:1], 2)
    assert len(counted.made) == 2
    six = play(world, tasks, 2)
    assert len(counted.made) == 6
    again = play(world, tasks[:1], 2)
    assert len(counted.made) == 6
    assert same(two, again)
    assert same(six, corridor())
    # 2 + 2, 2 + 2 + 4 + 4 + 4 + 4 and 2 + 2: environments rest once they are over.
    assert len(counted.steps) == 4 + 20 + 4


def test_one_environment_takes_exactly_the_steps_of_its_episodes(counted):
    world = make_world(counted, environments=1)
    out = play(world, counted.tasks("train"), 2)
    assert len(counted.made) == 1
    assert len(counted.steps) == int(out.trajectories.alive.sum()) == 20
    assert same(out, corridor())


def test_what_actions_stand_for_is_known_without_another_environment(counted):
    """Whoever writes a policy asks: a robot behind an environment is connected to once."""
    world = make_world(counted)
    policy: Any = SimpleNamespace(encoder=None, obs_size=2)
    action = spaces(world, policy)["action"]
    assert (action["low"], action["high"]) == ([0.0], [4.0])
    assert len(counted.made) == 1


def test_a_count_of_environments_is_for_gymnasium_families():
    with pytest.raises(GmpsError, match="point-goal is not made of Gymnasium environments; leave"):
        make_world(make_family("point-goal"), environments=1)
    with pytest.raises(GmpsError, match="environments is 0 and processes 0; give at least 1"):
        make_world(CorridorFamily(), environments=0)


def test_processes_are_as_many_as_there_are_episodes():
    family = make_family(f"{EXAMPLES / 'own_gymnasium_family.py'}:PendulumGravity")
    world = GymnasiumWorld(family, processes=3)
    actor, tasks = ExpertActor(family.expert, 1), family.tasks("train", 2)
    one = world.rollout(actor, jnp.zeros(1), tasks[:1], 1, jax.random.key(0))
    assert world._batch._vector.num_envs == 1
    both = world.rollout(actor, jnp.zeros(2), tasks, 1, jax.random.key(0))
    assert world._batch._vector.num_envs == 2
    world.close()
    assert same(one, jax.tree.map(lambda x: x[:1], both))
