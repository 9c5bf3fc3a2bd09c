"""The simulator in JAX against the native one, and what it refuses."""

import importlib.util
from dataclasses import dataclass, replace
from typing import ClassVar

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from test_sim import CART, Cart, ConstantActor, Line, LinearActor

from gmps.core.types import Shared
from gmps.experts.base import ExpertActor
from gmps.presets import preset
from gmps.sim import mjx as simulator
from gmps.sim.mjx import MjxSimulator
from gmps.tasks import make_family
from gmps.worlds.base import Draws
from gmps.worlds.factory import make_world
from gmps.worlds.mjx_world import refusal

STEPS = 5


@dataclass(frozen=True)
class HeavyCart(Cart):
    """The cart's mass differs between tasks: 1 kg in task 0, 2 kg in task 1, and so on."""

    name: ClassVar[str] = "heavy-cart"
    edits_model: ClassVar[bool] = True
    fault: str = ""

    def edit_model(self, model, task):
        model.body("cart").mass *= 1 + task[0]
        if self.fault:
            model.dof_frictionloss[-1] = 0.1


def both(family, *args):
    """The same rollout in both simulators."""
    return [make_world(family, sim=sim).rollout(*args) for sim in ("native", "mjx")]


def worst(a, b):
    """Largest differences of positions, velocities and sensor data."""
    pairs = [(a.states.qpos, b.states.qpos), (a.states.qvel, b.states.qvel), (a.sensors, b.sensors)]
    return [float(np.abs(np.subtract(x, y)).max(initial=0)) for x, y in pairs]


def test_both_simulators_agree_and_rows_do_not_know_each_other():
    family = Cart()
    params, tasks = 0.3 * jax.random.normal(jax.random.key(1), (2, 17)), family.tasks("train", 3)
    start = jax.vmap(jax.vmap(family.reset, (0, None)), (None, 0))(
        jax.random.split(jax.random.key(2), 2), tasks
    )
    draws = Draws(start, jax.random.normal(jax.random.key(3), (3, 2, 6, 2)))
    native, ours = both(family, LinearActor(2), Shared(params), tasks, 2, draws)
    assert max(worst(native, ours)) < 1e-4
    for a, b in zip(jax.tree.leaves(native), jax.tree.leaves(ours), strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-4)
    assert np.abs(np.diff(ours.states.qpos[..., 7], axis=-1)).max() > 1e-3

    def turned(x):
        return x[::-1, ::-1]

    # From visited states, and every row elsewhere: the state alone decides, and rows are apart.
    visited = jax.tree.map(lambda x: x[:, :, 2], ours.states)
    world = make_world(family, sim="mjx")
    later = [
        world.rollout(
            LinearActor(2),
            Shared(params),
            tasks,
            2,
            Draws(*jax.tree.map(turn, (visited, draws.noise))),
        )
        for turn in (lambda x: x, turned)
    ]
    np.testing.assert_allclose(turned(later[1].states.qpos), later[0].states.qpos, atol=1e-6)
    np.testing.assert_allclose(turned(later[1].states.qvel), later[0].states.qvel, atol=1e-5)


def test_tasks_may_change_the_numbers_of_the_model():
    family = HeavyCart()
    act = jnp.array([[1.0, 0.0]] * 3)
    native, ours = both(
        family, ConstantActor(), act, family.tasks("train", 3), 2, jax.random.key(0)
    )
    assert max(worst(native, ours)) < 1e-4
    way = ours.states.qpos[:, 0, -1, 7] - ours.states.qpos[:, 0, 0, 7]
    np.testing.assert_allclose(way[0] / way, [1, 2, 3], rtol=1e-3)


def test_edits_that_change_the_program_are_refused():
    world = make_world(HeavyCart(fault="friction"), sim="mjx")
    with pytest.raises(ValueError, match=r"heavy-cart: the model of task 0 differs in more than n"):
        world.rollout(ConstantActor(), jnp.zeros((2, 2)), jnp.zeros((2, 1)), 1, jax.random.key(0))


def visited(name, episodes=4, std=0.3):
    """States along an expert's episodes, or those of noise, and the actions taken there."""
    family = make_family(name)
    controller = family.expert or (lambda task, obs: jnp.zeros(family.spec.act_size))
    tasks = family.tasks("train", 2)
    actor = ExpertActor(controller, family.spec.act_size)
    out = make_world(family).rollout(actor, jnp.full(2, std), tasks, episodes, jax.random.key(0))
    last = out.trajectories.alive.sum(-1).min() - STEPS
    at = np.linspace(0, last, episodes).astype(int)
    rows = np.arange(episodes)
    starts = jax.tree.map(lambda x: x[:, rows, at], out.states)
    noise = jax.random.normal(jax.random.key(1), (2, episodes, STEPS, family.spec.act_size))
    return family, actor, jnp.full(2, std), tasks, episodes, Draws(starts, noise)


def test_parity_of_the_ant_over_five_control_steps():
    assert max(worst(*both(*visited("ant-goal")))) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sawyer-push", "sawyer-door", "push-dynamics", "ant-gear"])
def test_parity_of_other_families_over_five_control_steps(name):
    assert max(worst(*both(*visited(name)))) < 1e-4


@pytest.mark.parametrize("name", ["half-cheetah-dir", "ant-dir", "walker-params", "hopper-params"])
def test_running_bodies_are_taken(name):
    assert refusal(make_family(name)) is None


def refused(xml):
    model = mujoco.MjModel.from_xml_string(xml)
    with pytest.raises(ValueError) as error:
        MjxSimulator(model, 1)
    return str(error.value)


def test_models_that_cannot_run_are_refused_in_a_sentence():
    scene = "<mujoco>{}<worldbody><body>{}<freejoint/></body>{}</worldbody>{}</mujoco>"
    box = '<geom name="b" type="box" size="1 1 1"/>'
    tube = '<geom type="cylinder" size="1 1"/>'
    assert refused(scene.format("", box, tube, "")) == (
        "MJX cannot simulate the model: (mjtGeom.mjGEOM_CYLINDER, mjtGeom.mjGEOM_BOX) collisions "
        "not implemented."
    )
    sensor = '<sensor><accelerometer name="felt" site="s"/></sensor>'
    assert refused(
        scene.format("", box, "", sensor).replace("<freejoint/>", '<freejoint/><site name="s"/>')
    ) == ("MJX cannot simulate the model: its sensor 'felt' measures forces or accelerations.")
    text = CART.replace("<motor ", '<general dyntype="integrator" ').replace("GEAR", "1")
    assert "1 state variables besides qpos and qvel" in refused(text)


def test_families_that_cannot_run_are_refused_before_anything_starts(monkeypatch):
    with pytest.raises(ValueError) as error:
        make_world(Line(), sim="mjx")
    assert str(error.value) == "line has no MuJoCo model for MJX; leave out --sim mjx."
    with pytest.raises(ValueError, match="--sim mjx runs on this machine; leave out --on ray"):
        replace(preset("ant-goal"), sim="mjx", on="ray")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert simulator.missing() == "MJX is not installed; install gmps[mjx]."


@pytest.mark.slow
def test_divergence_names_family_task_and_step():
    family = Cart(gear=1e12)
    with pytest.raises(FloatingPointError, match=r"^cart: the state became .*task 1, episode 0, s"):
        make_world(family, sim="mjx").rollout(
            ConstantActor(),
            jnp.array([[0.0, 0.1], [1.0, 0.1]]),
            family.tasks("train"),
            1,
            jax.random.key(0),
        )
