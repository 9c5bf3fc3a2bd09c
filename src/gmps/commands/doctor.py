"""`gmps doctor`."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from gmps.commands.cli import console, parse

_RENDER = """
import mujoco
model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><geom size='1'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with mujoco.Renderer(model, 16, 16) as renderer:
    renderer.update_scene(data)
    assert renderer.render().max() > 0
"""
_PACKAGES = {"egl": "libegl1", "osmesa": "libosmesa6"}


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
    from gmps.runs.versions import collect_versions

    facts = collect_versions()
    known = {k: v for k, v in facts["packages"].items() if v}
    return "versions", True, ", ".join(f"{k} {v}" for k, v in known.items())


def _devices() -> tuple[str, bool, str]:
    import jax

    names = ", ".join(str(d) for d in jax.devices())
    return "devices", True, f"{names}; {len(os.sched_getaffinity(0))} CPU cores"


def _simulation() -> tuple[str, bool, str]:
    import jax
    import jax.numpy as jnp

    from gmps.experts.base import ExpertActor
    from gmps.tasks import make_family
    from gmps.worlds.local import make_world

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
    import jax

    from gmps.sim.mjx import missing

    if reason := missing():
        return "mjx", True, f"{reason} Nothing but --sim mjx needs it."
    device = jax.devices()[0]
    return "mjx", True, f"--sim mjx runs on {device.device_kind} ({device.platform})"


def _rendering() -> tuple[str, bool, str]:
    for backend in _PACKAGES:
        environment = {**os.environ, "MUJOCO_GL": backend}
        done = subprocess.run(
            [sys.executable, "-c", _RENDER], env=environment, capture_output=True, check=False
        )
        if done.returncode == 0:
            return "rendering", True, f"3-D pictures through {backend}"
    packages = " or ".join(_PACKAGES.values())
    return (
        "rendering",
        True,
        f"no OpenGL for 3-D pictures: install Debian's {packages}; reports do not need it",
    )
