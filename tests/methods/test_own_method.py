"""A method from outside of gmps: the example, by its file's name, and offered by a package."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import cloudpickle
import pytest

from gmps import user_code
from gmps.commands.cli import main
from gmps.methods.registry import method_class, method_names
from gmps.presets import preset
from gmps.runs.run import Run
from gmps.tasks import family_names, make_family
from places import EXAMPLES

pytestmark = pytest.mark.usefixtures("frozen_commit")
OWN = EXAMPLES / "own_method.py"
REPTILE = f"{OWN}:Reptile"
QUICK = [
    "--train-tasks", "4", "--evaluation.episodes", "10", "--evaluation.steps", "1",
    "--evaluation.repeats", "2", "--evaluation.tasks", "3", "--plain.steps", "20",
    "--plain.stds", "0.3", "--plain.step-sizes", "0.05",
]  # fmt: skip


def test_the_example_is_short():
    assert len(OWN.read_text().splitlines()) < 120


def test_the_example_trains_learns_resumes_and_is_judged(tmp_path: Path, capsys, monkeypatch):
    folder = tmp_path / "run"
    words = ["train", "point-goal", "--method", REPTILE, *QUICK, "--run", str(folder)]
    assert main([*words, "--rounds", "0"]) == 2
    assert "--rounds is 0" in capsys.readouterr().err
    assert main([*words, "--reptile.rate", "2"]) == 2
    text = "--reptile.rate is 2.0; it must be above 0 and at most 1."
    assert text in capsys.readouterr().err
    assert main([*words, "--gmps.std", "2"]) == 2
    assert "--gmps.std is a setting of gmps, but the method is " in capsys.readouterr().err
    assert main([*words, "--reptile.episodes", "20", "--rounds", "8"]) == 0
    stored = json.loads((folder / "config.json").read_text())
    assert stored["method"] == REPTILE
    assert stored["settings"]["episodes"] == 20
    rows = Run.open(folder).metrics()
    assert [row["round"] for row in rows] == list(range(8))
    # One step raises the return in the training tasks, and rounds raise what it comes to.
    assert all(row["return/after"] > row["return/before"] for row in rows[-3:])
    assert rows[-1]["return/after"] > rows[0]["return/after"]
    assert main(["resume", str(folder), "--rounds", "9"]) == 0
    assert main(["adapt", str(folder), "--task", "1", "0"]) == 0
    with pytest.raises(SystemExit):
        main([*words[:-2], "--help"])
    assert "--reptile.step-size" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("Own = 3", "own.py:Own is no method: derive its class from gmps.methods.base.Method."),
        ("Other = 3", "own.py has no Own; give a method as FILE.py:NAME or package.module:NAME."),
        (
            "from gmps.methods.base import Method\nclass Own(Method): pass",
            "own.py:Own does not say what its settings are; set its class attribute `Settings`",
        ),
        (
            "from gmps.methods.maml import Maml\nclass Own(Maml): needs = 'demos'",
            "own.py:Own does not say what it needs of experts; set its class attribute `needs` to",
        ),
    ],
)
def test_what_is_no_method_is_said(tmp_path, monkeypatch, capsys, code, text):
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(code)
    assert main(["train", "point-goal", "--method", "own.py:Own"]) == 2
    assert text in capsys.readouterr().err


def test_files_and_modules_that_are_not_there(capsys):
    assert main(["train", "point-goal", "--method", "nowhere.py:Own"]) == 2
    assert "There is no file nowhere.py; give a method as FILE.py:NAME" in capsys.readouterr().err
    assert main(["train", "point-goal", "--method", "no_such.module:Own"]) == 2
    assert "There is no module no_such.module; install it, or give a me" in capsys.readouterr().err


def test_packages_offer_methods_and_families_by_name(monkeypatch):
    offered = {
        "gmps.methods": ("reptile", "gmps.methods.maml:Maml"),
        "gmps.families": ("kitchen", "gmps.tasks.point_goal:PointGoal"),
    }

    def find(group: str) -> tuple[importlib.metadata.EntryPoint, ...]:
        return (importlib.metadata.EntryPoint(*offered[group], group),)

    monkeypatch.setattr(user_code, "_entry_points", find)
    assert "reptile" in method_names()
    assert method_class("reptile").__name__ == "Maml"
    assert preset("kitchen", "reptile").method == "reptile"
    assert "kitchen" in family_names()
    assert make_family("kitchen").spec.horizon == 20


def test_what_a_file_defines_reaches_processes_that_cannot_import_it(tmp_path):
    file = tmp_path / "own.py"
    file.write_text("SIZE = 3\nclass Own:\n    def size(self): return SIZE\n")
    pickled = cloudpickle.dumps(user_code.load_code(f"{file}:Own", "anything")())
    file.unlink()
    code = f"import pickle; print(pickle.loads({pickled!r}).size())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "3\n"


def test_each_file_has_its_own_neighbours(tmp_path, monkeypatch):
    """A run's copy takes the copies beside it, not what changed where it came from."""
    for name, size in (("first", 1), ("second", 2), ("third", 3)):
        (tmp_path / name / "parts_of_own").mkdir(parents=True)
        (tmp_path / name / "beside_own.py").write_text(f"SIZE = {size}\n")
        (tmp_path / name / "parts_of_own" / "__init__.py").write_text("")
        (tmp_path / name / "parts_of_own" / "deep.py").write_text(f"SIZE = {10 * size}\n")
        (tmp_path / name / "own.py").write_text(
            "from beside_own import SIZE\nfrom parts_of_own import deep\nALL = SIZE + deep.SIZE\n"
        )
    # As `python -m gmps` has the folder that one is in.
    monkeypatch.syspath_prepend(tmp_path / "first")
    sizes = {
        name: user_code.load_code(f"{tmp_path / name / 'own.py'}:ALL", "a number")
        for name in ("second", "first", "third")
    }
    assert sizes == {"second": 22, "first": 11, "third": 33}


def test_a_file_is_executed_once_and_finds_its_neighbours(tmp_path):
    (tmp_path / "neighbour_of_own.py").write_text("SIZE = 3\n")
    file = tmp_path / "own.py"
    file.write_text(
        "from __future__ import annotations\n"
        "from dataclasses import dataclass\n"
        "from neighbour_of_own import SIZE\n"
        "from gmps.settings import Settings, setting\n"
        "@dataclass(frozen=True)\n"
        "class Own(Settings):\n"
        "    size: int = setting(SIZE, at_least=1)\n"
    )
    own = user_code.load_code(f"{file}:Own", "settings")
    assert own().size == 3
    with pytest.raises(ValueError, match=r"^size is 0; it must be at least 1\.$"):
        own(0)
    assert user_code.load_code(f"{tmp_path}/./own.py:Own", "settings") is own
