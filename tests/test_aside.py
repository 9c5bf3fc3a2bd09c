from pathlib import Path

import pytest

from gmps.aside import aside


@pytest.mark.parametrize("out", ["a", "new/folder/a"])
def test_a_relative_folder_appears_when_it_is_whole(tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    with aside(out) as place:
        place.mkdir()
        (place / "x").write_text("1")
        assert not Path(out).exists()
        # Where the process goes meanwhile does not matter.
        monkeypatch.chdir("/")
    assert (tmp_path / out / "x").read_text() == "1"
    assert [p.name for p in (tmp_path / out).parent.iterdir()] == ["a"]


def test_a_file(tmp_path):
    with aside(tmp_path / "new" / "a.hdf5") as place:
        place.write_text("1")
    assert (tmp_path / "new" / "a.hdf5").read_text() == "1"


@pytest.mark.parametrize("out", ["a", "new/folder/a"])
def test_nothing_is_left_of_a_failure(tmp_path, monkeypatch, out):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ZeroDivisionError), aside(out) as place:
        place.mkdir()
        (place / "x").write_text("1")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_folders_that_were_there_stay(tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(ZeroDivisionError), aside(tmp_path / "there" / "new" / "a"):
        raise ZeroDivisionError
    assert [p.name for p in tmp_path.iterdir()] == ["there"]
    assert list((tmp_path / "there").iterdir()) == []


def test_an_empty_folder_is_replaced_and_others_are_refused(tmp_path):
    out = tmp_path / "a"
    out.mkdir()
    with aside(out) as place:
        place.mkdir()
        (place / "x").write_text("1")
    taken = pytest.raises(ValueError, match="already exists; choose another name with --out")
    with taken, aside(out):
        raise AssertionError
    assert (out / "x").read_text() == "1"
