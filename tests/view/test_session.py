"""A visitor's session, without a browser: what is shown when something is pressed."""

import shutil
from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from view_runs import Remembers

import gmps
from gmps.sim import episodes
from gmps.view.attempt import Attempt, Options
from gmps.view.learner import RunLearner
from gmps.view.session import Session, warm
from gmps.view.worker import Worker


@pytest.fixture
def shown(learner):
    worker, display = Worker(), Remembers()
    session = Session([learner], worker, display)
    yield session, display, worker
    session.close()
    worker.close()


def test_what_is_known_of_a_run(learner):
    assert learner.name == "point"
    assert (learner.episodes, learner.least, learner.round) == (20, 2, 0)
    assert learner.goals.clickable
    assert learner.lacks() == {
        "plain": "the plain control is tuned by `gmps eval`, which has not run yet"
    }
    assert [row["round"] for row in learner.metrics()] == [0]


def test_an_attempt_is_a_function_of_its_draw(learner):
    task = learner.goals.heldout[2]
    one, two, other = (Attempt(learner, task, Options(20, draw=d)) for d in (0, 0, 1))
    explored = [attempt.advance() for attempt in (one, two, other)]
    assert explored[0].paths.shape == (20, 21, 2)
    assert np.array_equal(explored[0].paths, explored[1].paths)
    assert not np.array_equal(explored[0].paths, explored[2].paths)
    # The return is what the paths earned: minus the distances to the goal.
    gaps = np.linalg.norm(explored[0].paths[:, 1:] - np.asarray(task), axis=-1)
    assert np.allclose(explored[0].returns, -gaps.sum(1), rtol=1e-5)
    # The latents' mean moved to where the figures say, and the drawn ones were spread evenly.
    latents = explored[0].latents
    assert np.allclose(latents.before, 0)
    assert np.allclose(latents.drawn.mean(0), 0, atol=1e-6)
    assert not np.allclose(latents.after, 0)
    after = [attempt.play("after") for attempt in (one, two)]
    assert after[0].figures == after[1].figures
    assert after[0].name == "after_1" and after[0].label == "after 1 step"
    error = np.linalg.norm(after[0].path[-1] - np.asarray(task))
    assert after[0].figures["final_error"] == pytest.approx(error, rel=1e-5)


def test_controls_beside_it(learner):
    attempt = Attempt(learner, learner.goals.heldout[0], Options(20))
    attempt.advance()
    before, wrong = attempt.play("before"), attempt.play("wrong_task")
    random, expert = attempt.play("random_update"), attempt.play("expert")
    assert (wrong.kind, random.kind, expert.kind) == ("control", "control", "expert")
    assert expert.figures["success"] == 1
    # What was learned at 180 degrees is of no use at 0.
    assert wrong.figures["return"] < expert.figures["return"]
    assert not np.array_equal(before.path, random.path)


def test_noise_is_that_of_the_policy_before(learner):
    attempt = Attempt(learner, learner.goals.heldout[0], Options(20, noise=True))
    attempt.advance()
    calm = Attempt(learner, learner.goals.heldout[0], Options(20))
    calm.advance()
    noisy, quiet = attempt.play("after"), calm.play("after")
    assert not np.array_equal(noisy.path[1:], quiet.path[1:])


def test_a_press_explores_and_plays_and_a_second_takes_a_second_step(shown):
    session, display, worker = shown
    session.reset()
    display.wait("played")
    assert display.kinds() == ["task", "progress", "played"]
    session.adapt()
    _, played, steps, seconds = display.wait("played", 2)
    assert [p.name for p in played] == ["before", "after_1"]
    assert steps == 1 and 0 < seconds < 60
    assert display.kinds()[3:] == ["progress", "explored", "played"]
    session.adapt()
    _, played, steps, _ = display.wait("played", 3)
    assert [p.name for p in played] == ["before", "after_2"] and steps == 2
    session.again()
    _, played, steps, _ = display.wait("played", 4)
    assert steps == 2 and session.options.draw == 1
    session.choose(session.learners[0].goals.heldout[1])
    _, played, steps, _ = display.wait("played", 5)
    assert [p.name for p in played] == ["before"] and steps == 0
    assert worker.wait(10)


def test_controls_come_after_the_policy(shown):
    session, display, _ = shown
    session.show(["expert", "wrong_task"])  # before a step there is nothing to show
    session.adapt()
    names = [[p.name for p in display.wait("played", i)[1]] for i in (1, 2, 3)]
    assert names == [
        ["before", "after_1"],
        ["before", "after_1", "wrong_task"],
        ["before", "after_1", "wrong_task", "expert"],
    ]


def test_fewer_episodes_and_noise_do_it_again(shown):
    session, display, _ = shown
    session.adapt()
    display.wait("played")
    session.set(episodes=4)
    display.wait("played", 2)
    _, explored, _ = display.wait("explored", 2)
    assert explored[0].paths.shape[0] == 4
    session.set(noise=True)
    display.wait("played", 3)
    session.set(noise=True)  # as it was: nothing to do
    assert session.options == (4, True, 0)


def test_a_task_unlike_those_of_training_is_said(shown):
    session, display, _ = shown
    session.choose(jnp.array([0.0, -1.2]))
    _, _, warning = display.wait("task")
    assert warning.startswith("This task lies outside of what was trained on")
    session.choose(session.learners[0].goals.heldout[0])
    assert display.wait("task", 2)[2] is None


def test_a_closed_tab_frees_its_work(shown, learner, monkeypatch):
    session, display, worker = shown
    for _ in range(5):
        session.adapt()
    session.close()
    assert worker.wait(20)
    assert "played" not in display.kinds()


def test_two_learners_stand_side_by_side(learner):
    worker, display = Worker(), Remembers()
    session = Session([learner, learner], worker, display)
    session.adapt()
    _, played, _, _ = display.wait("played")
    assert [p.label for p in played] == [
        "point: before",
        "point: after 1 step",
        "point: before",
        "point: after 1 step",
    ]
    worker.close()


def test_after_the_first_adaptation_nothing_is_traced_again(learner, monkeypatch):
    warm(learner, lambda: None)
    traced = []
    original = episodes.act_batch
    monkeypatch.setattr(episodes, "act_batch", lambda *a: traced.append(1) or original(*a))
    for i in range(3):
        attempt = Attempt(learner, learner.goals.heldout[i], Options(20, draw=i))
        attempt.play("before")
        attempt.advance()
        attempt.play("after")
        attempt.advance()
        attempt.play("after")
    assert not traced


def test_a_new_checkpoint_is_taken(trained, tmp_path):
    path = shutil.copytree(trained, tmp_path / "run")
    learner = RunLearner(path, "latest")
    assert learner.round == 0 and not learner.reload()
    run = gmps.load(path)
    gmps.train(replace(run.config, rounds=2), path, evaluate=False)
    assert learner.reload()
    assert learner.round == 1 and not learner.reload()
    assert len(learner.metrics()) == 2
