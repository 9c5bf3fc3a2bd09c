"""Every Python block of the README and the docs runs, and every command they show exists."""

import re
import shlex
from pathlib import Path

import pytest

from gmps.commands.cli import COMMANDS
from places import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_python_blocks_run(page: Path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for block in blocks(page, "python"):
        exec(compile(block, str(page), "exec"), {})


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_exist(page: Path):
    for block in blocks(page, ""):
        lines = block.splitlines()
        # A transcript marks what is typed by a dollar sign; the rest is what is answered.
        typed = [x[2:] for x in lines if x.startswith("$ ")] or lines
        for line in typed:
            if line.startswith("gmps "):
                assert shlex.split(line, comments=True)[1] in COMMANDS, line


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target
