"""OpenGL without a window, and cameras.

MuJoCo needs a library that can draw without a window: EGL or OSMesa. Which one works is found out
in a subprocess, because a failed attempt cannot be undone within a process.
"""

import functools
import importlib
import os
import subprocess
import sys

import mujoco
import mujoco.gl_context

from gmps.errors import GmpsError
from gmps.tasks.base import Camera

_PROBE = """
import mujoco
model = mujoco.MjModel.from_xml_string('<mujoco><worldbody><geom size="1"/></worldbody></mujoco>')
renderer = mujoco.Renderer(model, 8, 8)
renderer.update_scene(mujoco.MjData(model))
renderer.render()
print("works")
renderer.close()
"""


@functools.cache
def choose_gl() -> str:
    """The OpenGL backend to draw with: `MUJOCO_GL` if it is set, else `egl` or `osmesa`.

    Raises:
        GmpsError: none of them works here; says what to install.
    """
    named = os.environ.get("MUJOCO_GL", "").lower().strip()
    tried = [named] if named in ("egl", "osmesa", "glfw", "glx", "cgl", "wgl") else []
    candidates = tried or (["egl", "osmesa"] if sys.platform == "linux" else [""])
    for name in candidates:
        if _draws(name):
            return name
    what = f"MUJOCO_GL={named}" if tried else "EGL or OSMesa"
    raise GmpsError(
        f"MuJoCo cannot draw with {what} on this machine; install Debian's libegl1 and "
        "libgl1-mesa-dri, or libosmesa6, or set MUJOCO_GL to what there is."
    )


def _draws(backend: str) -> bool:
    """Whether MuJoCo draws something with it, in a process of its own."""
    probe = subprocess.run(
        [sys.executable, "-c", _PROBE],
        env={**os.environ, "MUJOCO_GL": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    # Some backends draw and then fail to close.
    return "works" in probe.stdout


@functools.cache
def prepare_gl() -> None:
    """Make MuJoCo use the chosen backend. It decides when it is imported, so it decides again."""
    os.environ["MUJOCO_GL"] = choose_gl()
    # Mesa draws in the calling thread: small pictures are not worth sharing between threads.
    os.environ.setdefault("LP_NUM_THREADS", "0")
    # Since MuJoCo 4 the first decides, and the second repeats its names.
    for name in ("mujoco.rendering.classic.gl_context", "mujoco.gl_context"):
        if name in sys.modules:
            importlib.reload(sys.modules[name])


def free_camera(model: mujoco.MjModel, view: Camera | None) -> mujoco.MjvCamera:
    """A camera there, or MuJoCo's view of the whole model."""
    camera = mujoco.MjvCamera()
    mujoco.mjv_defaultFreeCamera(model, camera)
    if view is not None:
        camera.lookat[:] = view.lookat
        camera.distance = view.distance
        camera.azimuth = view.azimuth
        camera.elevation = view.elevation
    return camera
