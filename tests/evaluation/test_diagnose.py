"""`gmps diagnose`: its figures by hand, and on a run."""

import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gmps.commands.cli import main
from gmps.evaluation.diagnose import DIAGNOSIS, MAX_D_PRIME, DiagnoseConfig, in_words, signal
from gmps.methods.gmps_latent_settings import GmpsLatentConfig
from gmps.presets import preset
from gmps.runs.run import Run
from gmps.training.experiment import prepare
from gmps.training.train import train


def test_two_tasks_that_pull_apart_by_hand():
    # Both tasks share (1, 0); one adds (0, 1) and the other (0, -1), with no noise at all.
    updates = np.zeros((2, 4, 2))
    updates[..., 0] = 1
    updates[0, :, 1], updates[1, :, 1] = 1, -1
    found = signal(updates)
    # Of the squared length 2 one half is common.
    assert found.common == pytest.approx(0.5)
    assert found.same_task == pytest.approx(1)
    assert found.other_task == pytest.approx(-1)
    assert found.recognised == 1
    assert found.d_prime == pytest.approx(MAX_D_PRIME)


def test_the_distance_of_two_tasks_in_deviations():
    # Means 6 apart and deviation 2 along a known axis: d' is 3.
    rng = np.random.default_rng(0)
    updates = rng.normal(scale=2.0, size=(2, 4000, 1))
    updates[0] += 6
    assert signal(updates).d_prime == pytest.approx(3, abs=0.15)


def test_noise_alone_tells_nothing():
    rng = np.random.default_rng(1)
    found = signal(rng.normal(size=(10, 6, 300)))
    assert abs(found.same_task) < 0.05
    # Ten tasks: a tenth by chance, four deviations of 60 draws.
    assert found.recognised < 0.1 + 4 * np.sqrt(0.1 * 0.9 / 60)
    assert abs(found.d_prime) < 1


def row(**changes: float) -> dict[str, Any]:
    figures = {"episodes": 20, "same_task": 0.8, "recognised": 0.9, "before": 1.0, "after": 3.0}
    return {"tasks": 10, "rows": [{**figures, **changes}]}


def test_the_words_follow_the_figures():
    assert in_words(row())[1] == "The return rises by 2, from 1."
    assert "differ more than they agree" in in_words(row(same_task=0.1))[1]
    assert "says little about the task" in in_words(row(recognised=0.2))[1]
    assert "The return falls by 0.5 all the same" in in_words(row(after=0.5))[1]
    assert in_words(row())[0] == (
        "From 20 episodes the update belongs to its own task in 90% of cases; by chance it would "
        "in 10%."
    )


def test_a_run_is_diagnosed(tmp_path, capsys):
    config = replace(
        preset("point-goal", "gmps-latent"),
        rounds=2,
        train_tasks=4,
        settings=GmpsLatentConfig(
            latent=2,
            episodes=8,
            hidden=(16,),
            advantage_hidden=4,
            pretrain_steps=1000,
            outer_steps=10,
            std=0.05,
        ),
    )
    folder = tmp_path / "run"
    with Run.create(folder, config) as run:
        train(run, config, prepare(config))
    assert main(["diagnose", str(folder), "--episodes", "8", "--repeats", "4"]) == 0
    said = capsys.readouterr().out
    assert "recognised" in said
    found = json.loads((folder / DIAGNOSIS).read_text())
    (figures,) = found["rows"]
    # Four far goals, eight episodes of whole behaviours.
    assert figures["recognised"] > 0.5
    assert figures["same_task"] > figures["other_task"]
    assert found["env_steps"] == 4 * 4 * 20 * (8 + 2 + 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"repeats": 5}, "repeats is 5; it must be even."),
        ({"episodes": ()}, "episodes is empty; name at least one number of episodes."),
        ({"measure_episodes": 0}, "measure_episodes is 0; it must be at least 1."),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        DiagnoseConfig(**settings)
