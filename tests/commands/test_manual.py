"""The manual is whole: pages, names, columns and options that it names are there."""

import dataclasses
import importlib
import inspect
import pkgutil
import re
import runpy
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import gmps
import gmps.commands
import gmps.deploy
from gmps.methods.registry import method_names, option_prefix, settings_class
from places import EXAMPLES, ROOT

DOCS = ROOT / "docs"
CONFIG = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def pages(nav: object) -> Iterator[str]:
    """The files that a navigation names."""
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, list):
        for item in nav:
            yield from pages(item)
    elif isinstance(nav, dict):
        for item in nav.values():
            yield from pages(item)


def test_every_page_is_in_the_navigation_once():
    there = sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))
    assert sorted(pages(CONFIG["nav"])) == there


@pytest.mark.parametrize(("page", "module"), [("api", gmps), ("deploy", gmps.deploy)])
def test_the_reference_has_every_public_name(page, module):
    text = (DOCS / "reference" / f"{page}.md").read_text(encoding="utf-8")
    named = re.findall(r"^::: (\S+)\.(\w+)$", text, re.MULTILINE)
    assert sorted(name for _, name in named) == sorted(module.__all__)
    for where, name in named:
        assert getattr(importlib.import_module(where), name) is getattr(module, name)


def columns() -> set[str]:
    """What the page of metrics names."""
    rows = (DOCS / "metrics.md").read_text(encoding="utf-8").splitlines()
    cells = (row.split("|")[1] for row in rows if row.startswith("| `"))
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_no_column_is_documented_that_nobody_writes():
    """The other way round: `tests/methods/test_methods_contract.py`, and below."""
    source = "".join(path.read_text() for path in (ROOT / "src" / "gmps").rglob("*.py"))
    made = {"loss/critic", "loss/actor", "loss/kl"}  # f"loss/{name}"
    steps = {name for name in columns() if name.startswith("steps/")}
    for name in columns() - made - steps:
        assert f'"{name}"' in source, name
    for name in steps:
        assert f'"{name.removeprefix("steps/")}": 0' in source, name


def options() -> set[str]:
    """Every option of every command, as it is typed; a method's settings with their prefix."""
    found: set[str] = set()
    for module in pkgutil.iter_modules(gmps.commands.__path__):
        there = importlib.import_module(f"gmps.commands.{module.name}")
        for kind in vars(there).values():
            if dataclasses.is_dataclass(kind) and getattr(kind, "__module__", "") == there.__name__:
                found |= set(flags(typing.cast(type, kind), ""))
    for name in method_names():
        found |= set(flags(settings_class(name), f"{option_prefix(name)}."))
    return found | {"--help", "--help-all", "--config", "--version"}


def flags(kind: type, prefix: str) -> Iterator[str]:
    """The options of a dataclass; what tyro is told to name "" has no prefix of its own."""
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        option = f"{prefix}{name}".replace("_", "-")
        yield f"--{option}"
        yield f"--{prefix}no-{name}".replace("_", "-")
        bare = any(getattr(x, "name", None) == "" for x in getattr(hint, "__metadata__", ()))
        plain = typing.get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
        for inner in (plain, *typing.get_args(plain)):
            if inspect.isclass(inner) and dataclasses.is_dataclass(inner):
                yield from flags(inner, prefix if bare else f"{option}.")


#: Of other programs and benchmarks, and of methods that an example defines.
OTHERS = {"--no-deps", "--gpus", "--rm", "--logdir", "--reptile.rate", "--side-by-side", "--tune"}


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda p: p.name)
def test_every_option_that_is_named_exists(page: Path):
    text = page.read_text(encoding="utf-8")
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    named = {x for span in spans for x in re.findall(r"(?<![\w-])--[a-z][\w.-]*\w", span)}
    assert sorted(named - options() - OTHERS) == []


def small(text: str) -> str:
    """The notebook with a tenth of its learning."""
    for old, new in (("pretrain_steps=400, outer_steps=30", "pretrain_steps=20, outer_steps=2"),
                     ("rounds=6", "rounds=1"), ("hidden=(32,)", "hidden=(8,)")):  # fmt: skip
        assert old in text
        text = text.replace(old, new)
    return text


def test_the_notebook_from_recordings_to_a_robot_runs(tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = (EXAMPLES / "from_recordings_to_robot.py").read_text(encoding="utf-8")
    (tmp_path / "notebook.py").write_text(small(text), encoding="utf-8")
    found = runpy.run_path("notebook.py")
    said = capsys.readouterr().out
    assert "npz file" in said
    assert "round 0: return" in said
    assert "20 episodes with returns from" in said
    assert len(list((tmp_path / "episodes").rglob("*.npz"))) == 20
    assert 0 <= found["left"] < 3


def test_the_examples_are_notebooks():
    jupytext = pytest.importorskip("jupytext")
    for name in ("first_adaptation.py", "from_recordings_to_robot.py"):
        cells = jupytext.read(EXAMPLES / name).cells
        kinds = [cell.cell_type for cell in cells]
        assert kinds[0] == "markdown" and kinds.count("code") >= 5, name
