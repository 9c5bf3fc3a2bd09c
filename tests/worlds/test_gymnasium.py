"""Gymnasium both ways: a user's environments as a world, and families as environments."""

import re
import runpy
import sys
import types
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmps.core.actors import Actor
from gmps.core.types import Shared
from gmps.errors import GmpsError, NotFiniteError
from gmps.experts.base import ExpertActor
from gmps.tasks import make_family
from gmps.tasks.base import Spec
from gmps.tasks.check import check_functions
from gmps.tasks.gymnasium_family import GymnasiumFamily
from gmps.training.export import spaces
from gmps.worlds.base import Draws
from gmps.worlds.factory import make_world
from gmps.worlds.gymnasium_world import GymnasiumWorld
from places import EXAMPLES, ROOT


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


def test_episodes_end_where_the_environment_says_so():
    out = corridor()
    steps = out.trajectories
    # Action 0 is the middle of [0, 4]: 2 a step. From below 0.5: 2.x, 4.x > 3 ends after 2 steps;
    # with the wall at 7 after the 4th (or the 3rd, from a start of 1: never).
    assert np.array_equal(steps.alive[:, 0], [[1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]])
    assert np.array_equal(steps.terminated, [[True] * 2, [False] * 2, [True] * 2])
    start = np.asarray(steps.obs)[:, :, 0, 0]
    np.testing.assert_allclose(steps.reward[0, :, 0], start[0] + 2, atol=0.02)
    np.testing.assert_allclose(steps.reward[0, :, 1], start[0] + 4, atol=0.02)
    assert not np.asarray(steps.reward)[0, :, 2:].any()
    np.testing.assert_allclose(steps.last_obs[0, :, 0], start[0] + 4, atol=0.02)
    assert np.array_equal(out.outcome["success"], [[1, 1], [0, 0], [1, 1]])
    assert out.paths["observation"].shape == (3, 2, 5, 2)


def test_every_episode_has_a_seed_of_its_own_that_the_key_decides():
    starts = [np.asarray(corridor(4, key=k).trajectories.obs)[:, :, 0, 0] for k in (0, 0, 1)]
    assert len(np.unique(starts[0])) == 12
    assert np.array_equal(starts[0], starts[1])
    assert not np.isin(starts[0], starts[2]).any()


@pytest.mark.parametrize("environments", [1, 5, 6])
def test_results_do_not_depend_on_how_many_run_side_by_side(environments):
    assert same(corridor(), corridor(environments=environments))


def test_processes_give_the_same_results():
    family = make_family(f"{EXAMPLES / 'own_gymnasium_family.py'}:PendulumGravity")
    actor = ExpertActor(family.expert, 1)
    tasks = family.tasks("train", 2)
    worlds = GymnasiumWorld(family, 2), GymnasiumWorld(family, processes=2)
    outs = [w.rollout(actor, jnp.zeros(2), tasks, 1, jax.random.key(0)) for w in worlds]
    worlds[1].close()
    assert same(*outs)


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


class Reach(gymnasium.Env):
    """Draws a goal with each reset, and shows it, as Gymnasium's goal environments do."""

    observation_space = gymnasium.spaces.Dict(
        {
            "desired_goal": gymnasium.spaces.Box(-1, 1, (2,)),
            "observation": gymnasium.spaces.Box(-9, 9, (3,)),
            "achieved_goal": gymnasium.spaces.Box(-9, 9, (2,)),
        }
    )
    action_space = gymnasium.spaces.Box(-1, 1, (2,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at, self.goal = np.zeros(2), self.np_random.uniform(-1, 1, 2)
        return self.seen(), {}

    def seen(self):
        full = np.append(self.at, 7.0)
        return {"achieved_goal": self.at, "desired_goal": self.goal, "observation": full}

    def step(self, action):
        self.at = self.at + action
        return self.seen(), -float(np.abs(self.at - self.goal).sum()), False, False, {}


@dataclass(frozen=True)
class ReachFamily(GymnasiumFamily):
    name: ClassVar[str] = "reach"
    spec: ClassVar[Spec] = Spec(5, 2, 2, horizon=3, control_dt=1.0)
    hidden_observations: ClassVar[tuple[str, ...]] = ("desired_goal",)
    reports_success: ClassVar[bool] = False

    def make_env(self):
        return Reach()

    def set_task(self, env, task):
        env.unwrapped.goal = np.asarray(task, float)

    def reset_env(self, env, task, seed):
        env.reset(seed=seed)
        self.set_task(env, task)
        return env.unwrapped.seen()

    def tasks(self, split, n=None, key=None):
        return jnp.array([[0.5, 0.0], [0.0, -0.5]])[: n or 2]

    def goal_point(self, task):
        return task


def test_a_goal_that_resets_redraw_is_set_after_them_and_hidden():
    out = play_reach(ReachFamily())
    # Standing still: the reward is that of the task's own goal. Keys in the order of the space.
    np.testing.assert_allclose(out.trajectories.reward, -0.5, atol=0.05)
    np.testing.assert_allclose(out.trajectories.obs[0, 0, 0], [0, 0, 0, 0, 7])
    assert out.outcome == {}


def play_reach(family):
    tasks = family.tasks("train")
    actor = Constant()
    return make_world(family).rollout(actor, jnp.zeros((2, 2)), tasks, 1, jax.random.key(0))


def test_the_example_of_the_manual_returns_what_it_must():
    text = (ROOT / "docs" / "own-families.md").read_text(encoding="utf-8")
    (block,) = [x for x in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "Fetch" in x]
    # As a file of a user's is: dataclasses look their module up.
    module = types.ModuleType("fetch")
    sys.modules["fetch"] = module
    try:
        exec(block, module.__dict__)
        family = module.FetchReach()
        assert family == module.FetchReach()
        check_functions(family)
    finally:
        del sys.modules["fetch"]


def test_success_that_is_never_told_is_asked_for_once(recwarn):
    class Silent(ReachFamily):
        reports_success = True

    world = make_world(Silent())
    tasks = Silent().tasks("train")
    for _ in range(2):
        out = world.rollout(Constant(), jnp.zeros((2, 2)), tasks, 1, jax.random.key(0))
        np.testing.assert_array_equal(out.outcome["success"], [[0], [0]])
    assert [str(x.message) for x in recwarn if x.category is UserWarning] == [
        "reach: no info of the environment told success or is_success, which counts as failure; if "
        "it never does, set reports_success = False in the family."
    ]
    recwarn.clear()
    corridor()  # tells it
    play_reach(ReachFamily())  # says that it does not
    assert not [x for x in recwarn if x.category is UserWarning]


def test_a_goal_in_the_observation_is_refused():
    class Leaks(ReachFamily):
        hidden_observations = ()

    with pytest.raises(GmpsError) as error:
        make_world(Leaks())
    assert str(error.value) == (
        "reach: the observation has 'desired_goal', which tells the learner its task; hide it by "
        "hidden_observations = ('desired_goal',)."
    )


@pytest.mark.parametrize(
    ("where", "text"),
    [
        (
            "reset",
            r"the observation after reset is not finite \(task 1, episode 0, step 0\)",
        ),
        (
            "step",
            r"the observation after the step is not finite \(task 1, episode 0, step 1",
        ),
        ("reward", r"reach: the reward is not finite \(task 1, episode 0, step 1\); look at step"),
    ],
)
def test_numbers_that_are_not_finite_are_the_fault_of_the_environment(where, text):
    class Bad(Reach):
        def step(self, action):
            self.t += 1
            obs, reward, *rest = super().step(action)
            if self.t == 2 and self.goal[1] < 0:
                obs["observation"] = obs["observation"] * (np.nan if where == "step" else 1)
                reward = np.inf if where == "reward" else reward
            return obs, reward, *rest

    class BadFamily(ReachFamily):
        def make_env(self):
            return Bad()

        def reset_env(self, env, task, seed):
            env.t = 0
            obs = super().reset_env(env, task, seed)
            wrong = where == "reset" and task[1] < 0
            return obs | {"observation": obs["observation"] * (np.nan if wrong else 1)}

    with pytest.raises(NotFiniteError, match=text):
        play_reach(BadFamily())


def test_parameters_may_be_shared():
    assert same(corridor(), corridor(params=Shared(jnp.zeros(1))))


def test_bad_environments_are_explained():
    class Other(CorridorFamily):
        def make_env(self):
            env = Corridor()
            env.action_space = gymnasium.spaces.Discrete(3)
            return env

    class Wide(CorridorFamily):
        spec = Spec(3, 1, 1, horizon=4, control_dt=1.0)

    tasks, key = CorridorFamily().tasks("train"), jax.random.key(0)
    with pytest.raises(
        ValueError, match=r"corridor: the action space is Discrete\(3\), but action"
    ):
        make_world(Other())
    with pytest.raises(ValueError) as error:
        make_world(Wide())
    assert str(error.value) == (
        "corridor: the environment's observations have 2 numbers, but spec.obs_size is 3; make "
        "them agree."
    )
    broken = GymnasiumWorld(CorridorFamily(fail_at=2), 3)
    with pytest.raises(
        RuntimeError, match=r"corridor: step 2 failed in task \[100.\]: ZeroDivisio"
    ):
        broken.rollout(Constant(), jnp.zeros((1, 1)), tasks[1:2], 1, key)
    short = GymnasiumWorld(CorridorFamily(limit=3), 3)
    with pytest.raises(ValueError, match=r"cut its episode after 3 steps, but spec\.horizon is 4"):
        short.rollout(Constant(), jnp.zeros((3, 1)), tasks, 1, key)
    whole = GymnasiumWorld(CorridorFamily(), 3)
    with pytest.raises(ValueError, match="cannot be started in a given state; give a key"):
        whole.rollout(Constant(), jnp.zeros((3, 1)), tasks, 1, Draws(None, None))
    with pytest.raises(FloatingPointError, match=r"corridor: the actor's action .*task 1, episode"):
        whole.rollout(Constant(), jnp.array([[0.0], [np.nan], [0.0]]), tasks, 1, key)
    with pytest.raises(
        ValueError, match="environments is 0 and processes 0; give at least 1 and 0"
    ):
        GymnasiumWorld(CorridorFamily(), 0)


@pytest.mark.parametrize(
    ("file", "name"),
    [("own_mjcf_family.py", "CartGoal"), ("own_gymnasium_family.py", "PendulumGravity")],
)
def test_examples_are_short_and_their_experts_succeed(file, name):
    assert len((EXAMPLES / file).read_text(encoding="utf-8").splitlines()) < 80
    family = make_family(f"{EXAMPLES / file}:{name}")
    assert family == make_family(f"{EXAMPLES / file}:{name}")
    tasks = family.tasks("heldout")
    actor = ExpertActor(family.expert, family.spec.act_size)
    out = make_world(family).rollout(actor, jnp.zeros(len(tasks)), tasks, 2, jax.random.key(0))
    assert out.outcome["success"].all()
    runpy.run_path(str(EXAMPLES / file))


def test_a_file_without_the_family_is_explained(tmp_path):
    with pytest.raises(
        ValueError, match=r"There is no file nowhere\.py; give a family of your own"
    ):
        make_family("nowhere.py:Family")
    (tmp_path / "a.py").write_text("x = 3\n")
    with pytest.raises(ValueError, match=r"a\.py:x is not a task family; give a TaskFamily"):
        make_family(f"{tmp_path / 'a.py'}:x")
