"""What a result was made with: packages, Python, machine and source tree."""

import importlib.metadata
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from gmps.cores import usable_cores
from gmps.version import __version__

PACKAGES = (
    "gmps",
    "jax",
    "jaxlib",
    "mujoco",
    "numpy",
    "equinox",
    "optax",
    "gymnasium",
    "h5py",
    "safetensors",
)


@dataclass(frozen=True)
class Versions:
    """What a run was started with: the content of `versions.json`; see `collect_versions`."""

    packages: dict[str, str | None]
    python: str
    platform: str
    cores: int
    commit: str | None
    dirty: bool | None
    #: SHA-256 of the run's `config.json`.
    settings: str


def collect_versions() -> dict[str, Any]:
    """Versions as plain JSON values.

    Keys: `packages` (name to version, null where not installed), `python`, `platform`, `cores`
    (usable ones), `commit` and `dirty` (null unless gmps runs from a git checkout).
    """
    return {
        "packages": {name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cores": usable_cores(),
        **_commit(Path(__file__).resolve().parents[3]),
    }


def requirements() -> list[Requirement]:
    """What gmps and its extras require, as it was installed; empty for a bare source tree."""
    try:
        lines = importlib.metadata.requires("gmps") or []
    except importlib.metadata.PackageNotFoundError:
        return []
    found = [Requirement(line) for line in lines]
    return [requirement for requirement in found if requirement.name != "gmps"]


def installed() -> dict[str, str | None]:
    """Every package that gmps or an extra requires, to its version; None where absent."""
    names = {requirement.name.lower() for requirement in requirements()}
    return {name: _version(name) for name in [*PACKAGES, *sorted(names - set(PACKAGES))]}


def conflicts() -> list[str]:
    """Installed packages that do not go together or that gmps was not tried with, a sentence
    each; empty where all is well."""
    found = []
    for requirement in requirements():
        version = _version(requirement.name)
        if version is not None and not requirement.specifier.contains(version, prereleases=True):
            found.append(
                f"{requirement.name} {version} is outside of what gmps was tried with "
                f"({requirement.specifier}); install another version."
            )
    metaworld, mujoco = _version("metaworld"), _version("mujoco")
    if metaworld and mujoco and not mujoco.startswith("3.3."):
        found.append(
            f"metaworld {metaworld} was made for MuJoCo 3.3 and mujoco is {mujoco}: its tasks "
            'behave otherwise or fail; pip install "gmps[metaworld]" in an environment of its own.'
        )
    jax, jaxlib = _version("jax"), _version("jaxlib")
    if jax and jaxlib and jax.split(".")[:2] != jaxlib.split(".")[:2]:
        found.append(f"jax {jax} and jaxlib {jaxlib} are of different series; install jax again.")
    return found


def _version(name: str) -> str | None:
    if name == "gmps":
        return __version__
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit(root: Path) -> dict[str, Any]:
    """Commit of the source tree; `dirty` tells whether tracked files differ from it."""
    unknown = {"commit": None, "dirty": None}
    if not (root / ".git").exists():
        return unknown
    try:
        head = _git(root, "rev-parse", "HEAD")
        changes = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        # No git on this machine, no commit yet, or a folder of another owner: the run is as good.
        return unknown
    return {"commit": head, "dirty": bool(changes)}


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
