"""Worlds and simulators: against plain `mj_step` loops and hand-worked episodes."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest

from gmps.core.actors import Actor
from gmps.sim.native import NativeSimulator, markov_model
from gmps.tasks import make_family
from gmps.tasks.base import Control, MujocoFamily, PureFamily, Spec, State
from gmps.worlds.factory import make_world

EMPTY = jnp.zeros(0, jnp.float32)


@dataclass(frozen=True)
class LinearActor(Actor):
    """Mean `params @ obs`, plus noise of standard deviation `scale`."""

    act_size: int
    scale: float = 1.0

    @property
    def noise_size(self):
        return self.act_size

    def __call__(self, params, task, obs, noise):
        return params @ obs + self.scale * noise, -0.5 * jnp.sum(noise**2)


@dataclass(frozen=True)
class ConstantActor(Actor):
    """Plays `params`."""

    noise_size: ClassVar[int] = 0

    def __call__(self, params, task, obs, noise):
        return params, jnp.zeros(())


@dataclass(frozen=True)
class Line(PureFamily):
    """A point on a line that moves by its action and ends beyond 1; reward: the new position."""

    name: ClassVar[str] = "line"
    spec: ClassVar[Spec] = Spec(1, 1, 1, horizon=4, control_dt=1.0)
    ends: bool = True
    blow_up: bool = False

    def tasks(self, split, n=None, key=None):
        return jnp.zeros((n or 2, 1), jnp.float32)

    def context(self, task):
        return task

    def reset(self, key, task):
        return State(task, EMPTY, EMPTY)

    def step(self, state, act):
        new = state.qpos + act
        return state._replace(qpos=jnp.where(new > 1.4, jnp.inf, new) if self.blow_up else new)

    def observe(self, state):
        return state.qpos

    def reward(self, task, transition):
        new = transition.next_state.qpos[0]
        return {"position": new, "effort": -10 * transition.act[0] ** 2}

    def terminated(self, state):
        if not self.ends:
            return jnp.zeros((), bool)
        return ~(state.qpos[0] <= 1)

    def outcome(self, task, states, sensors):
        return {"success": jnp.ones(()), "final": states.qpos[-1, 0]}

    def paths(self, states, sensors):
        return {"point": jnp.concatenate([states.qpos, states.qpos], -1)}

    def goal_point(self, task):
        return jnp.zeros(2)


CART = """
<mujoco>
  <option timestep="0.005"/>
  <worldbody>
    <geom type="plane" size="5 5 0.1"/>
    <body name="hand" mocap="true" pos="0 0 0.3"><geom size="0.05" contype="0"
      conaffinity="0"/></body>
    <body name="ball" pos="0 0 0.3"><freejoint/><geom size="0.05" mass="0.1"/></body>
    <body name="cart" pos="1 0 0.2"><joint name="slide" type="slide" axis="1 0 0"/>
      <geom type="box" size="0.1 0.1 0.05" mass="1"/></body>
  </worldbody>
  <equality><weld body1="hand" body2="ball" solref="0.02 1"/></equality>
  <actuator><motor joint="slide" gear="GEAR"/></actuator>
  <sensor><framepos objtype="body" objname="ball"/><velocimeter site="s"/></sensor>
</mujoco>
""".replace('<velocimeter site="s"/>', '<jointvel joint="slide"/>')


@dataclass(frozen=True)
class Cart(MujocoFamily):
    """A ball welded to a mocap hand, and a motorised cart; 3 physics steps per control step."""

    name: ClassVar[str] = "cart"
    spec: ClassVar[Spec] = Spec(17, 2, 1, horizon=6, control_dt=0.015)
    frame_skip: ClassVar[int] = 3
    gear: float = 5.0
    ends: bool = False

    def model(self):
        return mujoco.MjModel.from_xml_string(CART.replace("GEAR", str(self.gear)))

    def tasks(self, split, n=None, key=None):
        return jnp.arange(n or 2, dtype=jnp.float32)[:, None]

    def context(self, task):
        return task

    def reset(self, key, task):
        qpos = jnp.array([0, 0, 0.3, 1, 0, 0, 0, 0], jnp.float32)
        qpos = qpos.at[7].set(0.1 * jax.random.normal(key, (), jnp.float32))
        return State(qpos, jnp.zeros(7, jnp.float32), jnp.array([0, 0, 0.3], jnp.float32))

    def observe(self, state):
        return jnp.concatenate([state.qpos, state.qvel, state.mocap_pos[:2]])

    def control(self, state, act):
        move = jnp.array([2**-7, 0, 2**-8], jnp.float32)  # exact in float32
        return Control(act[:1], state.mocap_pos + act[1] * move)

    def reward(self, task, transition):
        names = [f"{when}{i}" for when in ("before", "after") for i in range(4)]
        sensors = jnp.concatenate([transition.sensors, transition.next_sensors])
        return dict(zip(names, sensors, strict=True))

    def terminated(self, state):
        return jnp.array(self.ends) & ~jnp.isfinite(state.qpos).all()

    def outcome(self, task, states, sensors):
        return {"success": jnp.ones(()), "height": sensors[-1, 2]}

    def paths(self, states, sensors):
        return {"ball": sensors[:, :2]}

    def goal_point(self, task):
        return jnp.zeros(2)


def cart_rollout(threads=2, count=3, episodes=2, key=3):
    family = Cart()
    params = 0.3 * jax.random.normal(jax.random.key(1), (count, 2, 17))
    world = make_world(family, threads)
    return world.rollout(
        LinearActor(2), params, family.tasks("train", count), episodes, key=jax.random.key(key)
    )


def plain_loop(family, start, actions):
    """Packed states and sensors of `mj_step` + `mj_forward`, in float32 like the world's."""
    model = markov_model(family.model())
    data = mujoco.MjData(model)
    probe = mujoco.MjData(model)
    data.qpos, data.qvel = start[:8], start[8:15]
    mocap = jnp.array(start[15:18])
    states, sensors = [], []

    def look():
        state = State(jnp.array(data.qpos), jnp.array(data.qvel), mocap)
        states.append(state)
        probe.qpos, probe.qvel, probe.mocap_pos = data.qpos, data.qvel, data.mocap_pos
        mujoco.mj_forward(model, probe)
        sensors.append(probe.sensordata.astype(np.float32))
        return state

    for act in actions:
        state = look()
        control = family.control(state, jnp.clip(act, -1, 1))
        data.ctrl, data.mocap_pos[0], mocap = control.ctrl, control.mocap_pos, control.mocap_pos
        for _ in range(family.frame_skip):
            mujoco.mj_step(model, data)
    look()
    return np.array([family.observe(s) for s in states]), np.array(sensors)


def test_native_world_equals_a_plain_loop_of_physics_steps():
    out = cart_rollout()
    rollout = out.trajectories
    start = Cart().reset(jax.random.key(0), jnp.zeros(1))
    for task, episode in [(0, 0), (1, 1), (2, 0)]:
        first = np.asarray(rollout.obs[task, episode, 0])
        begin = np.concatenate([first[:15], start.mocap_pos])
        obs, sensors = plain_loop(Cart(), begin, np.asarray(rollout.act[task, episode]))
        assert np.array_equal(obs[:-1], rollout.obs[task, episode])
        assert np.array_equal(obs[-1], rollout.last_obs[task, episode])
        for i in range(4):
            assert np.array_equal(sensors[:-1, i], out.terms[f"before{i}"][task, episode])
            assert np.array_equal(sensors[1:, i], out.terms[f"after{i}"][task, episode])
        assert out.outcome["height"][task, episode] == sensors[-1, 2]
        assert np.array_equal(sensors[:, :2], out.paths["ball"][task, episode])
    moved = np.abs(np.diff(rollout.obs[..., 0], axis=-1))
    assert moved.max() > 1e-3


def test_rewards_are_the_sum_of_their_terms():
    out = cart_rollout()
    total = sum(np.asarray(x) for x in out.terms.values())
    np.testing.assert_allclose(out.trajectories.reward, total, rtol=1e-5)


@pytest.mark.parametrize("threads", [1, 4, 5])
@pytest.mark.parametrize(("count", "episodes"), [(3, 2), (1, 3), (1, 1)])
def test_results_do_not_depend_on_the_number_of_threads(threads, count, episodes):
    expected = cart_rollout(2, count, episodes)
    for a, b in zip(
        jax.tree.leaves(expected),
        jax.tree.leaves(cart_rollout(threads, count, episodes)),
        strict=True,
    ):
        assert np.array_equal(a, b)


def test_each_task_runs_its_own_parameters_with_the_noise_of_the_key():
    family = Cart()
    tasks = family.tasks("train", 3)
    world = make_world(family)
    params = jnp.array([[0.5, 0.1], [-0.25, 2.0], [0.0, -0.5]])
    out = world.rollout(ConstantActor(), params, tasks, 2, jax.random.key(0)).trajectories
    assert np.array_equal(out.act, np.broadcast_to(params[:, None, None], (3, 2, 6, 2)))

    once, again, other = (cart_rollout(key=key).trajectories for key in (3, 3, 4))
    assert np.array_equal(once.act, again.act)
    assert not np.array_equal(again.act, other.act)
    assert len(np.unique(np.asarray(again.log_prob))) == again.log_prob.size


def line_rollout(params, tasks, **options):
    family = Line(**options)
    tasks = jnp.asarray(tasks, jnp.float32)[:, None]
    params = jnp.asarray(params, jnp.float32)[:, None]
    return make_world(family).rollout(ConstantActor(), params, tasks, 1, jax.random.key(0))


def test_a_finished_episode_repeats_its_last_state_and_earns_nothing():
    # Task 0: 0.5, 1.0, 1.5 (end after 3 steps). Task 1: 0, -0.5, -1, ... runs to the horizon;
    # its action 7 of -7 is clipped to -1.
    out = line_rollout([0.5, -7.0], [0.0, 0.0])
    steps = out.trajectories
    assert np.array_equal(steps.alive[:, 0], [[1, 1, 1, 0], [1, 1, 1, 1]])
    assert np.array_equal(steps.obs[:, 0, :, 0], [[0, 0.5, 1, 1.5], [0, -1, -2, -3]])
    assert np.array_equal(steps.last_obs[:, 0, 0], [1.5, -4])
    assert np.array_equal(steps.act[:, 0, :, 0], [[0.5, 0.5, 0.5, 0], [-7] * 4])
    assert np.array_equal(steps.terminated[:, 0], [True, False])
    assert np.array_equal(out.terms["position"][:, 0], [[0.5, 1, 1.5, 0], [-1, -2, -3, -4]])
    assert np.array_equal(out.terms["effort"][:, 0], [[-2.5, -2.5, -2.5, 0], [-10] * 4])
    assert np.array_equal(steps.returns[:, 0], [3 - 7.5, -10 - 40])
    assert np.array_equal(out.paths["point"][0, 0, :, 0], [0, 0.5, 1, 1.5, 1.5])
    assert np.array_equal(out.outcome["final"][:, 0], [1.5, -4])


def test_an_end_on_the_last_step_is_still_an_end():
    steps = line_rollout([0.25], [0.2]).trajectories
    assert steps.alive.all()
    assert steps.terminated.all()
    assert steps.last_obs[0, 0, 0] == pytest.approx(1.2)


def test_native_steps_are_markov(rng=np.random.default_rng(0)):
    """The same state and control give the same next state, whatever happened before."""
    simulator = NativeSimulator(Cart().model(), 3)
    start = np.concatenate([[0, 0, 0.3, 1, 0, 0, 0, 0], rng.normal(size=7)])[None]
    control = np.array([[0.5, 0.02, 0, 0.29]])
    state, sensors = np.zeros((2, 1, 15)), np.zeros((1, 4))
    simulator.start(start)
    assert simulator.step(control, state[0], sensors) is None
    for _ in range(5):
        simulator.step(-control, state[1], sensors)
    simulator.start(start)
    simulator.step(control, state[1], sensors)
    assert np.array_equal(state[0], state[1])


def test_models_with_more_state_than_positions_and_velocities_are_refused():
    text = CART.replace("<motor ", '<general dyntype="integrator" ').replace("GEAR", "1")
    with pytest.raises(ValueError, match="1 state variables besides qpos and qvel"):
        NativeSimulator(mujoco.MjModel.from_xml_string(text), 1)


def test_bad_batches_are_explained():
    world, key = make_world(Line()), jax.random.key(0)
    tasks, params = jnp.zeros((2, 1)), jnp.zeros((2, 1))
    with pytest.raises(ValueError, match="episodes is 0; a rollout needs at least 1"):
        world.rollout(ConstantActor(), params, tasks, 0, key)
    with pytest.raises(ValueError, match=r"same leading task axis, got 2 tasks and axes \[2, 3\]"):
        world.rollout(ConstantActor(), jnp.zeros((3, 1)), tasks, 1, key)
    with pytest.raises(ValueError, match=r"one common leading axis of at least 1, got \[0\]"):
        world.rollout(ConstantActor(), params, jnp.zeros((0, 1)), 1, key)
    with pytest.raises(ValueError, match="threads is 0; physics needs at least 1"):
        make_world(Cart(), threads=0)
    with pytest.raises(TypeError, match="derive it from PureFamily or MujocoFamily, or from Gymn"):
        make_world(object())


@dataclass(frozen=True)
class Held(Actor):
    """Acts by the first of its two numbers, which it holds for the episode."""

    act_size: int
    held_noise: ClassVar[int] = 1
    noise_size: ClassVar[int] = 2

    def __call__(self, params, task, obs, noise):
        return jnp.broadcast_to(noise[:1], (self.act_size,)), noise[1]


@pytest.mark.parametrize("name", ["point-goal", "sawyer-push"])
def test_held_noise_lasts_the_episode_and_is_recorded(name: str):
    world = make_world(make_family(name))
    tasks = world.family.tasks("heldout", 2)
    actor = Held(world.family.spec.act_size)
    data = world.rollout(actor, jnp.zeros(2), tasks, 3, jax.random.key(0)).trajectories
    assert data.held.shape == (2, 3, 1)
    everywhere = np.broadcast_to(data.held[:, :, None], data.act.shape)
    np.testing.assert_array_equal(data.act, everywhere)
    assert len(np.unique(data.held)) == 6
    # The other number is fresh in each step.
    assert np.std(data.log_prob, axis=2).min() > 0.3
