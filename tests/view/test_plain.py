"""The plain control beside a run: the one that the evaluation tuned, made again from its scores."""

import shutil
from dataclasses import replace

import jax
import numpy as np
import pytest
from view_runs import Remembers

from gmps.training import judge
from gmps.view.attempt import Attempt, Options
from gmps.view.learner import RunLearner
from gmps.view.session import Session
from gmps.view.worker import Worker


@pytest.fixture(scope="module")
def judged(trained, tmp_path_factory):
    """A learner whose run was judged, and the control that the evaluation fitted."""
    path = shutil.copytree(trained, tmp_path_factory.mktemp("judged") / "run")
    learner = RunLearner(path)
    evaluation = replace(learner.config.evaluation, tasks=2, repeats=2, steps=1)
    plain = replace(learner.config.plain, steps=60, stds=(0.3,), step_sizes=(0.05, 0.5))
    fitted, fit = [], judge.fit_plain
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge, "fit_latent", lambda *_: None)  # another control, and a slow one
        patch.setattr(judge, "fit_plain", lambda *of: fitted.append(fit(*of)) or fitted[-1])
        config = replace(learner.config, evaluation=evaluation, plain=plain)
        judge.evaluate_run(learner.run, config, learner.experiment)
    return learner, fitted[0]


def test_it_is_the_one_that_was_tuned(judged):
    learner, fitted = judged
    assert learner.lacks() == {}
    made = learner.plain()._control
    assert made.tuned.step_size == fitted.tuned.step_size
    ours, theirs = (jax.tree.leaves(control.state) for control in (made, fitted))
    assert len(ours) == len(theirs)
    for one, two in zip(ours, theirs, strict=True):
        # Its deviation is written with the digits of a decimal number.
        np.testing.assert_allclose(np.asarray(one), np.asarray(two), rtol=1e-6, atol=1e-7)


def test_it_takes_as_many_steps_as_the_policy(judged):
    learner, _ = judged
    attempt = Attempt(learner, learner.goals.heldout[0], Options(20))
    attempt.advance()
    first = attempt.play("plain")
    assert (first.name, first.label, first.kind) == ("plain", "plain control", "plain")
    assert np.array_equal(first.path, attempt.play("plain").path)
    attempt.advance()
    assert not np.array_equal(first.path, attempt.play("plain").path)


def test_the_page_shows_it_beside_the_policy(judged):
    learner, _ = judged
    worker, display = Worker(), Remembers()
    session = Session([learner], worker, display)
    session.show(["plain"])
    session.adapt()
    _, played, _, _ = display.wait("played", 2)
    assert [p.name for p in played] == ["before", "after_1", "plain"]
    session.close()
    worker.close()
