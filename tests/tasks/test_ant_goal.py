"""The ant: against the authors' demonstrations, and by hand."""

import functools
import math
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from gmps.core.actors import Actor
from gmps.sim.native import NativeSimulator
from gmps.tasks.ant_goal import (
    HELDOUT_INDICES,
    TRAIN_INDICES,
    AntGoal,
    authors_observation,
    goal_at,
)
from gmps.tasks.base import State, Transition
from gmps.worlds.factory import make_world
from places import DATA

DEMOS = DATA / "ant-goal-demos.npz"
needs_data = pytest.mark.skipif(not DEMOS.exists(), reason="no authors' ant demonstrations")
#: By 8e-3 in its speeds within one step, where they moved by 0.1: docs/simulators.md.
as_authors = pytest.mark.skipif(
    int(mujoco.__version__.split(".")[0]) >= 4, reason="MuJoCo 4 moves the ant otherwise"
)
EMPTY = jnp.zeros(0, jnp.float32)


@dataclass(frozen=True)
class NoiseActor(Actor):
    """Normal actions of standard deviation `params`, as an untrained policy gives."""

    noise_size: ClassVar[int] = 8

    def __call__(self, params, task, obs, noise):
        return params * noise, jnp.zeros(())


@functools.cache
def demonstrations():
    with np.load(DEMOS) as file:
        return {name: file[name] for name in file.files}


@functools.cache
def replayed():
    """One step from every second of the authors' states of 3 episodes per task."""
    data = demonstrations()
    obs, act, reward = (data[k][:, :3] for k in ("observations", "actions", "rewards"))
    before, after = (x[..., :29].reshape(-1, 29) for x in (obs[:, :, :-1:2], obs[:, :, 1::2]))
    act = act[:, :, :-1:2].reshape(-1, 8)
    simulator = NativeSimulator(AntGoal().model(), AntGoal.frame_skip)
    return before, np.clip(act, -1, 1), after, reward[:, :, :-1:2].reshape(-1), simulator


def one_step(act):
    before, _, after, _, simulator = replayed()
    states, unused = np.empty(before.shape), np.empty((len(before), 3))
    simulator.start(before)
    assert simulator.step(act, states, unused) is None
    return states, np.abs(states - after)


@needs_data
@as_authors
def test_one_step_replays_the_authors_demonstrations():
    before, act, after, _, _ = replayed()
    _, error = one_step(act)
    moved = np.median(np.abs(after - before)[:, 15:])
    assert np.median(error[:, 15:]) <= 1e-3 < moved / 50
    assert np.median(error[:, :15]) <= 1e-5
    # Any other motor order is far off.
    _, wrong = one_step(np.roll(act, 2, axis=1))
    assert np.median(wrong[:, 15:]) > 100 * np.median(error[:, 15:])


@needs_data
@as_authors
def test_rewards_are_the_authors():
    _, act, _, reward, simulator = replayed()
    states, _ = one_step(act)
    com = np.empty((len(act), 3), np.float32)
    simulator.sense(com)
    goals = np.repeat(demonstrations()["goals"], len(act) // 10, 0)

    def total(goal, qpos, act, com):
        state = State(qpos, jnp.zeros(14), EMPTY)
        terms = AntGoal().reward(goal, Transition(state, com, act, state, com))
        return sum(terms.values())

    ours = jax.vmap(total)(goals, jnp.float32(states[:, :15]), jnp.float32(act), com)
    assert np.abs(ours - reward).max() < 0.06
    assert np.median(np.abs(ours - reward)) < 1e-3


@needs_data
def test_observations_have_the_layout_of_the_authors_files():
    obs = demonstrations()["observations"][:, :2].reshape(-1, 122)
    state = State(jnp.array(obs[:, :15]), jnp.array(obs[:, 15:29]), jnp.zeros((len(obs), 0)))
    ours = jax.vmap(AntGoal().observe)(state)
    np.testing.assert_allclose(ours, authors_observation(obs), atol=1e-6)


def test_authors_observations_of_another_size_are_refused():
    text = (
        "The authors' ant observations have 122 numbers, these have 125; give qpos 15, qvel 14, "
        "contact forces 84 and the torso's rotation matrix 9."
    )
    with pytest.raises(ValueError, match="122 numbers") as error:
        authors_observation(np.zeros((3, 125)))
    assert str(error.value) == text


def test_rotation_matrix_is_mujocos():
    quaternion = np.random.default_rng(0).normal(size=4)
    quaternion /= np.linalg.norm(quaternion)
    expected = np.empty(9)
    mujoco.mju_quat2Mat(expected, quaternion)
    qpos = jnp.zeros(15, jnp.float32).at[3:7].set(quaternion)
    obs = AntGoal().observe(State(qpos, jnp.zeros(14, jnp.float32), EMPTY))
    np.testing.assert_allclose(obs[29:], expected, atol=1e-6)


def test_model_is_the_weak_ant_with_its_motor_order():
    model = AntGoal().model()
    joints = [model.joint(model.actuator_trnid[i, 0]).name for i in range(8)]
    assert joints == [f"{part}_{leg}" for leg in (4, 1, 2, 3) for part in ("hip", "ankle")]
    assert np.array_equal(model.actuator_gear[:, 0], [30] * 8)
    assert (model.opt.timestep, model.nq, model.nv, model.nsensordata) == (0.01, 15, 14, 3)
    assert model.opt.integrator == mujoco.mjtIntegrator.mjINT_RK4


def test_task_lists_are_the_published_goals():
    family = AntGoal()
    assert TRAIN_INDICES == (0, 8, 12, 16, 20, 24, 28, 36)
    assert not set(TRAIN_INDICES) & set(HELDOUT_INDICES)
    train, heldout = family.tasks("train"), family.tasks("heldout")
    assert train.shape == (8, 2)
    assert heldout.shape == (13, 2)
    np.testing.assert_allclose(train[0], [2, 0], atol=1e-6)
    np.testing.assert_allclose(heldout[-1], [0, 2], atol=1e-6)
    # Demonstrated goal 1 has index 4 of 40: 4 * 90 / 39 degrees.
    np.testing.assert_allclose(heldout[1], [1.9741005, 0.32082257], atol=1e-6)
    assert np.array_equal(family.tasks("heldout", 2), heldout[np.array([0, -1])])
    assert family.describe(heldout[-1]) == "90.0 deg"


@needs_data
def test_task_lists_agree_with_the_demonstrations():
    goals = demonstrations()["goals"]
    assert np.allclose(AntGoal().tasks("train"), np.delete(goals, [1, 8], 0), atol=1e-6)
    heldout = np.asarray(AntGoal().tasks("heldout"))
    assert all(np.abs(heldout - goals[k]).max(1).min() < 1e-6 for k in (1, 8))


def test_random_tasks_lie_on_the_quarter_circle():
    goals = AntGoal().tasks("train", 200, jax.random.key(0))
    assert goals.shape == (200, 2)
    np.testing.assert_allclose(np.linalg.norm(goals, axis=1), 2, rtol=1e-6)
    angles = np.degrees(np.arctan2(goals[:, 1], goals[:, 0]))
    assert angles.min() > 0
    assert angles.max() < 90
    assert 40 < angles.mean() < 50
    assert angles.min() < 5
    assert angles.max() > 85


def test_too_many_published_tasks_are_refused():
    text = (
        "ant-goal: asked for 9 published tasks, but this split lists 8; ask for 1 to 8, or give a "
        "key to draw random ones."
    )
    with pytest.raises(ValueError, match="published") as error:
        AntGoal().tasks("train", 9)
    assert str(error.value) == text


def test_start_is_noisy_with_a_unit_quaternion():
    goal = goal_at(jnp.zeros(()))
    keys = jax.random.split(jax.random.key(0), 2000)
    state = jax.vmap(AntGoal().reset, (0, None))(keys, goal)
    np.testing.assert_allclose(np.linalg.norm(state.qpos[:, 3:7], axis=1), 1, atol=1e-6)
    mean = [0, 0, 0.55, 1, 0, 0, 0, 0, 1, 0, -1, 0, -1, 0, 1]
    np.testing.assert_allclose(state.qpos.mean(0), mean, atol=2e-3)
    # The quaternion's real part barely varies once it is normalised.
    np.testing.assert_allclose(np.delete(state.qpos.std(0), 3), 0.01, rtol=0.1)
    np.testing.assert_allclose(state.qvel.std(0), 0.1, rtol=0.1)
    still = AntGoal(start_noise=False).reset(keys[0], goal)
    assert np.array_equal(still.qpos, jnp.array(mean, jnp.float32))
    assert not still.qvel.any()


@pytest.mark.parametrize(
    ("height", "bad", "ends"),
    [
        (0.55, 0, False),
        (0.19, 0, True),
        (1.01, 0, True),
        (0.55, np.nan, True),
        (0.55, np.inf, True),
    ],
)
def test_episodes_end_outside_the_heights_and_on_bad_numbers(height, bad, ends):
    qpos = jnp.zeros(15, jnp.float32).at[2].set(height)
    qvel = jnp.zeros(14, jnp.float32).at[3].set(bad)
    assert bool(AntGoal().terminated(State(qpos, qvel, EMPTY))) is ends


def test_dense_reward_by_hand():
    state = State(jnp.zeros(15), jnp.zeros(14), EMPTY)
    act = jnp.array([1.0, -1.0, 0.5, 0, 0, 0, 0, 0])
    com = jnp.array([0.5, 1.0, 0.3])
    terms = AntGoal().reward(jnp.array([2.0, 0.0]), Transition(state, 9 * com, act, state, com))
    assert {k: round(float(v), 6) for k, v in terms.items()} == {
        "goal": -2.5,
        "offset": 4.0,
        "alive": 0.05,
        "control": -0.01125,
    }


@pytest.mark.parametrize(
    ("com", "goal_term"),
    [
        ([1.5, 0.6, 0.4], -1.1),  # 0.78 m away: as dense
        ([1.5, 0.63, 0.4], -2.0),  # 0.804 m away: as at the origin
        ([-3.0, 0.0, 0.4], -2.0),
    ],
)
def test_sparse_reward_by_hand(com, goal_term):
    state, com = State(jnp.zeros(15), jnp.zeros(14), EMPTY), jnp.array(com)
    transition = Transition(state, com, jnp.zeros(8), state, com)
    terms = AntGoal(sparse=True).reward(jnp.array([2.0, 0.0]), transition)
    assert float(terms["goal"]) == pytest.approx(goal_term, abs=1e-6)
    assert float(sum(terms.values())) == pytest.approx(goal_term + 4.05, abs=1e-6)


def test_all_goals_that_are_not_held_out_can_be_trained_on():
    family = AntGoal(goals="all")
    assert family.tasks("train").shape == (27, 2)
    both = np.concatenate([family.tasks("train"), family.tasks("heldout")])
    even = goal_at(jnp.linspace(0, math.pi / 2, 40, dtype=jnp.float32))
    order = np.argsort(np.arctan2(both[:, 1], both[:, 0]))
    np.testing.assert_allclose(both[order], even, atol=1e-5)
    assert AntGoal(sparse=True).name == "ant-goal-sparse"


def test_levels_of_standing_still_and_of_random_actions():
    family = AntGoal()
    goals = goal_at(jnp.linspace(0, math.pi / 2, 5, dtype=jnp.float32))
    stds = jnp.repeat(jnp.array([0.0, 1.0]), 5)
    out = make_world(family).rollout(
        NoiseActor(), stds, jnp.concatenate([goals, goals]), 2, jax.random.key(0)
    )
    # By hand: 200 * (4.05 - 2 (cos + sin)); the ant drops a little and stays where it is.
    returns = out.trajectories.returns.mean(1)
    np.testing.assert_allclose(returns[:5], 200 * (4.05 - np.abs(goals).sum(1)), atol=15)
    np.testing.assert_allclose(out.outcome["final_distance"][:5], 2, atol=0.08)
    assert not out.outcome["success"].any()
    assert 285 < returns[5:].mean() < 330
    assert out.trajectories.alive[:5].all()


def test_outcome_is_where_the_centre_of_mass_ends():
    com = jnp.array([[0, 0, 0.5], [1.7, 0.3, 0.5]])
    outcome = AntGoal().outcome(jnp.array([2.0, 0.0]), None, com)
    assert float(outcome["final_distance"]) == pytest.approx(math.hypot(0.3, 0.3))
    assert float(outcome["success"]) == 1
    far = AntGoal().outcome(jnp.array([2.3, 0.0]), None, com)
    assert float(far["success"]) == 0
