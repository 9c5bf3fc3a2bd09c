"""`gmps doctor`."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp

from gmps.commands.cli import console, parse
from gmps.cores import usable_cores
from gmps.errors import GmpsError
from gmps.experts.base import ExpertActor
from gmps.runs.versions import collect_versions
from gmps.sim.gl import choose_gl
from gmps.sim.mjx import missing
from gmps.tasks import make_family
from gmps.worlds.factory import make_world


@dataclass(frozen=True)
class Doctor:
    """Check the installation: versions, devices, simulation, rendering.

    example:
      gmps doctor
    """


def run(argv: Sequence[str]) -> int:
    """Print one line for each check; status 1 if something that is needed is missing."""
    parse(Doctor, argv, "doctor")
    checks = (_versions, _devices, _simulation, _mjx, _rendering)
    good = [_line(*check()) for check in checks]
    return 0 if all(good) else 1


def _line(name: str, good: bool, text: str) -> bool:
    console.print(f"{'ok     ' if good else 'MISSING'} {name:<11} {text}")
    return good


def _versions() -> tuple[str, bool, str]:
    facts = collect_versions()
    known = {k: v for k, v in facts["packages"].items() if v}
    return "versions", True, ", ".join(f"{k} {v}" for k, v in known.items())


def _devices() -> tuple[str, bool, str]:
    names = ", ".join(str(d) for d in jax.devices())
    return "devices", True, f"{names}; {usable_cores()} CPU cores"


def _simulation() -> tuple[str, bool, str]:
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
    return "simulation", solved > 0.9, text


def _mjx() -> tuple[str, bool, str]:
    if reason := missing():
        return "mjx", True, f"{reason} Nothing but --sim mjx needs it."
    device = jax.devices()[0]
    return "mjx", True, f"--sim mjx runs on {device.device_kind} ({device.platform})"


def _rendering() -> tuple[str, bool, str]:
    try:
        backend = choose_gl()
    except GmpsError as error:
        return "rendering", True, f"no 3-D pictures, which reports do not need: {error}"
    return "rendering", True, f"3-D pictures through {backend or 'MuJoCo'}"
