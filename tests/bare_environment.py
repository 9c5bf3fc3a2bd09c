"""A virtual environment of its own, with the wheel of this tree: takes the package registry."""

import subprocess
import sys
import venv
from pathlib import Path

from places import ROOT


def make_bare_environment(folder: Path) -> Path:
    """`pip install gmps[deploy]` in a new environment; its Python."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("gmps-*.whl")
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    words = [python, "-I", "-m", "pip", "install", f"gmps[deploy] @ {wheel.as_uri()}"]
    made = subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder)
    assert made.returncode == 0, made.stderr
    return python
