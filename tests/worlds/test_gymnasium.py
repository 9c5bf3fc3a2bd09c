"""A user's Gymnasium environments as a world: episodes, goals, faults and examples."""

import re
import runpy
import sys
import types
from dataclasses import dataclass
from typing import ClassVar

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from corridor import Constant, Corridor, CorridorFamily, corridor, same

from gmps.core.types import Shared
from gmps.errors import GmpsError, NotFiniteError
from gmps.experts.base import ExpertActor
from gmps.tasks import make_family
from gmps.tasks.base import Spec
from gmps.tasks.check import check_functions
from gmps.tasks.gymnasium_family import GymnasiumFamily
from gmps.worlds.base import Draws
from gmps.worlds.factory import make_world
from gmps.worlds.gymnasium_world import GymnasiumWorld
from places import EXAMPLES, ROOT


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
    [
        ("own_mjcf_family.py", "CartGoal"),
        ("own_gymnasium_family.py", "PendulumGravity"),
        ("own_randomised_family.py", "PushAnywhere"),
    ],
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
