"""MuJoCo's physics in JAX (MJX), on a GPU or a CPU.

As in `gmps.sim.native`, warm starts are off: the state and the control determine the next state.
Physics is computed in float64, as MuJoCo does: the solver of contacts between light and heavy
bodies needs it (in float32 a block of 10 g between the fingers of a hand of 1 kg is off by 0.4 m/s
after five control steps). Build a simulator and trace its functions under `jax.enable_x64()`.
"""

import importlib.metadata
import importlib.util
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Float

from gmps.errors import GmpsError
from gmps.sim.mjx_contacts import mujoco_contacts
from gmps.sim.native import MAX_VALUE, markov_model, require_plain_state
from gmps.tasks.base import Control, State

#: MJX's solver and line search stop at this tolerance, or a smaller one of the model. At MuJoCo's
#: own tolerances a block that a finger drags is off by 2e-3 m/s after five control steps: the
#: search directions, and so the errors where both stop, are not the same.
TOLERANCE = 1e-12
#: Versions of mujoco-mjx and mujoco that differ and still agree: MuJoCo 4.0 has no MJX of its own.
_NEIGHBOURS = {("3.17", "4.0")}


def missing() -> str | None:
    """Why MJX cannot be used in this installation; None if it can."""
    if importlib.util.find_spec("mujoco.mjx") is None:
        return "MJX is not installed; install gmps[mjx]."
    versions = [importlib.metadata.version(name) for name in ("mujoco-mjx", "mujoco")]
    series = tuple(".".join(version.split(".")[:2]) for version in versions)
    if series[0] != series[1] and series not in _NEIGHBOURS:
        return (
            f"mujoco-mjx {versions[0]} does not fit mujoco {versions[1]}; install the same version "
            "of both."
        )
    return None


class MjxSimulator:
    """One model, stepped for single worlds by pure functions that callers `vmap`.

    The edits of a world are the numbers of its model that differ from the simulator's, by name:
    see `edits`.
    """

    def __init__(self, model: mujoco.MjModel, frame_skip: int):
        """Changes `model`: warm starts and automatic resets off.

        Raises:
            GmpsError: MJX is not installed, or cannot simulate this model, or the model has state
                besides positions and velocities.
        """
        if reason := missing():
            raise GmpsError(reason)
        require_plain_state(model)
        _refuse_accelerations(model)
        self.model = markov_model(model)
        self.frame_skip = frame_skip
        from mujoco import mjx  # noqa: PLC0415 - an extra

        try:
            with mujoco_contacts():
                base = self._put(self.model)
                self._data = mjx.put_data(self.model, mujoco.MjData(self.model))
                # Some limits show only here.
                mjx.make_data(self.model)
        except NotImplementedError as error:
            raise GmpsError(f"MJX cannot simulate the model: {error}") from error
        paths, self._structure = jax.tree.flatten_with_path(base)
        self._names = [jax.tree_util.keystr(path).lstrip(".") for path, _ in paths]
        self._leaves = [np.asarray(leaf) for _, leaf in paths]

    def edits(self, models: list[mujoco.MjModel]) -> dict[str, np.ndarray]:
        """What is different in copies of the simulator's model, stacked: see `edited_model`.

        Raises:
            GmpsError: something differs that MJX compiles into its program.
        """
        rows = []
        for i, model in enumerate(models):
            leaves, structure = jax.tree.flatten(self._put(model))
            if structure != self._structure:
                raise GmpsError(
                    f"the model of task {i} differs in more than numbers, which MJX compiles into "
                    "its program; change only masses, sizes, gains and the like, or use --sim "
                    "native."
                )
            rows.append([np.asarray(leaf) for leaf in leaves])
        columns = zip(self._names, self._leaves, zip(*rows, strict=True), strict=True)
        return {
            name: np.stack(column)
            for name, base, column in columns
            if any(not np.array_equal(base, x, equal_nan=True) for x in column)
        }

    def base(self, name: str) -> np.ndarray:
        """The numbers of that name in the simulator's own model."""
        return self._leaves[self._names.index(name)]

    def advance(
        self, state: State, control: Control, edits: dict[str, Array]
    ) -> tuple[State, Float[Array, " sensor"]]:
        """Hold the control for `frame_skip` physics steps.

        Returns the next state, NaN where a number went beyond `MAX_VALUE`, and the sensor data of
        `state`.
        """
        from mujoco import mjx  # noqa: PLC0415 - an extra

        model = self._edited(edits)

        def step(carry, _):
            qpos, qvel = carry
            data = self._filled(State(qpos, qvel, control.mocap_pos))
            data = mjx.step(model, data.replace(ctrl=control.ctrl.astype(float)))
            return (data.qpos, data.qvel), data.sensordata

        with mujoco_contacts():
            moving, sensors = jax.lax.scan(step, tuple(state[:2]), length=self.frame_skip)
        if self.model.opt.integrator == mujoco.mjtIntegrator.mjINT_RK4:
            # The sensors that a Runge-Kutta step returns may be those of its last stage.
            first = self.sense(state, edits)
        else:
            first = sensors[0]
        sane = jnp.all(jnp.abs(jnp.concatenate(moving)) < MAX_VALUE)
        qpos, qvel = (jnp.where(sane, x, jnp.nan) for x in moving)
        return State(qpos, qvel, control.mocap_pos.astype(float)), first

    def sense(self, state: State, edits: dict[str, Array]) -> Float[Array, " sensor"]:
        """The sensor data of a state."""
        from mujoco import mjx  # noqa: PLC0415 - an extra

        if not self.model.nsensordata:
            return jnp.zeros(0)
        with mujoco_contacts():
            return mjx.forward(self._edited(edits), self._filled(state)).sensordata

    def _edited(self, edits: dict[str, Array]) -> Any:
        leaves = [edits.get(n, x) for n, x in zip(self._names, self._leaves, strict=True)]
        return jax.tree.unflatten(self._structure, [jnp.asarray(x) for x in leaves])

    def _filled(self, state: State) -> Any:
        qpos, qvel, mocap = (x.astype(float) for x in state)
        mocap = mocap.reshape(self.model.nmocap, 3)
        return self._data.replace(qpos=qpos, qvel=qvel, mocap_pos=mocap)

    def _put(self, model: mujoco.MjModel) -> Any:
        from mujoco import mjx  # noqa: PLC0415 - an extra

        put = mjx.put_model(model)
        tighter = {
            f"opt.{name}": jnp.minimum(getattr(put.opt, name), TOLERANCE)
            for name in ("tolerance", "ls_tolerance")
        }
        return put.tree_replace(tighter)


def _refuse_accelerations(model: mujoco.MjModel) -> None:
    """MJX evaluates such sensors before it has solved for the forces of contacts."""
    for i in range(model.nsensor):
        if model.sensor_needstage[i] == mujoco.mjtStage.mjSTAGE_ACC:
            raise GmpsError(
                f"MJX cannot simulate the model: its sensor {model.sensor(i).name!r} measures "
                "forces or accelerations."
            )
