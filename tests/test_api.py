"""What `import gmps` offers."""

import runpy
import subprocess
import sys
import sysconfig
import zipfile
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

import gmps
from gmps.commands.cli import main
from gmps.evaluation.settings import EvaluationConfig
from gmps.methods.gmps_latent_settings import GmpsLatentConfig
from gmps.methods.plain_settings import PlainConfig
from gmps.training.train import Round
from places import EXAMPLES, ROOT

SMALL = replace(
    gmps.preset("point-goal", "gmps-latent"),
    rounds=2,
    train_tasks=4,
    expert_episodes=2,
    settings=GmpsLatentConfig(
        latent=2, episodes=4, hidden=(8,), advantage_hidden=4, pretrain_steps=10, outer_steps=2,
        labels=10, capacity=50,
    ),
    evaluation=EvaluationConfig(episodes=4, steps=1, repeats=2, evaluation_episodes=1, tasks=3),
    plain=PlainConfig(steps=10, episodes=4, stds=(0.3,), step_sizes=(0.1,)),
)  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    gmps.train(SMALL, folder)
    return folder


def test_importing_is_quick_and_imports_nothing_heavy():
    code = (
        "import sys, time; start = time.process_time(); import gmps; "
        "took = time.process_time() - start; "
        "heavy = {'jax', 'numpy', 'mujoco', 'equinox'} & set(sys.modules); "
        "print(took, *heavy)"
    )
    took, *heavy = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert heavy == []
    assert float(took) < 0.3


def test_what_a_name_takes_is_said():
    code = "import sys; sys.modules['jax'] = None; import gmps; gmps.load"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    said = done.stderr.splitlines()[-1]
    assert said == "ImportError: gmps.load takes the package jax; install gmps[train]."


def test_every_name_is_there_and_nothing_else():
    for name in gmps.__all__:
        assert getattr(gmps, name) is not None
    assert set(gmps.__all__) <= set(dir(gmps))
    assert "gmps-latent" in gmps.method_names()
    assert "point-goal" in gmps.family_names()
    with pytest.raises(AttributeError, match="module 'gmps' has no attribute 'trian'"):
        _ = gmps.trian  # pyright: ignore[reportAttributeAccessIssue]


def test_a_run_is_loaded_adapted_and_acts(folder: Path, tmp_path: Path):
    run = gmps.load(folder)
    assert run.family.name == "point-goal"
    assert run.config == SMALL
    assert run.scores is not None
    assert [row["round"] for row in run.metrics] == [0, 1]
    policy = run.adapt((0.6, 0.8), episodes=4, steps=2, seed=3)
    mean, log_std = policy(np.zeros(2))
    assert mean.shape == log_std.shape == (2,)
    assert not np.allclose(mean, run.policy(np.zeros(2))[0])
    # The command line adapts to the same.
    words = ["--task", "0.6", "0.8", "--episodes=4", "--steps=2", "--seed=3"]
    assert main(["adapt", str(folder), *words, "--out", str(tmp_path / "new" / "a")]) == 0
    written = gmps.load(tmp_path / "new" / "a")
    assert written.facts["task"] == [0.6, 0.8]
    assert written.family.name == "point-goal"
    for a, b in zip(jax.tree.leaves(written.policy), jax.tree.leaves(policy), strict=True):
        np.testing.assert_array_equal(a, b)
    for used in (lambda: written.adapt((0.6, 0.8)), lambda: written.scores):
        with pytest.raises(gmps.GmpsError, match="is one policy, not a run; load the folder"):
            used()


def test_training_goes_on_and_may_be_stopped(tmp_path: Path):
    told = []

    def stop(done: Round) -> bool:
        told.append(done.round)
        return done.round == 0

    run = gmps.train(SMALL, tmp_path / "run", callbacks=[stop], evaluate=False)
    assert told == [0]
    assert run.scores is None
    gmps.train(replace(SMALL, rounds=2), tmp_path / "run", callbacks=[stop], evaluate=False)
    assert told == [0, 1]
    with pytest.raises(gmps.GmpsError, match="was started with seed = 0, not 1"):
        gmps.train(replace(SMALL, seed=1), tmp_path / "run")


def test_judging_again_with_other_settings(folder: Path):
    scores = gmps.evaluate(folder, repeats=3, checkpoint="latest")
    assert scores.episodes.repeats == 3
    assert gmps.load(folder).scores == scores


def test_what_cannot_work_is_one_sentence(folder: Path, tmp_path: Path):
    run = gmps.load(folder)
    for task, options, text in (
        ((0.6,), {}, "The task has 1 numbers, but a task of point-goal has 2"),
        ((0.6, float("nan")), {}, r"The task is 0\.6 nan; every number must be finite\."),
        ((0.6, 0.8), {"episodes": 1}, "GmpsLatent cannot adapt from 1 episode, because"),
        ((0.6, 0.8), {"episodes": 0}, "episodes is 0; it must be at least 1"),
        ((0.6, 0.8), {"steps": 0}, "steps is 0; it must be at least 1"),
    ):
        with pytest.raises(gmps.GmpsError, match=text):
            run.adapt(task, **options)
    with pytest.raises(gmps.GmpsError, match=r"There is no folder .*nowhere"):
        gmps.load(tmp_path / "nowhere")


def test_the_first_example_runs(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    found = runpy.run_path(str(EXAMPLES / "first_adaptation.py"))
    rows = found["scores"].heldout.deterministic.conditions
    assert rows["after_1"]["normalised"].mean > rows["before"]["normalised"].mean
    assert "round 4: return" in capsys.readouterr().out
    assert (tmp_path / "runs" / "first-adaptation" / "report.html").is_file()


USER = """
from collections.abc import Sequence

import numpy as np

import gmps

run: gmps.Loaded = gmps.load("runs/push")
policy: gmps.Policy = run.adapt((0.1, 0.7), episodes=20)
mean, log_std = policy(np.zeros(run.family.spec.obs_size))
scores = run.scores
if scores is not None:
    success: float = scores.heldout.deterministic.conditions["after_1"]["success"].mean
rows: Sequence[dict[str, object]] = run.metrics
"""


@pytest.mark.slow
def test_a_users_script_is_checked_against_the_built_wheel(tmp_path: Path):
    run = lambda *words, **options: subprocess.run(  # noqa: E731
        words, capture_output=True, text=True, check=False, **options
    )
    built = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, cwd=ROOT)
    assert built.returncode == 0, built.stderr
    made = run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    assert made.returncode == 0, made.stderr
    site = next((tmp_path / "venv" / "lib").glob("python*")) / "site-packages"
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    assert (site / "gmps" / "py.typed").is_file()
    (site / "others.pth").write_text(sysconfig.get_paths()["purelib"])
    (tmp_path / "user.py").write_text(USER)
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}')
    python = tmp_path / "venv" / "bin" / "python"
    found = run(
        Path(sys.executable).with_name("basedpyright"),
        *("--pythonpath", python, "user.py"),
        cwd=tmp_path,
    )
    assert found.returncode == 0, found.stdout
    wrong = USER + "run.adapt('far', episodes=2.5)\n"
    (tmp_path / "user.py").write_text(wrong)
    found = run(
        Path(sys.executable).with_name("basedpyright"),
        *("--pythonpath", python, "user.py"),
        cwd=tmp_path,
    )
    assert '"float" is not assignable to "int"' in found.stdout
