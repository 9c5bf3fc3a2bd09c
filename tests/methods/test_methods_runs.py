"""Runs of the baselines as a user starts them, and settings that do not fit."""

import json
import re
from pathlib import Path

import pytest

from gmps.commands.cli import main
from gmps.methods.multitask_bc_settings import MultitaskBcConfig
from gmps.methods.multitask_settings import MultitaskConfig
from gmps.presets import preset
from gmps.runs.run import Run

QUICK = [
    "--rounds", "2", "--train-tasks", "4", "--expert-episodes", "2",
    "--evaluation.episodes", "4", "--evaluation.steps", "1", "--evaluation.repeats", "2",
    "--evaluation.tasks", "3", "--plain.steps", "20", "--plain.stds", "0.3",
    "--plain.step-sizes", "0.05",
]  # fmt: skip
OWN = {
    "gmps-latent": [
        "--gmps-latent.episodes", "6", "--gmps-latent.hidden", "8",
        "--gmps-latent.pretrain-steps", "20", "--gmps-latent.outer-steps", "5",
    ],
    "maml": ["--maml.episodes", "4", "--maml.hidden", "8"],
    "maesn": ["--maesn.episodes", "4", "--maesn.hidden", "8"],
    "multitask": [
        "--multitask.episodes", "4", "--multitask.hidden", "8", "--multitask.outer", "ppo",
        "--multitask.step-sizes", "0.1",
    ],
    "multitask-bc": [
        "--multitask-bc.episodes", "4", "--multitask-bc.hidden", "8",
        "--multitask-bc.pretrain-steps", "20", "--multitask-bc.steps", "5",
        "--multitask-bc.stds", "0.3", "--multitask-bc.step-sizes", "0.1",
    ],
    "pearl": [
        "--pearl.gradient-steps", "5", "--pearl.sac.hidden", "8", "--pearl.hidden", "8",
        "--pearl.capacity", "8",
    ],
    "rl2": ["--rl2.episodes", "3", "--rl2.memory", "4", "--rl2.hidden", "8"],
}  # fmt: skip

NO_EXPORT = {
    "pearl": "A policy of pearl is not Gaussian, ",
    "rl2": "A policy of rl2 acts on all that its trial has brought, ",
}


@pytest.mark.parametrize("method", OWN)
def test_a_run_ends_with_all_controls_and_goes_on(
    method: str, tmp_path: Path, frozen_commit, capsys
):
    folder = tmp_path / "run"
    options = ["--method", method, *QUICK, *OWN[method], "--run", str(folder)]
    assert main(["train", "point-goal", *options]) == 0
    scores = json.loads((folder / "scores.json").read_text())
    assert scores["method"] == method
    for mode in ("deterministic", "stochastic"):
        assert {
            "before", "after_1", "zero_step", "wrong_task", "random_update", "plain_before",
            "plain", "expert",
        } <= set(scores["heldout"][mode]["conditions"])  # fmt: skip
        conditions = set(scores["heldout"][mode]["conditions"])
        # One method has a latent that imitation alone gives too.
        assert ("best_episode" in conditions) == (method == "gmps-latent")
    # Four tasks, two episodes of 20 steps: learned from, or spent on the evaluation.
    learns_from_experts = method in ("gmps-latent", "multitask-bc")
    assert scores["steps"]["expert"] == (160 if learns_from_experts else 0)
    assert scores["steps"]["meta"] > 0
    assert scores["expert_labels"] == (160 if learns_from_experts else 0)
    assert (scores["expert_queries"] > 0) == (method == "gmps-latent")
    rows = Run.open(folder).metrics()
    assert rows[0]["steps/evaluation"] >= (0 if learns_from_experts else 160)
    if method in ("maml", "maesn", "pearl", "rl2"):
        assert main(["resume", str(folder), "--rounds", "3"]) == 0
        assert [r["round"] for r in Run.open(folder).metrics()] == [0, 1, 2]
    if method in ("maesn", "pearl", "rl2"):
        assert main(["certify", str(folder)]) == 2
        expected = f"The policies of {method} are more than Gaussian policies of observations"
        assert expected in capsys.readouterr().err
    if method in NO_EXPORT:
        assert main(["adapt", str(folder), "--task", "1", "0"]) == 2
        assert NO_EXPORT[method] in capsys.readouterr().err


def test_settings_of_another_method_are_refused(capsys):
    assert main(["train", "point-goal", "--method", "maml", "--gmps.std=0.3"]) == 2
    assert (
        "--gmps.std is a setting of gmps, but the method is maml: leave it out, or choose "
        "--method gmps." in capsys.readouterr().err
    )
    assert main(["train", "point-goal", "--multitask_bc.steps", "3"]) == 2
    assert "--multitask_bc.steps is a setting of multitask-bc" in capsys.readouterr().err


def test_presets_reach_the_baselines():
    methods = ("gmps", "maml", "maesn", "multitask", "multitask-bc", "pearl")
    assert {preset("sawyer-push", method).settings.std for method in methods} == {0.3}
    paper = {m: preset("sawyer-push", m, "paper").settings for m in methods}
    pearl, maml = paper["pearl"], paper["maml"]
    assert (pearl.latent, pearl.kl_weight, pearl.sac.polyak) == (5, 0.1, 0.005)
    assert preset("ant-goal", "pearl", "paper").settings.kl_weight == 1.0
    assert (maml.sampling, maml.normalise, paper["multitask"].std) == ("none", False, 1.0)


@pytest.mark.parametrize(
    ("make", "settings", "message"),
    [
        (MultitaskConfig, {"tune_every": 0}, "tune_every is 0; it must be at least 1."),
        (
            MultitaskBcConfig,
            {"step_sizes": ()},
            "step_sizes is empty; name at least one step size to try.",
        ),
        (
            MultitaskBcConfig,
            {"stds": ()},
            "stds is empty; name at least one standard deviation to try.",
        ),
    ],
)
def test_nonsense_is_refused(make, settings, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make(**settings)
