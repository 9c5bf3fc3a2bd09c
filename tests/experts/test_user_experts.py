"""Experts that are a user's Python function: asked in batches, and checked."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmps.errors import UserCodeError
from gmps.experts.base import Expert, ExpertActor, label, reporting_faults
from gmps.experts.score import complaints, meets, score_expert
from gmps.experts.score_settings import ExpertThreshold
from gmps.experts.user import from_function, load_function
from gmps.tasks import make_family
from gmps.training.expert_sources import find_expert
from gmps.worlds.factory import make_world

FAMILY = make_family("point-goal")
WORLD = make_world(FAMILY)
TASKS = FAMILY.tasks("train", 3)


def towards(task: np.ndarray, obs: np.ndarray) -> np.ndarray:
    """A controller in NumPy that takes batches."""
    assert isinstance(task, np.ndarray)
    assert len(task) == len(obs)
    goal = np.asarray(jax.vmap(FAMILY.goal_point)(jnp.asarray(task)))
    return np.clip(5 * (goal - obs), -1, 1)


def score(function, tasks=TASKS):
    expert = from_function(function, FAMILY)
    return score_expert(WORLD, expert, tasks, 2, jax.random.key(0))


def test_a_function_acts_in_a_closed_loop():
    measured = score(towards)
    assert (measured.outcome["success"] == 1).all()
    assert measured.env_steps == 3 * 2 * FAMILY.spec.horizon


def test_labels_are_those_of_the_function():
    expert = from_function(towards, FAMILY)
    std = jnp.ones(3)
    actor = ExpertActor(expert.controller, FAMILY.spec.act_size)
    data = WORLD.rollout(actor, std, TASKS, 2, jax.random.key(1)).trajectories
    labels = label(expert.controller, TASKS, data)
    for i in range(3):
        context = np.tile(np.asarray(FAMILY.context(TASKS[i])), (labels.obs.shape[1], 1))
        np.testing.assert_allclose(
            labels.act[i], towards(context, np.asarray(labels.obs[i])), atol=1e-6
        )


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (
            lambda task, obs: np.zeros((len(obs), 3)),
            r"returned an array of shape \(\d+, 3\) for \d+ states \(the first in task \(.*\)\); "
            r"it must return \(\d+, 2\)",
        ),
        (
            lambda task, obs: np.full((len(obs), 2), np.nan),
            r"an action that is not finite in task \(.*\); every number must be finite",
        ),
        (
            lambda task, obs: np.full((len(obs), 2), 1.5),
            r"an action of 1.5 in task \(.*\); actions lie in \[-1, 1\]: scale or clip them",
        ),
        (lambda task, obs: "left", r"returned a str; it must return an array"),
    ],
)
def test_a_bad_answer_is_one_sentence(function, text):
    with pytest.raises(ValueError, match=text):
        score(function)


@pytest.mark.parametrize("error", [ZeroDivisionError("late"), SystemExit("late")])
def test_a_function_that_fails_is_one_sentence_about_its_task(error):
    def mine(task, obs):
        raise error

    expert = from_function(mine, FAMILY)
    text = (
        r"^The expert mine failed when it was asked about 6 states, the first in task "
        rf"\(.*\): {type(error).__name__}: late\.$"
    )
    with pytest.raises(UserCodeError, match=text) as caught, reporting_faults(expert):
        score_expert(WORLD, expert, TASKS, 2, jax.random.key(0))
    assert caught.value.__cause__ is error


def test_a_fault_late_in_an_episode_is_found():
    """Only where the point has left the start: nothing that is checked beforehand."""

    def leaves(task, obs):
        act = towards(task, obs)
        return np.where(np.linalg.norm(obs, axis=1, keepdims=True) > 0.5, np.nan, act)

    with pytest.raises(ValueError, match="not finite in task"):
        score(leaves)


def test_an_expert_is_not_asked_in_tasks_it_does_not_know():
    known = np.asarray(jax.vmap(FAMILY.context)(TASKS[:1]))
    expert = Expert(FAMILY.expert, "a test", known)
    assert expert.knows(FAMILY, TASKS).tolist() == [True, False, False]
    with pytest.raises(ValueError, match=r"was not trained for .* deg; train an expert for"):
        score_expert(WORLD, expert, TASKS, 1, jax.random.key(0))


def test_complaints_name_the_worst_tasks_first():
    def lazy(task, obs):
        right_for_first = np.abs(task - np.asarray(FAMILY.context(TASKS[0]))).max(-1) < 1e-3
        return np.where(right_for_first[:, None], towards(task, obs), 0)

    measured = score(lazy)
    low = float(np.sort(measured.returns)[0])
    sentences = complaints(WORLD, measured, ExpertThreshold(mean_return=low + 0.01))
    assert len(sentences) == 2
    assert sentences[0].startswith("The expert's success is below 0.5 in 2 of 3 tasks, worst in ")
    worst = FAMILY.describe(TASKS[int(measured.returns.argmin())])
    assert f"mean return is below {low + 0.01:g} in 1 of 3 tasks, worst in {worst}" in sentences[1]
    assert complaints(WORLD, score(towards), ExpertThreshold()) == []
    # A family that tells no success is not said to fail.
    untold = measured._replace(outcome={"final_error": measured.returns})
    assert complaints(WORLD, untold, ExpertThreshold()) == []
    assert meets(untold, ExpertThreshold()).all()


def test_a_function_is_found_in_a_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def act(task, obs):\n    return 0 * obs\n")
    assert load_function(f"{file}:act")(np.ones((2, 1)), np.ones((2, 2))).tolist() == [[0, 0]] * 2
    expert = find_expert((f"{file}:act",), FAMILY)
    assert expert.source == f"the function {file}:act"
    with pytest.raises(ValueError, match=r"mine\.py has no other; give an expert as FILE\.py:NAME"):
        load_function(f"{file}:other")
    with pytest.raises(ValueError, match=r"There is no file .*absent\.py; give an expert as FILE"):
        load_function(f"{tmp_path}/absent.py:act")


def test_sources_that_name_nothing(tmp_path):
    with pytest.raises(ValueError, match="holds no trained expert; name a folder that `gmps exp"):
        find_expert((str(tmp_path),), FAMILY)
    with pytest.raises(ValueError, match="ant-goal has no scripted expert; train one with `gmps"):
        find_expert(("scripted",), make_family("ant-goal"))


def test_one_core_is_enough():
    # Large arguments of a callback are copied by JAX's pool of threads, which here has one; and
    # they are not ready yet when the expert is asked.
    code = """
import os
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
import jax, jax.numpy as jnp, numpy as np
from gmps.experts.user import from_function
from gmps.tasks import make_family
expert = from_function(lambda task, obs: np.clip(obs[:, :2], -1, 1), make_family("point-goal"))
ask = jax.jit(jax.vmap(expert.controller))
wide = jax.random.normal(jax.random.key(0), (1000, 100))
for i in range(100):
    obs = jnp.tanh(wide @ wide.T)[:, :39]
    float(ask(jnp.ones((1000, 2)), obs).sum())
print("answered")
"""
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert out.stdout == "answered\n", out.stderr
