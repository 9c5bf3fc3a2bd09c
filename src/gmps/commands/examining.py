"""What `gmps doctor` does."""

import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from gmps.commands.cli import console
from gmps.compile_cache import FOLDER
from gmps.cores import usable_cores
from gmps.errors import GmpsError
from gmps.experts.base import ExpertActor
from gmps.runs.versions import collect_versions, conflicts, installed
from gmps.sim.gl import choose_gl
from gmps.sim.mjx import missing
from gmps.tasks import make_family
from gmps.worlds.factory import make_world

#: Variables that change what runs, by how their names begin.
_VARIABLES = ("GMPS_", "JAX_", "XLA_", "MUJOCO_", "CUDA_VISIBLE", "OMP_NUM", "PYTHONPATH")


class Check(NamedTuple):
    """What one look at the installation found."""

    name: str
    good: bool
    text: str


def examine(as_json: bool) -> int:
    """Print a line for each check, or everything as JSON; status 1 if a needed thing is missing."""
    checks = [_tried(check) for check in (_versions, _devices, _simulation, _mjx, _rendering)]
    warnings = conflicts()
    if as_json:
        found = {**facts(), "checks": [c._asdict() for c in checks], "warnings": warnings}
        print(json.dumps(found, indent=2))
    else:
        for name, good, text in checks:
            console.print(f"{'ok     ' if good else 'MISSING'} {name:<11} {text}", markup=False)
        for text in warnings:
            console.print(f"WARNING {text}", markup=False)
    return 0 if all(check.good for check in checks) else 1


def facts() -> dict[str, Any]:
    """The machine and the installation as plain JSON values; None where it is not known here.

    `memory`, `disk` and `cache.size` are in bytes.
    """
    versions = collect_versions()
    cache = os.environ.get(FOLDER)
    return {
        "packages": installed(),
        "commit": versions["commit"],
        "dirty": versions["dirty"],
        "python": {
            "version": platform.python_version(),
            "implementation": platform.python_implementation(),
            "executable": sys.executable,
        },
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": {"usable": usable_cores(), "all": os.cpu_count()},
        "memory": _memory(),
        "disk": {"folder": str(Path.cwd()), "free": shutil.disk_usage(Path.cwd()).free},
        "gl": _gl(),
        "jax": {
            "devices": [f"{d.platform}:{d.id} {d.device_kind}" for d in jax.devices()],
            "x64": jnp.result_type(float) == jnp.float64,
        },
        "cache": {"folder": cache, "size": None if cache is None else _size(Path(cache))},
        "environment": {k: v for k, v in sorted(os.environ.items()) if k.startswith(_VARIABLES)},
    }


def _memory() -> int | None:
    """The machine's main memory, where the system says so in POSIX's way."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows; a system that lacks the names
        return None


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _gl() -> dict[str, str | None]:
    try:
        return {"backend": choose_gl() or "MuJoCo's own", "error": None}
    except GmpsError as error:
        return {"backend": None, "error": str(error)}


def _tried(check: Callable[[], Check]) -> Check:
    """What a check found. The error of one that fails is what a doctor is asked for."""
    try:
        return check()
    except Exception as error:
        name = check.__name__.removeprefix("_")
        return Check(name, False, f"failed: {type(error).__name__}: {error}")


def _versions() -> Check:
    known = {name: version for name, version in installed().items() if version}
    return Check("versions", True, ", ".join(f"{k} {v}" for k, v in known.items()))


def _devices() -> Check:
    names = ", ".join(str(d) for d in jax.devices())
    return Check("devices", True, f"{names}; {usable_cores()} CPU cores")


def _simulation() -> Check:
    world = make_world(make_family("sawyer-push"))
    tasks = world.family.tasks("train")
    controller = world.family.expert
    assert controller is not None
    actor, std = ExpertActor(controller, 3), jnp.zeros(tasks.shape[0])
    world.rollout(actor, std, tasks, 5, jax.random.key(0))
    start = time.perf_counter()
    roll = world.rollout(actor, std, tasks, 5, jax.random.key(0))
    speed = roll.trajectories.alive.size / (time.perf_counter() - start)
    solved = float(roll.outcome["success"].mean())
    text = f"sawyer-push: {speed:,.0f} steps/s, the scripted expert solves {solved:.0%}"
    return Check("simulation", solved > 0.9, text)


def _mjx() -> Check:
    if reason := missing():
        return Check("mjx", True, f"{reason} Nothing but --sim mjx needs it.")
    device = jax.devices()[0]
    return Check("mjx", True, f"--sim mjx runs on {device.device_kind} ({device.platform})")


def _rendering() -> Check:
    try:
        backend = choose_gl()
    except GmpsError as error:
        return Check("rendering", True, f"no 3-D pictures, which reports do not need: {error}")
    return Check("rendering", True, f"3-D pictures through {backend or 'MuJoCo'}")
