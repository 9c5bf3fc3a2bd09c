"""An exported policy in the simulator does what its run does."""

import numpy as np
import pytest

from gmps.commands import cli
from gmps.view.attempt import Attempt, Options
from gmps.view.exported import ExportedLearner


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "policy"
    assert cli.main(["export", str(trained), "--out", str(out)]) == 0
    return ExportedLearner(out)


def test_it_explores_and_adapts_as_its_run_does(exported, learner):
    assert (exported.name, exported.episodes, exported.least) == ("policy", 20, 2)
    assert exported.family.name == "point-goal"
    task = learner.goals.heldout[1]
    ours, theirs = (Attempt(x, task, Options(20)) for x in (exported, learner))
    one, two = ours.advance(), theirs.advance()
    # The same network and the same noise; the step is taken in numpy, with float64 inside.
    assert np.allclose(one.paths, two.paths, atol=1e-4)
    assert np.allclose(one.latents.drawn, two.latents.drawn, atol=1e-5)
    assert np.allclose(one.latents.after, two.latents.after, atol=1e-3)
    assert not np.allclose(one.latents.after, 0, atol=0.1)
    assert np.allclose(ours.play("after").path, theirs.play("after").path, atol=1e-2)
    # A second step starts where the first one ended.
    ours.advance(), theirs.advance()
    assert np.allclose(ours.play("after").path, theirs.play("after").path, atol=2e-2)
    assert ours.play("random_update").kind == "control"
    assert set(exported.lacks()) == {"plain"}


def test_the_folder_s_own_policy_stays_as_it_was(exported):
    attempt = Attempt(exported, exported.goals.heldout[1], Options(20))
    first = attempt.play("before").path
    attempt.advance()
    assert exported.meta.step == 0
    again = Attempt(exported, exported.goals.heldout[1], Options(20))
    assert np.array_equal(again.play("before").path, first)
