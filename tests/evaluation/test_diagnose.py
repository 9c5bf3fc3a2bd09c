"""`gmps diagnose`: its figures by hand, and on a run."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gmps.commands.cli import main
from gmps.evaluation.diagnose import (
    MAX_D_PRIME,
    Diagnosis,
    Row,
    Told,
    in_words,
    read_diagnosis,
    signal,
)
from gmps.evaluation.diagnose_settings import DiagnoseConfig
from gmps.methods.gmps_latent_settings import GmpsLatentConfig
from gmps.methods.gmps_settings import GmpsConfig
from gmps.presets import preset
from gmps.runs.run import Run
from gmps.settings import Settings
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


def said(options: Settings | None = None, **changes: float) -> list[str]:
    """What is said of ten tasks and these figures."""
    row = Row(
        episodes=20,
        common=0.0,
        same_task=0.8,
        other_task=0.0,
        d_prime=1.0,
        recognised=0.9,
        before=1.0,
        after=3.0,
    )
    found = Diagnosis(
        family="point-goal",
        method="gmps" if options is None else "gmps-latent",
        seed=0,
        checkpoint_round=0,
        tasks=10,
        settings=DiagnoseConfig(),
        rows=(replace(row, **changes),),
        env_steps=1,
        demonstrations=Told(10, 0.1, None, None),
    )
    return in_words(found, options or GmpsConfig())


def test_the_words_follow_the_figures():
    assert said()[1] == "The return rises by 2, from 1."
    assert "differ more than they agree" in said(same_task=0.1)[1]
    assert said(recognised=0.2)[1] == (
        "The update says little about the task: more --episodes, another --gmps.std or exploration "
        "by a latent (--method gmps-latent) may change that; more training will not."
    )
    assert "The return falls by 0.5 all the same" in said(after=0.5)[1]
    assert said()[0] == (
        "From 20 episodes the update belongs to its own task in 90% of cases; by chance it would "
        "in 10%."
    )


def test_advice_is_for_the_method_and_its_figures():
    latent = said(GmpsLatentConfig(), recognised=0.2)[1]
    assert "another --gmps-latent.std or another --gmps-latent.latent may" in latent
    # Of ten tasks 44 % are far above chance: nothing is wrong with what the update knows.
    assert said(GmpsLatentConfig(), recognised=0.44, d_prime=7.5)[1:] == [
        "The return rises by 2, from 1."
    ]
    assert said(recognised=0.2, d_prime=7.5)[1].startswith("Two tasks are told apart (d' 7.5), but")


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
    assert "recognised" in capsys.readouterr().out
    found = read_diagnosis(folder)
    assert found is not None
    (figures,) = found.rows
    # Four far goals, eight episodes of whole behaviours.
    assert figures.recognised > 0.5
    assert figures.same_task > figures.other_task
    assert found.env_steps == 4 * 4 * 20 * (8 + 2 + 2)
    assert found.demonstrations.tasks == 4


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
