"""Copies of a user's files in a run's folder."""

import pytest

from gmps.errors import GmpsError
from gmps.runs.user_files import keep_user_file, kept_spec


@pytest.fixture
def spec(tmp_path):
    """A family's file that imports a neighbour, a module of a package, and what is no neighbour."""
    folder = tmp_path / "mine"
    (folder / "arms" / "parts").mkdir(parents=True)
    (folder / "family.py").write_text(
        "import json, beside\nMODEL = 'arms/arm.xml'\nfrom arms.parts import hand\n"
    )
    (folder / "beside.py").write_text("from family import Mine\nOUTSIDE = '../outside.xml'\n")
    (folder / "arms" / "__init__.py").write_text("")
    (folder / "arms" / "parts" / "__init__.py").write_text("from . import finger\n")
    (folder / "arms" / "parts" / "hand.py").write_text("from ..joint import Joint\n")
    (folder / "arms" / "parts" / "finger.py").write_text("")
    (folder / "arms" / "joint.py").write_text("")
    (folder / "arms" / "arm.xml").write_text("<mujoco/>")
    (folder / "unused.py").write_text("")
    (tmp_path / "outside.xml").write_text("<mujoco/>")
    return f"{folder / 'family.py'}:Mine"


def test_the_file_is_kept_with_what_it_needs_of_its_folder(tmp_path, spec):
    keep_user_file(tmp_path / "run", "family", spec)
    code = tmp_path / "run" / "code" / "family"
    names = {str(f.relative_to(code)) for f in code.rglob("*.*")}
    assert names == {
        "family.py",
        "beside.py",
        "files.json",
        "arms/arm.xml",
        "arms/__init__.py",
        "arms/joint.py",
        "arms/parts/__init__.py",
        "arms/parts/hand.py",
        "arms/parts/finger.py",
    }


def test_the_original_counts_while_it_is_as_it_was(tmp_path, spec):
    run, folder = tmp_path / "run", tmp_path / "mine"
    keep_user_file(run, "family", spec)
    assert kept_spec(run, "family", spec) == (spec, False)
    copy = f"{run / 'code' / 'family' / 'family.py'}:Mine", True
    text = (folder / "arms" / "joint.py").read_text()
    (folder / "arms" / "joint.py").write_text("changed = True\n")
    with pytest.warns(UserWarning, match=r"family\.py has changed since the run .* was made; the"):
        assert kept_spec(run, "family", spec) == copy
    (folder / "arms" / "joint.py").write_text(text)
    assert kept_spec(run, "family", spec) == (spec, False)
    folder.rename(tmp_path / "away")
    assert kept_spec(run, "family", spec) == copy  # silently: it is what the run was made with


def test_a_damaged_copy_is_said(tmp_path, spec):
    run = tmp_path / "run"
    keep_user_file(run, "family", spec)
    (tmp_path / "mine").rename(tmp_path / "away")
    (run / "code" / "family" / "beside.py").write_text("")
    with pytest.raises(GmpsError, match=r"is damaged; put the original, as it was, back in"):
        kept_spec(run, "family", spec)
    (run / "code" / "family" / "files.json").write_text("{}")
    with pytest.raises(GmpsError, match=r"files\.json has no digest"):
        kept_spec(run, "family", spec)


def test_other_names_pass_as_they_are(tmp_path, spec):
    keep_user_file(tmp_path / "run", "family", "point-goal")
    assert not (tmp_path / "run").exists()
    assert kept_spec(tmp_path / "run", "family", "point-goal") == ("point-goal", False)
    keep_user_file(tmp_path / "run", "expert", spec)
    assert kept_spec(tmp_path / "run", "expert", "other.py:act") == ("other.py:act", False)
