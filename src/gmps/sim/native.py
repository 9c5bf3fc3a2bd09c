"""MuJoCo on CPU threads, for a flat batch of worlds that share one model or its edited copies.

Warm starts of the constraint solver are switched off in the simulator's copy of the model. Then
the next state is a function of the state and the control alone (a Markov step): chained one-step
calls, a plain `mj_step` loop and a resumed run agree bit for bit, and there is no hidden solver
state to carry between calls, which `mujoco.rollout` does not return. On the ant that costs 5 % of
the speed.

Automatic resets are switched off too: a diverging world is reported, not silently put back to its
start.
"""

import copy
import functools
import threading
from collections.abc import Callable
from typing import Any

import jax
import mujoco
import mujoco.rollout
import numpy as np
from jaxtyping import Bool, Float

from gmps.core.types import Task, task_count, tree_index
from gmps.errors import GmpsError
from gmps.tasks.base import MujocoFamily
from gmps.tasks.check import cause

#: Magnitude at which MuJoCo itself calls a position, velocity or acceleration bad.
MAX_VALUE = 1e10

_FULL = mujoco.mjtState.mjSTATE_FULLPHYSICS.value
_CTRL = mujoco.mjtState.mjSTATE_CTRL.value
_MOCAP = mujoco.mjtState.mjSTATE_MOCAP_POS.value


def mujoco_version() -> tuple[int, int]:
    """Of the installed MuJoCo, the first two numbers."""
    major, minor = mujoco.__version__.split(".")[:2]
    return int(major), int(minor)


def markov_model(model: mujoco.MjModel) -> mujoco.MjModel:
    """Switch warm starts and automatic resets off; changes `model` and returns it."""
    flags = mujoco.mjtDisableBit.mjDSBL_WARMSTART | mujoco.mjtDisableBit.mjDSBL_AUTORESET
    model.opt.disableflags |= int(flags)
    return model


def edited_model(model: mujoco.MjModel, edit: Callable[[mujoco.MjModel], None]) -> mujoco.MjModel:
    """A copy of `model` changed by `edit`, with the constants that follow from masses and
    positions computed anew.

    Raises:
        GmpsError: `edit` changed the time step.
    """
    step = model.opt.timestep
    model = copy.copy(model)
    edit(model)
    if model.opt.timestep != step:
        raise GmpsError(
            f"the time step may not change, but went from {step} to {model.opt.timestep} s"
        )
    mujoco.mj_setConst(model, mujoco.MjData(model))
    return model


def edited_models(family: MujocoFamily, model: mujoco.MjModel, tasks: Task) -> list[mujoco.MjModel]:
    """The model of each of the stacked tasks.

    Raises:
        GmpsError: the family's `edit_model` fails; names the task.
    """
    tasks = jax.device_get(tasks)
    models = []
    for i in range(task_count(tasks)):
        edit = functools.partial(family.edit_model, task=tree_index(tasks, i))
        try:
            models.append(edited_model(model, edit))
        except Exception as error:
            raise GmpsError(
                f"{family.name}: edit_model failed in task {i}: {cause(error, family)}"
            ) from error
    return models


def require_plain_state(model: mujoco.MjModel) -> None:
    """Raise GmpsError if the model has state besides positions and velocities."""
    extra = mujoco.mj_stateSize(model, _FULL) - 1 - model.nq - model.nv
    if extra:
        raise GmpsError(
            f"The model has {extra} state variables besides qpos and qvel (actuator "
            "activations or plugins), which a family's State cannot hold; use motors or "
            "position actuators without dynamics."
        )


class _Quiet:
    """While a world diverges in here, MuJoCo says nothing: it would print each warning, and write
    it to MUJOCO_LOG.TXT in the user's folder. A simulator reports what diverged."""

    def __init__(self):
        self._lock, self._inside, self._before = threading.Lock(), 0, None

    def __enter__(self) -> None:
        # MuJoCo has one handler for all threads: the first to come sets it, the last resets it.
        with self._lock:
            if not self._inside:
                self._before = mujoco.get_mju_user_warning()
                mujoco.set_mju_user_warning(_ignore)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                mujoco.set_mju_user_warning(self._before)


def _ignore(warning: str) -> None:
    del warning


_QUIET = _Quiet()


class NativeSimulator:
    """A batch of worlds with one model, stepped by `mujoco.rollout` on a persistent thread pool.

    Every step starts from the whole state, so one instance may serve any number of batches, one
    after the other; it is not safe to share between threads.
    """

    def __init__(self, model: mujoco.MjModel, frame_skip: int, threads: int = 0):
        """`threads` = 0 runs in the calling thread, without a pool.

        Raises:
            GmpsError: the model has state besides positions and velocities.
        """
        require_plain_state(model)
        self.model = markov_model(model)
        self.frame_skip = frame_skip
        self._spec = _CTRL | _MOCAP if model.nmocap else _CTRL
        self._pool = mujoco.rollout.Rollout(nthread=threads)
        self._data = [mujoco.MjData(model) for _ in range(max(1, threads))]
        self._threads = threads
        self._batch = -1

    @property
    def control_size(self) -> int:
        """Length of a control vector: `ctrl`, then the mocap positions."""
        return self.model.nu + 3 * self.model.nmocap

    def start(
        self, positions: Float[np.ndarray, "b nq_nv"], models: list[mujoco.MjModel] | None = None
    ) -> None:
        """Begin a batch from `[qpos, qvel]`; any float dtype, simulated in float64.

        `models` are copies of the simulator's model, one for each world: see `edited_model`.
        """
        batch = len(positions)
        if batch != self._batch:
            self._allocate(batch)
        self._models = [self.model] * batch if models is None else models
        self._state[:, 0] = 0
        self._state[:, 1:] = positions
        self._first[...] = self._state
        self._time = 0.0

    def _allocate(self, batch: int) -> None:
        model, skip = self.model, self.frame_skip
        size = 1 + model.nq + model.nv
        self._batch = batch
        self._state, self._first = np.zeros((batch, size)), np.zeros((batch, size))
        self._states = np.zeros((batch, skip, size))
        self._controls = np.zeros((batch, skip, self.control_size))
        self._sensors = np.zeros((batch, skip, model.nsensordata))
        self._chunk = max(1, batch // (10 * max(1, self._threads)))

    def step(
        self,
        control: Float[np.ndarray, "b control"],
        state: Float[np.ndarray, "b nq_nv"],
        sensors: Float[np.ndarray, "b sensor"],
    ) -> Bool[np.ndarray, " b"] | None:
        """Hold `control` for `frame_skip` physics steps.

        Writes the next `[qpos, qvel]` into `state`, and into `sensors` the sensor data of the
        state *before* the step: MuJoCo evaluates sensors at the start of a physics step, so those
        of the first of them belong to exactly that state.

        Returns which worlds diverged (a number beyond `MAX_VALUE` or not finite, or a MuJoCo
        warning), or None if none did. These are put back to their start to keep the solver sane;
        what they do from then on has no meaning.
        """
        self._controls[...] = control[:, None]
        self._call(self.frame_skip, self._controls, self._states, self._sensors)
        np.copyto(self._state, self._states[:, -1])
        state[...] = self._state[:, 1:]
        sensors[...] = self._sensors[:, 0]
        self._time += self.frame_skip * self.model.opt.timestep
        # A warning freezes a world for the rest of a call, which shows in its clock.
        late = self._time - 0.5 * self.model.opt.timestep
        # The usual case, quickly; comparisons with NaN are false.
        if state.max() < MAX_VALUE and state.min() > -MAX_VALUE and self._state[:, 0].min() > late:
            return None
        bad = ~((np.abs(state) < MAX_VALUE).all(1) & (self._state[:, 0] > late))
        self._state[bad] = self._first[bad]
        self._state[bad, 0] = self._time
        return bad

    def sense(self, sensors: Float[np.ndarray, "b sensor"]) -> None:
        """Write the sensor data of the current state, which stays as it is."""
        if not self.model.nsensordata:
            return
        states = np.empty((self._batch, 1, self._state.shape[1]))
        data = np.empty((self._batch, 1, self.model.nsensordata))
        self._call(1, np.ascontiguousarray(self._controls[:, -1:]), states, data)
        sensors[...] = data[:, 0]

    def _call(self, steps: int, controls: Any, states: Any, sensors: Any) -> None:
        with _QUIET:
            self._rollout(steps, controls, states, sensors)

    def _rollout(self, steps: int, controls: Any, states: Any, sensors: Any) -> None:
        self._pool.rollout(
            self._models,
            self._data,
            self._state,
            controls,
            control_spec=self._spec,
            skip_checks=True,
            nstep=steps,
            state=states,
            sensordata=sensors,
            chunk_size=self._chunk,
        )

    def close(self) -> None:
        """Stop the thread pool."""
        self._pool.close()
