"""The bounds of what gmps requires, in all places that state them."""

import re
import tomllib
from collections.abc import Iterable, Iterator

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]
BASE = [Requirement(line) for line in PROJECT["project"]["dependencies"]]
#: Versioned by the calendar, and older ones serve as well.
UNBOUNDED = {"packaging"}


def requirements() -> list[Requirement]:
    """Of gmps, its extras and its developers, but for gmps itself."""
    lines = [x for extra in EXTRAS.values() for x in extra] + PROJECT["dependency-groups"]["dev"]
    return [*BASE, *(r for r in map(Requirement, lines) if r.name != "gmps")]


def pins() -> Iterator[tuple[str, str, str | None]]:
    """Name, version and marker of what the lock installs."""
    for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines():
        if found := re.match(r"([\w.-]+)==(\S+)(?: ; (.*?))? \\$", line):
            yield found[1].lower().replace("_", "-"), found[2], found[3]


def test_acting_needs_numpy_and_safetensors_and_nothing_else():
    assert {r.name for r in BASE} == {"numpy", "safetensors"}
    assert EXTRAS["deploy"] == []


def test_every_extra_but_deploy_can_train():
    for name, lines in EXTRAS.items():
        if name not in ("deploy", "train"):
            assert any(Requirement(line).name == "gmps" for line in lines), name
    (everything,) = map(Requirement, EXTRAS["all"])
    assert everything.extras == set(EXTRAS) - {"deploy", "train", "all"}


def test_each_requirement_has_a_lower_and_an_upper_bound():
    tools = {str(Requirement(line)) for line in PROJECT["dependency-groups"]["dev"]}
    for requirement in [r for r in requirements() if r.name not in UNBOUNDED]:
        operators = {specifier.operator for specifier in requirement.specifier}
        # Developers' tools may be as new as there are.
        enough = {">="} if str(requirement) in tools else {">=", "<"}
        assert enough <= operators <= {">=", "<"}, str(requirement)


def test_the_lock_fits_what_is_required_and_names_no_place():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    locked: dict[str, set[str]] = {}
    for name, version, _ in pins():
        locked.setdefault(name, set()).add(version)
    for requirement in requirements():
        versions = locked[requirement.name.lower()]
        assert all(version in requirement.specifier for version in versions), str(requirement)


def test_each_pin_has_a_digest():
    entries = re.split(r"\n(?=\S)", (ROOT / "requirements.lock").read_text(encoding="utf-8"))
    entries = [entry for entry in entries if not entry.startswith("#")]
    assert len(entries) == sum(1 for _ in pins())
    assert all("--hash=sha256:" in entry for entry in entries)


def test_conda_asks_for_the_same_versions():
    recipe = yaml.safe_load((ROOT / "packaging/conda/recipe.yaml").read_text(encoding="utf-8"))
    assert recipe["context"]["version"] == PROJECT["project"]["version"]
    asked, optional = (
        {name: SpecifierSet(bounds) for name, bounds in (line.split(" ", 1) for line in lines)}
        for lines in (recipe["requirements"][key] for key in ("run", "run_constraints"))
    )
    assert asked.pop("python") == SpecifierSet(PROJECT["project"]["requires-python"])
    # Their names on conda-forge, where they are others.
    names = {
        "matplotlib": "matplotlib-base",
        "mujoco": "mujoco-python",
        "ray": "ray-core",
        "huggingface-hub": "huggingface_hub",
    }

    def bounds(found: Iterable[Requirement]) -> dict[str, SpecifierSet]:
        return {names.get(r.name, r.name): r.specifier for r in found if r.name != "gmps"}

    assert asked == bounds([*BASE, *map(Requirement, EXTRAS["train"])])
    others = (lines for name, lines in EXTRAS.items() if name != "train")
    assert optional == bounds(Requirement(line) for lines in others for line in lines)


def test_the_image_has_a_python_that_gmps_takes():
    text = (ROOT / "packaging/Dockerfile").read_text(encoding="utf-8")
    (version,) = re.findall(r"^FROM python:(\d+\.\d+)-slim\S*$", text, re.MULTILINE)
    assert version in SpecifierSet(PROJECT["project"]["requires-python"])
    assert f"Programming Language :: Python :: {version}" in PROJECT["project"]["classifiers"]
    assert "--require-hashes -r requirements.lock" in text


@pytest.mark.parametrize("name", ["README.md", "docs/install.md"])
def test_pages_name_extras_that_exist(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    named = {x for found in re.findall(r"gmps\[([\w,]+)\]", text) for x in found.split(",")}
    assert named <= set(EXTRAS), name
