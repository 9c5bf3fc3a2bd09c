"""Sweeps: which runs, in which order, on which machine, and what they came to."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from test_cli import QUICK

from gmps.commands.cli import main
from gmps.errors import GmpsError
from gmps.methods.registry import METHODS
from gmps.runs.results import sealed, write_result
from gmps.tasks import make_family
from gmps.training.sweep import (
    APPENDIX,
    Common,
    Standings,
    appendix_grid,
    cells,
    claim,
    parse_grid,
    read_standings,
    shard,
    standings,
)

pytestmark = pytest.mark.usefixtures("frozen_commit")


def read(folder: Path) -> Standings:
    found = read_standings(folder)
    assert found is not None
    return found


def test_the_appendix_has_as_many_runs_as_the_paper_says():
    family = make_family("sawyer-push")
    sizes = {name: len(cells(appendix_grid(name, family), (0, 1, 2), Path())) for name in APPENDIX}
    assert sizes["gmps"] == 2 * 2 * 2 * 2 * 2 * 5 * 3
    assert sizes["maml"] == 2**4 * 3
    assert sizes["multitask"] == 2 * 2 * 3
    assert sizes["sac"] == 3 * 3 * 3
    assert appendix_grid("sac", family)["gradient-steps"] == ("50", "250", "500")
    # 10,000 and 50,000 steps of 20 tasks and 50 steps.
    assert appendix_grid("multitask", family)["multitask.episodes"] == ("10", "50")


@pytest.mark.parametrize("method", [m for m in APPENDIX if m in METHODS])
def test_the_options_of_the_appendix_exist(method: str, tmp_path: Path, capsys):
    # An unknown option would end the process; this one is refused after they are read.
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "file").touch()
    run = cells(appendix_grid(method, make_family("point-goal")), (0,), tmp_path)[-1]
    words = ["train", "point-goal", "--method", method, "--run", str(taken), *run.options()]
    assert main(words) == 2
    assert "taken" in capsys.readouterr().err


def test_parts_share_out_all_runs():
    runs = cells({"gmps.std": ("0.2", "0.3"), "rounds": ("1",)}, (0, 1), Path("x"))
    assert [r.folder.name for r in runs][:2] == [
        "gmps.std=0.2,rounds=1-seed0",
        "gmps.std=0.2,rounds=1-seed1",
    ]
    assert runs[2].options() == ["--gmps.std", "0.3", "--rounds", "1"]
    parts = [run for i in (1, 2, 3) for run in shard(runs, f"{i}/3")]
    assert sorted(r.folder for r in parts) == sorted(r.folder for r in runs)
    assert [len(shard(runs, f"{i}/3")) for i in (1, 2, 3)] == [2, 1, 1]


@pytest.mark.parametrize("part", ["0/2", "3/2", "1", "a/b"])
def test_a_part_that_is_none(part: str):
    with pytest.raises(ValueError, match="write it as 1/4 for the first of four parts"):
        shard([], part)


def test_grids_that_are_none(capsys):
    with pytest.raises(ValueError, match=r"--grid gmps\.std= has no values"):
        parse_grid(["gmps.std="])
    with pytest.raises(ValueError, match=r"--grid names gmps\.std twice"):
        parse_grid(["gmps.std=1", "gmps.std=2"])
    assert parse_grid(["--gmps.step_size=0.1,0.5"]) == {"gmps.step-size": ("0.1", "0.5")}
    assert main(["sweep", "point-goal", "--method", "pear"]) == 2
    assert "There is no method 'pear'. Did you mean 'pearl'?" in capsys.readouterr().err
    assert main(["sweep", "point-goal", "--method", "multitask-bc"]) == 2
    assert "Appendix D has no sweep of multitask-bc" in capsys.readouterr().err


def test_a_sweep_trains_what_is_missing_and_ranks_by_the_validation_tasks(tmp_path: Path, capsys):
    options = " ".join(QUICK)
    words = ["sweep", "point-goal", "--grid", "gmps.std=0.3,0.1", "--seeds", "0"]
    words += ["--runs", str(tmp_path), f"--options={options}"]
    assert main([*words, "--dry-run"]) == 0
    assert "--gmps.std 0.1" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())
    assert main([*words, "--shard", "1/2"]) == 0
    assert len(read(tmp_path).settings) == 1
    first = tmp_path / "gmps.std=0.3-seed0" / "scores.json"
    stamp = first.stat().st_mtime_ns
    assert main(words) == 0
    assert first.stat().st_mtime_ns == stamp
    found = read(tmp_path)
    best, other = found.settings
    assert {row.settings["gmps.std"] for row in (best, other)} == {"0.3", "0.1"}
    assert best.validation and other.validation
    assert best.validation.mean >= other.validation.mean
    # The choice has a list of its own.
    rows = json.loads(first.read_text())["tasks"]
    split = {
        x: {row["task"] for row in rows if row["split"] == x}
        for x in ("train", "heldout", "validation")
    }
    assert split["validation"] and not split["validation"] & (split["train"] | split["heldout"])
    capsys.readouterr()
    assert main([*words[:-1], "--options=--no-eval"]) == 2
    assert "a sweep chooses by scores: leave --no-eval out" in capsys.readouterr().err
    assert main([*words[:-1], "--options=--rounds 3"]) == 2
    assert "holds a sweep with options" in capsys.readouterr().err
    runs = cells({"gmps.std": ("0.3", "0.1")}, (0,), tmp_path)
    assert standings(runs) == found


COMMON = Common("gmps", "point-goal", "default", ("--rounds", "2"))


def test_a_sweep_takes_no_other_settings(tmp_path: Path):
    claim(tmp_path / "sweep", COMMON)
    claim(tmp_path / "sweep", COMMON)
    with pytest.raises(GmpsError, match="holds a sweep with family 'point-goal', not 'ant-goal'"):
        claim(tmp_path / "sweep", replace(COMMON, family="ant-goal"))


def test_a_sweeps_files_are_checked(tmp_path: Path):
    claim(tmp_path, COMMON)
    path = tmp_path / "common.json"
    whole = path.read_text()
    path.write_text(whole.replace("--rounds", "--seed"))
    with pytest.raises(GmpsError, match=r"digest; write it again with `rm .*; gmps sweep point-"):
        claim(tmp_path, COMMON)
    path.write_text('{"method": "gmps", "format": 2}')
    with pytest.raises(GmpsError, match="has format 2, but this version of gmps reads format 1"):
        claim(tmp_path, COMMON)
    assert read_standings(tmp_path) is None
    write_result(tmp_path / "sweep.json", standings([]))
    assert read(tmp_path) == Standings(())
    text = json.dumps(sealed({"settings": [{"seeds": ["a"]}], "format": 1}))
    (tmp_path / "sweep.json").write_text(text)
    with pytest.raises(GmpsError, match=r"sweep\.json is damaged: it does not hold what it should"):
        read_standings(tmp_path)
