"""Pictures of a batch of states: threads with one OpenGL context each.

No shadows, no reflections, no sky and no smoothing of edges: of a scene of few boxes a core then
draws thousands of small pictures a second (`benchmarks/rendering.py`). MuJoCo draws outside
Python's lock, so threads do as well as processes, and need no copies.
"""

import atexit
import threading
import weakref
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

import mujoco
import mujoco.gl_context
import numpy as np
from jaxtyping import Float, UInt8

from gmps.errors import GmpsError
from gmps.sim.gl import free_camera, prepare_gl
from gmps.tasks.pixels import PixelFamily

#: Geoms that a scene may have.
_MAX_GEOMS = 1000
#: What a learner's picture does without.
_OFF = (
    mujoco.mjtRndFlag.mjRND_SHADOW,
    mujoco.mjtRndFlag.mjRND_REFLECTION,
    mujoco.mjtRndFlag.mjRND_SKYBOX,
)


class Cameras:
    """Draws what a family's learner sees. A frame is a function of the state alone."""

    def __init__(self, family: PixelFamily, threads: int):
        """Raises GmpsError where MuJoCo cannot draw; see `gmps.sim.gl.choose_gl`."""
        if family.edits_model:
            raise GmpsError(
                f"{family.name} changes its model from task to task, which cameras cannot draw; "
                "give it one model."
            )
        prepare_gl()
        self.shape = (family.view.height, family.view.width, 3)
        self._jobs: list[SimpleQueue] = [SimpleQueue() for _ in range(threads)]
        opened: list[Future] = [Future() for _ in self._jobs]
        workers = [
            threading.Thread(target=_serve, args=(family, *pair), daemon=True)
            for pair in zip(self._jobs, opened, strict=True)
        ]
        for worker in workers:
            worker.start()
        for future in opened:
            future.result()
        self._close = weakref.finalize(self, _stop, self._jobs, workers)
        # Contexts are given back while OpenGL is still there: after its own end, they cannot be.
        atexit.register(_stop, self._jobs, workers)

    def draw(
        self,
        states: Float[np.ndarray, "b state"],
        frames: UInt8[np.ndarray, "b height width 3"],
    ) -> None:
        """Draw packed states, of which qpos comes first, into `frames`."""
        done = []
        cuts = np.linspace(0, len(states), len(self._jobs) + 1).round().astype(int)
        for jobs, start, stop in zip(self._jobs, cuts[:-1], cuts[1:], strict=True):
            if stop > start:
                done.append(Future())
                jobs.put((states[start:stop], frames[start:stop], done[-1]))
        for future in done:
            future.result()

    def close(self) -> None:
        """Give the contexts back."""
        self._close()


def _serve(family: PixelFamily, jobs: SimpleQueue, opened: Future) -> None:
    """Life of a thread: one context, pictures until it is told to stop."""
    try:
        painter = _Painter(family)
    except BaseException as error:
        opened.set_exception(error)
        return
    opened.set_result(None)
    while (job := jobs.get()) is not None:
        states, frames, done = job
        try:
            painter.draw(states, frames)
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)
    painter.free()


def _stop(jobs: list[SimpleQueue], workers: list[threading.Thread]) -> None:
    for queue, worker in zip(jobs, workers, strict=True):
        queue.put(None)
        worker.join()


class _Painter:
    """One OpenGL context; lives and is used in one thread."""

    def __init__(self, family: PixelFamily):
        view = family.view
        self._model = model = family.model()
        model.vis.quality.offsamples = 0
        model.vis.global_.offwidth = model.vis.global_.offheight = view.rendered
        self._data = mujoco.MjData(model)
        # Looked up late: `prepare_gl` may have chosen another one.
        self._gl: Any = mujoco.gl_context.GLContext(view.rendered, view.rendered)
        self._gl.make_current()
        self._scene = mujoco.MjvScene(model, _MAX_GEOMS)
        for flag in _OFF:
            self._scene.flags[flag] = False
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._camera = free_camera(model, view.camera)
        self._option, self._no_drag = mujoco.MjvOption(), mujoco.MjvPerturb()
        self._picture = mujoco.MjrRect(0, 0, view.rendered, view.rendered)
        # OpenGL counts rows from below.
        bottom = view.rendered - view.top - view.height
        self._part = mujoco.MjrRect(view.left, bottom, view.width, view.height)
        self._pixels = np.empty((view.height, view.width, 3), np.uint8)

    def draw(
        self,
        states: Float[np.ndarray, "b state"],
        frames: UInt8[np.ndarray, "b height width 3"],
    ) -> None:
        """Draw each state."""
        model, data, every = self._model, self._data, mujoco.mjtCatBit.mjCAT_ALL.value
        for state, frame in zip(states, frames, strict=True):
            data.qpos[:] = state[: model.nq]
            mujoco.mj_kinematics(model, data)
            mujoco.mj_camlight(model, data)
            mujoco.mjv_updateScene(
                model, data, self._option, self._no_drag, self._camera, every, self._scene
            )
            mujoco.mjr_render(self._picture, self._scene, self._context)
            mujoco.mjr_readPixels(self._pixels, None, self._part, self._context)
            frame[...] = self._pixels[::-1]

    def free(self) -> None:
        """Give everything back, in the thread that made it."""
        self._context.free()
        self._gl.free()
