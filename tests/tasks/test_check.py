"""What a user reads whose family is wrong: one sentence, naming family, function and rule."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from test_sim import Cart

from gmps.errors import NotFiniteError
from gmps.experts.base import ExpertActor
from gmps.tasks import family_names, make_family
from gmps.tasks.ant_goal import AntGoal
from gmps.tasks.base import Control, State
from gmps.tasks.check import check_functions, compile_model
from gmps.tasks.point_goal import PointGoal
from gmps.tasks.push_dynamics import PushDynamics
from gmps.worlds.factory import make_world


def broken(base, **members):
    """A family with some functions replaced."""
    return dataclass(frozen=True)(type("Broken", (base,), members))()


def complaint(base, **members):
    with pytest.raises(ValueError, match=r"^[a-z-]+: ") as error:
        make_world(broken(base, **members))
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", family_names())
def test_all_families_pass(name):
    check_functions(make_family(name))


def test_a_bad_model_is_explained():
    text = complaint(Cart, model=lambda self: mujoco.MjModel.from_xml_string("<mujoco><bad/>"))
    assert text.startswith("cart: the model does not compile: XML")
    text = complaint(Cart, model=lambda self: mujoco.MjModel.from_xml_path("nowhere.xml"))
    assert "cart: the model does not compile: " in text
    assert "nowhere.xml" in text
    assert complaint(Cart, frame_skip=2) == (
        "cart: 2 physics steps of 0.005 s are 0.01 s, but spec.control_dt is 0.015 s; make them "
        "agree."
    )


def test_a_missing_sensor_is_named():
    assert AntGoal().sensor("centre_of_mass") == slice(0, 3)
    with pytest.raises(ValueError, match="sensor") as error:
        AntGoal().sensor("touch")
    assert str(error.value) == ("ant-goal: the model has no sensor 'touch'; it has centre_of_mass.")
    reward = lambda self, task, t: {"x": t.next_sensors[self.sensor("height")].sum()}  # noqa: E731
    assert complaint(PushDynamics, reward=reward) == (
        "push-dynamics: reward failed: the model has no sensor 'height'; it has none."
    )


@pytest.mark.parametrize(
    ("members", "text"),
    [
        (
            {"observe": lambda self, state: jnp.zeros(3)},
            "point-goal: observe returns shape (3,), but spec.obs_size asks for (2,).",
        ),
        (
            {"context": lambda self, task: task[0]},
            "point-goal: context returns shape (), but spec.context_size asks for (2,).",
        ),
        (
            {"reward": lambda self, task, t: t.act.sum()},
            "point-goal: reward returns a ShapeDtypeStruct; it must be a dict of one or more named "
            "arrays.",
        ),
        (
            {"reward": lambda self, task, t: {"near": -jnp.abs(t.next_state.qpos - task)}},
            "point-goal: reward['near'] returns shape (2,), but it must be ().",
        ),
        (
            {"outcome": lambda self, task, states, sensors: jnp.zeros(())},
            "point-goal: outcome returns a ShapeDtypeStruct; it must be a dict of named arrays.",
        ),
        (
            {"paths": lambda self, states, sensors: {"point": states.qpos[0]}},
            "point-goal: paths['point'] returns shape (2,), but it must be (3, 2).",
        ),
        (
            {"step": lambda self, state, act: state.qpos + act},
            "point-goal: step returns a ShapeDtypeStruct; it must be a State.",
        ),
        (
            {
                "step": lambda self, state, act: state._replace(
                    qpos=state.qpos + act[0] + jnp.zeros(3)
                )
            },
            "point-goal: step failed: TypeError: ",
        ),
        (
            {"expert": property(lambda self: lambda task, obs: jnp.zeros(5))},
            "point-goal: expert returns shape (5,), but spec.act_size asks for (2,).",
        ),
        (
            {"tasks": lambda self, split, n=None, key=None: jnp.zeros((0, 2))},
            "point-goal: tasks('train') has leading axes [0]; stack one or more tasks along one "
            "common axis.",
        ),
        (
            {"goal_point": lambda self, task: jnp.zeros(3)},
            "point-goal: goal_point returns shape (3,), but it must be (2,).",
        ),
    ],
)
def test_wrong_shapes_are_explained(members, text):
    assert complaint(PointGoal, **members).startswith(text)


def test_states_and_controls_must_fit_the_model():
    reset = lambda self, key, task: State(jnp.zeros(9), jnp.zeros(7), jnp.zeros(3))  # noqa: E731
    assert complaint(Cart, reset=reset) == (
        "cart: reset returns (9, 7, 3) numbers of qpos, qvel and mocap_pos, but the model has "
        "(8, 7, 3); make them agree."
    )
    control = lambda self, state, act: Control(act, jnp.zeros(3))  # noqa: E731
    assert complaint(Cart, control=control) == (
        "cart: control (ctrl) returns shape (2,), but it must be (1,)."
    )


def test_bad_edits_of_a_model_name_the_task():
    def edit(self, model, task):
        if task[1] > 0.5:
            model.opt.timestep = 0.5

    family = broken(PushDynamics, edit_model=edit)
    actor = ExpertActor(family.expert, 3)
    with pytest.raises(ValueError, match="edit_model") as error:
        make_world(family).rollout(
            actor, jnp.zeros(2), jnp.array([[0.1, 0.1], [0.1, 1.0]]), 1, jax.random.key(0)
        )
    assert str(error.value) == (
        "push-dynamics: edit_model failed in task 1: the time step may not change, but went from "
        "0.01 to 0.5 s"
    )


def test_rewards_and_observations_of_nan_name_task_and_step():
    def reward(self, task, t):
        return {"fine": t.act[0], "root": jnp.sqrt(0.5 - jnp.abs(t.next_state.qpos).max())}

    def run(family):
        tasks = jnp.array([[0.0, 0.2], [0.0, 1.0]])
        actor = ExpertActor(PointGoal().expert, 2)
        return make_world(family).rollout(actor, jnp.zeros(2), tasks, 1, jax.random.key(0))

    with pytest.raises(FloatingPointError) as error:
        run(replace(broken(PointGoal, reward=reward), start_noise=0.0))
    # The 6th step leads beyond 0.5.
    assert str(error.value) == (
        "point-goal: the reward term 'root' is not finite (task 1, episode 0, step 5); look at "
        "what it divides by or takes a root of."
    )
    observe = lambda self, state: jnp.sqrt(0.45 - jnp.abs(state.qpos))  # noqa: E731
    with pytest.raises(FloatingPointError) as error:
        run(replace(broken(PointGoal, observe=observe), start_noise=0.0))
    assert str(error.value).startswith("point-goal: the observation of a finite state is not fin")
    assert str(error.value).endswith("look at observe.")


@pytest.mark.parametrize("kind", [PointGoal, PushDynamics])
def test_a_start_that_is_not_finite_is_the_fault_of_reset(kind, tmp_path, monkeypatch, capfd):
    # MuJoCo writes its log where we stand.
    monkeypatch.chdir(tmp_path)

    def reset(self, key, task):
        start = kind.reset(self, key, task)
        return start._replace(qpos=start.qpos / (task[1] > 0.5))

    family = broken(kind, reset=reset)
    actor = ExpertActor(family.expert, family.spec.act_size)
    with pytest.raises(NotFiniteError) as error:
        make_world(family).rollout(
            actor, jnp.zeros(2), jnp.array([[0.1, 1.0], [0.1, 0.2]]), 2, jax.random.key(0)
        )
    assert str(error.value) == (
        f"{family.name}: the state that reset draws is not finite (task 1, episode 0, step 0); "
        "look at reset."
    )
    assert not list(tmp_path.iterdir())
    assert "WARNING" not in capfd.readouterr().err


def test_models_are_compiled_with_their_time_step():
    assert np.isclose(compile_model(Cart()).opt.timestep, 0.005)
