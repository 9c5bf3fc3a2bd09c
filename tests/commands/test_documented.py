"""Documented commands that end soon are run, page by page, in a folder of their own."""

import shlex
from pathlib import Path

import pytest
from test_docs import PAGES, blocks, typed

from gmps.commands import cli
from places import EXAMPLES

#: Commands that need nothing but themselves, and what they leave.
CHEAP = {"tasks", "demos"}
#: What a reader brings; commands that name it are not run.
BROUGHT = (".npz", ".hdf5", "my_", "my-", "lift", "--expert runs", "minari:", "FAMILY", "robot")


def cheap(words: list[str]) -> bool:
    """Whether a command can be run as it stands, within seconds."""
    line = shlex.join(words)
    if any(word in line for word in BROUGHT):
        return False
    return words[0] == "tasks" or words[:2] == ["demos", "record"] or "--dry-run" in words


FOUND = [
    pytest.param(words, id=f"{page.stem}: {' '.join(words)}")
    for page in PAGES
    for block in blocks(page)
    for words in typed(block)
    if cheap(words)
]


def test_there_are_some():
    assert {words.values[0][0] for words in FOUND} >= {"tasks", "sweep"}


@pytest.mark.slow
@pytest.mark.parametrize("words", FOUND)
def test_documented_commands_run(words: list[str], tmp_path, monkeypatch, capsys):
    if any(word.startswith("ml") for word in words):
        pytest.importorskip("metaworld")
    monkeypatch.chdir(tmp_path)
    Path("examples").symlink_to(EXAMPLES)
    assert cli.main(words) == 0, capsys.readouterr().err
    for i, word in enumerate(words):
        if word == "--out":
            assert Path(words[i + 1]).exists()
