"""Families whose tasks change the model."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from gmps.core.actors import Actor
from gmps.experts.base import ExpertActor
from gmps.sim.native import NativeSimulator, edited_model, markov_model
from gmps.tasks import ant_gear, push_dynamics
from gmps.tasks.ant_gear import AntGear
from gmps.tasks.ant_goal import AntGoal
from gmps.tasks.lists import lattice
from gmps.tasks.push_dynamics import PushDynamics
from gmps.tasks.sawyer_push import SawyerPush
from gmps.worlds.factory import make_world


@dataclass(frozen=True)
class NoiseActor(Actor):
    """Normal actions of standard deviation `params`."""

    noise_size: ClassVar[int] = 8

    def __call__(self, params, task, obs, noise):
        return params * noise, jnp.zeros(())


@dataclass(frozen=True)
class Forward(Actor):
    """Pushes the block straight on."""

    noise_size: ClassVar[int] = 0

    def __call__(self, params, task, obs, noise):
        return params, jnp.zeros(())


def test_the_neutral_ant_is_the_shared_ant_bit_for_bit():
    goals = jnp.array([ant_gear.GOAL] * 2, jnp.float32)
    std, key = jnp.ones(2), jax.random.key(0)
    shared = make_world(AntGoal()).rollout(NoiseActor(), std, goals, 2, key)
    edited = make_world(AntGear()).rollout(NoiseActor(), std, jnp.ones((2, 4)), 2, key)
    for a, b in zip(
        jax.tree.leaves(shared.trajectories), jax.tree.leaves(edited.trajectories), strict=True
    ):
        assert np.array_equal(a, b)


def test_each_factor_weakens_the_motors_of_its_leg():
    family, model = AntGear(), AntGear().model()
    for leg in range(4):
        factors = np.ones(4, np.float32)
        factors[leg] = 0.5
        edited = edited_model(model, lambda m, f=factors: family.edit_model(m, f))
        joints = [
            model.joint(model.actuator_trnid[i, 0]).name
            for i in range(8)
            if edited.actuator_gear[i, 0] == 15
        ]
        assert joints == [f"hip_{leg + 1}", f"ankle_{leg + 1}"]
        assert (np.sort(edited.actuator_gear[:, 0]) == [15] * 2 + [30] * 6).all()
    assert (model.actuator_gear[:, 0] == 30).all()


def test_a_row_of_a_batch_equals_a_batch_of_one():
    family = PushDynamics()
    world = make_world(family)
    tasks = family.tasks("heldout", 5)
    act = jnp.tile(jnp.array([0.0, 1.0, 0.0]), (5, 1))
    batch = world.rollout(Forward(), act, tasks, 2, jax.random.key(0))
    blocks = np.asarray(batch.states.qpos)[:, 0, :, 3:5]
    for k in (0, 2, 4):
        one = world.rollout(Forward(), act[:1], tasks[k : k + 1], 1, jax.random.key(0))
        for a, b in zip(jax.tree.leaves(one.states), jax.tree.leaves(batch.states), strict=True):
            assert np.array_equal(a[0, 0], b[k, 0])
            assert np.array_equal(a[0, 0], b[k, 1])
    assert np.ptp(blocks[..., 1], axis=0).max() > 0.015
    # Another batch of the same size in the same world starts from the unchanged model.
    again = world.rollout(Forward(), act, tasks[::-1], 2, jax.random.key(0))
    assert np.array_equal(np.asarray(again.states.qpos)[::-1], batch.states.qpos)


def test_edited_rows_equal_a_plain_loop_with_the_edited_model():
    family = PushDynamics()
    tasks = np.array([[0.05, 0.5], [0.4, 0.02]], np.float32)
    simulator = NativeSimulator(family.model(), family.frame_skip)
    models = [edited_model(simulator.model, lambda m, t=t: family.edit_model(m, t)) for t in tasks]
    start = np.zeros((2, 12))
    start[:, :6] = [0, 0.4, 0.05, 0, 0.52, 0.02]
    start[:, 9:11] = [0.1, 0.3]
    state, none = start.copy(), np.zeros((2, 0))
    simulator.start(start, models)
    for _ in range(4):
        simulator.step(np.array([[0, 0.45, 0.06]] * 2), state, none)
    for k, task in enumerate(tasks):
        model = markov_model(family.model())
        family.edit_model(model, task)
        data = mujoco.MjData(model)
        mujoco.mj_setConst(model, data)
        data.qpos, data.qvel, data.mocap_pos[0] = start[k, :6], start[k, 6:], [0, 0.45, 0.06]
        mujoco.mj_step(model, data, nstep=20)
        assert np.array_equal(np.r_[data.qpos, data.qvel], state[k])


def test_an_edited_mass_is_as_good_as_a_compiled_one(monkeypatch):
    family = PushDynamics()
    model = family.model()
    edited = edited_model(model, lambda m: family.edit_model(m, np.array([1.0, 0.25])))
    monkeypatch.setattr("gmps.tasks.sawyer_push.BLOCK_MASS", 0.25)
    compiled = SawyerPush().model()
    for name in ("body_mass", "body_subtreemass", "body_invweight0", "dof_invweight0", "dof_M0"):
        np.testing.assert_allclose(getattr(edited, name), getattr(compiled, name), err_msg=name)


@pytest.mark.parametrize("friction", [0.05, 0.2])
def test_the_block_slides_as_far_as_its_friction_allows(friction):
    family = PushDynamics()
    simulator = NativeSimulator(family.model(), family.frame_skip)
    task = np.array([friction, 0.1])
    model = edited_model(simulator.model, lambda m: family.edit_model(m, task))
    state, none = np.zeros((1, 12)), np.zeros((1, 0))
    state[0, :6], state[0, 10] = [0.3, 0.4, 0.3, 0, 0.52, 0.02], 0.4
    simulator.start(state, [model])
    for _ in range(40):
        simulator.step(np.array([[0.3, 0.4, 0.3]]), state, none)
    # By hand: v^2 / (2 mu g).
    assert state[0, 4] - 0.52 == pytest.approx(0.4**2 / (2 * friction * 9.81), rel=0.08)


def test_the_expert_knows_how_the_block_slides():
    family = PushDynamics()
    tasks = jnp.concatenate([family.tasks("train"), family.tasks("heldout")])
    actor = ExpertActor(family.expert, 3)
    out = make_world(family).rollout(actor, jnp.zeros(len(tasks)), tasks, 1, jax.random.key(0))
    assert float(out.outcome["final_error"].max()) < 0.03
    assert np.abs(jax.vmap(family.context)(tasks)).max() <= 1 + 1e-5
    assert family.describe(jnp.array([0.1, 0.05])) == "friction 0.1, 50 g"
    slope = jax.jacobian(push_dynamics.dynamics_expert, argnums=1)
    at_goal = jnp.array([0, 0.7, 0.05, *push_dynamics.GOAL, 0.02])
    assert bool(jnp.isfinite(slope(tasks[0], at_goal)).all())


def test_the_lattice_is_even_and_its_points_differ():
    points = lattice(20, 4)
    assert points.shape == (20, 4)
    assert (points >= 0).all() and (points < 1).all()
    # In each dimension every quarter of the line has its share.
    counts = [np.histogram(points[:, i], bins=4, range=(0, 1))[0] for i in range(4)]
    assert np.min(counts) >= 3 and np.max(counts) <= 7
    gaps = np.linalg.norm(points[:, None] - points, axis=-1)[~np.eye(20, dtype=bool)]
    assert gaps.min() > 0.15
