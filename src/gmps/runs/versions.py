"""What a result was made with: packages, Python, machine and source tree."""

import importlib.metadata
import platform
import subprocess
from pathlib import Path
from typing import Any

from gmps import __version__
from gmps.cores import usable_cores

PACKAGES = (
    "gmps",
    "jax",
    "jaxlib",
    "mujoco",
    "numpy",
    "equinox",
    "optax",
    "gymnasium",
    "minari",
    "safetensors",
)


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
