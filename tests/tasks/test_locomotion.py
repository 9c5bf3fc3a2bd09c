"""The running families: rewards by hand, Gymnasium's own step, ends, and bodies that differ."""

import gymnasium
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from gmps.core.types import stack
from gmps.sim.native import NativeSimulator, edited_model, markov_model
from gmps.tasks import make_family
from gmps.tasks.ant_dir import AntDir
from gmps.tasks.base import MujocoFamily, State, Transition
from gmps.tasks.body_params import VARIED, RandomBody
from gmps.tasks.locomotion import Runner

RUNNERS = {
    "half-cheetah-vel": "HalfCheetah-v4",
    "half-cheetah-dir": "HalfCheetah-v4",
    "ant-dir": "Ant-v4",
    "walker-params": "Walker2d-v4",
    "hopper-params": "Hopper-v4",
}


def runner(name: str) -> Runner:
    family = make_family(name)
    assert isinstance(family, Runner)
    return family


def at(family: Runner, **changes: float) -> State:
    """The start state, with positions and velocities named `q3` or `v0` changed."""
    qpos, qvel = np.array(family.start, np.float32), np.zeros(family.speeds, np.float32)
    for name, value in changes.items():
        {"q": qpos, "v": qvel}[name[0]][int(name[1:])] = value
    return State(jnp.asarray(qpos), jnp.asarray(qvel), jnp.zeros(0))


def moved(family: Runner, act: jax.Array, **changes: float) -> Transition:
    none = jnp.zeros(0)
    return Transition(at(family), none, act, at(family, **changes), none)


# Version 4 is what the publications' models became; 5 has another walker.
@pytest.mark.filterwarnings("ignore:.*out of date")
@pytest.mark.parametrize(("name", "made"), RUNNERS.items())
def test_bodies_steps_and_observations_are_gymnasiums(name: str, made: str):
    family, env = runner(name), gymnasium.make(made).unwrapped
    env.reset(seed=0)
    rng = np.random.default_rng(0)
    start = np.array(family.start) + rng.uniform(-0.05, 0.05, len(family.start))
    qvel = 0.1 * rng.standard_normal(family.speeds)
    act = rng.uniform(-1, 1, family.spec.act_size)
    env.set_state(start, qvel)  # pyright: ignore[reportAttributeAccessIssue]
    model = family.model()
    data = mujoco.MjData(model)
    data.qpos, data.qvel, data.ctrl = start, qvel, act
    for _ in range(5):
        mujoco.mj_step(model, data)
    # Gymnasium's walker has a frame skip of 4; the publications' has 5.
    env.do_simulation(act, 5)  # pyright: ignore[reportAttributeAccessIssue]
    np.testing.assert_allclose(env.data.qpos, data.qpos, atol=1e-9)  # pyright: ignore
    np.testing.assert_allclose(env.data.qvel, data.qvel, atol=1e-7)  # pyright: ignore
    np.testing.assert_array_equal(env.init_qpos, family.start)  # pyright: ignore
    seen = family.observe(State(jnp.asarray(data.qpos), jnp.asarray(data.qvel), jnp.zeros(0)))
    shown = env._get_obs()[: family.spec.obs_size]  # pyright: ignore
    np.testing.assert_allclose(seen, shown, rtol=1e-5, atol=1e-6)
    env.close()


def test_rewards_by_hand():
    act = jnp.array([0.5, -1, 0, 0, 0, 0])
    vel, back = runner("half-cheetah-vel"), runner("half-cheetah-dir")
    # 0.1 m in 0.05 s are 2 m/s; the squared actions sum to 1.25.
    step = moved(vel, act, q0=0.1)
    terms = vel.reward(jnp.array([0.5]), step)
    np.testing.assert_allclose([terms["speed"], terms["control"]], [-1.5, -0.0625], rtol=1e-5)
    np.testing.assert_allclose(back.reward(jnp.array([-1.0]), step)["forward"], -2, rtol=1e-5)
    ant = runner("ant-dir")
    terms = ant.reward(jnp.array([0.6, 0.8]), moved(ant, jnp.ones(8), q0=0.1, q1=-0.05))
    np.testing.assert_allclose([terms[x] for x in ("forward", "alive", "control")], [0.4, 1, -4])
    hopper = runner("hopper-params")
    terms = hopper.reward(jnp.zeros(37), moved(hopper, jnp.ones(3), q0=0.016))
    values = [terms[x] for x in ("forward", "alive", "control")]
    np.testing.assert_allclose(values, [2, 1, -0.003], rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "changes", "over"),
    [
        ("half-cheetah-dir", {"q1": -0.5}, False),
        ("ant-dir", {"q2": 0.19}, True),
        ("ant-dir", {"q2": 1.01}, True),
        ("ant-dir", {"v0": np.nan}, True),
        ("walker-params", {"q1": 0.79}, True),
        ("walker-params", {"q2": 0.99}, False),
        ("walker-params", {"q2": -1.01}, True),
        ("hopper-params", {"q1": 0.71}, False),
        ("hopper-params", {"q2": 0.21}, True),
        ("hopper-params", {"v5": 101.0}, True),
    ],
)
def test_episodes_end_where_the_sources_say(name: str, changes: dict[str, float], over: bool):
    family = runner(name)
    assert not family.terminated(at(family))
    assert bool(family.terminated(at(family, **changes))) == over


def test_opposite_tasks_are_in_both_splits_and_others_are_apart():
    for name in ("half-cheetah-dir", "ant-forward-backward"):
        family = runner(name)
        for split in ("train", "heldout"):
            tasks = np.asarray(family.tasks(split))
            np.testing.assert_allclose(tasks[0], -tasks[1], atol=1e-6)
        drawn = np.asarray(family.tasks("train", 50, jax.random.key(0)))[:, 0]
        assert set(np.round(drawn)) == {-1, 1}
    for name in ("half-cheetah-vel", "ant-dir", "walker-params"):
        train, heldout = (np.asarray(runner(name).tasks(s)) for s in ("train", "heldout"))
        gaps = np.linalg.norm(train[:, None] - heldout, axis=-1)
        assert gaps.min() > 0.05, name
    velocities = np.asarray(runner("half-cheetah-vel").tasks("heldout"))[:, 0]
    assert len(velocities) == 10 and velocities.min() == 0 and velocities.max() == 3


@pytest.mark.parametrize("name", ["walker-params", "hopper-params"])
def test_each_number_of_a_task_is_a_factor_of_its_own(name: str):
    family = runner(name)
    assert isinstance(family, RandomBody)
    plain = family.model()
    size = family.spec.context_size
    zero = edited_model(plain, lambda m: family.edit_model(m, np.zeros(size, np.float32)))
    for field in VARIED:
        np.testing.assert_array_equal(getattr(zero, field), getattr(plain, field))
    task = np.zeros(size, np.float32)
    # The lightest first body, and the last geom's last friction at its largest.
    task[0], task[-1] = -1, 1
    edited = edited_model(plain, lambda m: family.edit_model(m, task))
    np.testing.assert_allclose(edited.body_mass[1], plain.body_mass[1] / 1.5**3)
    np.testing.assert_array_equal(edited.body_mass[2:], plain.body_mass[2:])
    np.testing.assert_allclose(edited.geom_friction[-1, 2], plain.geom_friction[-1, 2] * 1.5**3)
    np.testing.assert_array_equal(edited.geom_friction[:-1], plain.geom_friction[:-1])
    damping = task * 0
    damping[plain.body_mass[1:].size * 4 + plain.nv - 1] = 1
    edited = edited_model(plain, lambda m: family.edit_model(m, damping))
    np.testing.assert_allclose(edited.dof_damping[-1], plain.dof_damping[-1] * 1.3**3)


def test_tasks_of_bodies_simulate():
    family = runner("hopper-params")
    simulator = NativeSimulator(markov_model(family.model()), family.frame_skip)
    tasks = np.asarray(family.tasks("heldout", 3))
    models = [edited_model(simulator.model, lambda m, t=t: family.edit_model(m, t)) for t in tasks]
    start = np.tile(np.array([*family.start, *[0.0] * 6]), (3, 1))
    state, none = start.copy(), np.zeros((3, 0))
    simulator.start(start, models)
    for _ in range(5):
        assert simulator.step(np.full((3, 3), 0.3), state, none) is None
    assert np.ptp(state[:, 3:6], axis=0).min() > 1e-6


def test_starts_keep_the_quaternion_a_unit_one():
    family = AntDir()
    assert isinstance(family, MujocoFamily)
    keys = jax.random.split(jax.random.key(0), 5)
    start = jax.vmap(family.reset)(keys, stack(jnp.array([1.0, 0.0]), 5))
    np.testing.assert_allclose(jnp.linalg.norm(start.qpos[:, 3:7], axis=1), 1, rtol=1e-5)
    assert np.abs(start.qpos[:, 7:]).max() <= 0.1


def test_a_point_is_paid_near_its_goal_alone():
    for name, radius in (("sparse-point", 0.2), ("sparse-point-wide", 0.3)):
        family, goal = make_family(name), jnp.array([0.0, 1.0])
        assert family.name == name and family.expert_families == (name, "point-goal")
        none = jnp.zeros(0)
        for distance in (0.0, radius - 0.01, radius + 0.01):
            here = State(goal - jnp.array([distance, 0.0]), none, none)
            paid = family.reward(goal, Transition(here, none, jnp.zeros(2), here, none))["near"]
            wanted = 1 - distance if distance < radius else 0
            np.testing.assert_allclose(paid, wanted, rtol=1e-5)
