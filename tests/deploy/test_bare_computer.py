"""A trained policy on a computer that has numpy and safetensors alone, and pushing elsewhere."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import gmps
from bare_environment import make_bare_environment
from gmps.commands.cli import main
from gmps.evaluation.evaluate import EvaluationConfig
from gmps.tasks import make_family
from places import BENCHMARKS

sys.path.append(str(BENCHMARKS))
from reality_gap import Gap, RealityGap, run

GOALS, EPISODES = 5, 10


@pytest.mark.slow
def test_what_a_bare_environment_reaches_is_what_the_evaluation_reaches(tmp_path: Path):
    """Block errors before and after one step at the same goals; takes the package registry."""
    config = replace(
        gmps.preset("sawyer-push"),
        rounds=15,
        evaluation=EvaluationConfig(episodes=EPISODES, steps=1, repeats=2, tasks=GOALS),
    )
    scores = gmps.train(config, tmp_path / "run").scores
    assert scores is not None
    inside = scores.heldout.deterministic.conditions
    policy = tmp_path / "policy"
    assert main(["export", str(tmp_path / "run"), "--out", str(policy)]) == 0

    (tmp_path / "bare").mkdir()
    python = make_bare_environment(tmp_path / "bare")
    absent = "import importlib.util as u; assert not any(map(u.find_spec, ('jax', 'mujoco')))"
    subprocess.run([python, "-I", "-c", absent], check=True)
    settings = RealityGap("push", (str(policy),), episodes=EPISODES, python=str(python))
    goals = np.asarray(make_family("sawyer-push").tasks("heldout", GOALS))
    errors = run(settings, Gap(), goals, str(policy))["errors"]
    before, after = (np.mean(errors[phase]) for phase in ("after_0", "after_1"))
    told = {name: inside[name]["final_error"].mean for name in ("before", "after_1")}
    print(f"block error, m: before {before:.4f}, after {after:.4f}; in the evaluation {told}")
    # The same policy and goals; the paths that explore differ.
    assert before == pytest.approx(told["before"], rel=0.05)
    assert after == pytest.approx(told["after_1"], rel=0.5)
    assert after < 0.5 * before
