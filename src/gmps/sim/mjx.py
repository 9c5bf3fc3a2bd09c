"""MuJoCo's physics in JAX (MJX), in float32, on a GPU or a CPU.

As in `gmps.sim.native`, warm starts are off: the state and the control determine the next state.
In float32, bodies that just touch are apart or not by rounding, and a step of free fall is 0.1 m/s.
So contacts begin at a distance of `MARGIN`.
"""

import importlib.metadata
import importlib.util
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Float

from gmps.sim.mjx_contacts import mujoco_contacts
from gmps.sim.native import MAX_VALUE, markov_model, require_plain_state
from gmps.tasks.base import Control, State

#: Least distance, m, below which geoms are in contact.
MARGIN = 1e-6


def missing() -> str | None:
    """Why MJX cannot be used in this installation; None if it can."""
    if importlib.util.find_spec("mujoco.mjx") is None:
        return "MJX is not installed; install gmps[mjx]."
    versions = [importlib.metadata.version(name) for name in ("mujoco-mjx", "mujoco")]
    series = [version.split(".")[:2] for version in versions]
    if series[0] != series[1]:
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
        """Changes `model`: warm starts and automatic resets off, contact margins at least `MARGIN`.

        Raises:
            ValueError: MJX is not installed, or cannot simulate this model, or the model has state
                besides positions and velocities.
        """
        if reason := missing():
            raise ValueError(reason)
        require_plain_state(model)
        _refuse_accelerations(model)
        self.model = _with_margin(markov_model(model))
        self.frame_skip = frame_skip
        from mujoco import mjx

        try:
            base = self._put(self.model)
            self._data = mjx.put_data(self.model, mujoco.MjData(self.model))
            # Some limits show only here.
            mjx.make_data(self.model)
        except NotImplementedError as error:
            raise ValueError(f"MJX cannot simulate the model: {error}") from error
        paths, self._structure = jax.tree.flatten_with_path(base)
        self._names = [jax.tree_util.keystr(path).lstrip(".") for path, _ in paths]
        self._leaves = [np.asarray(leaf) for _, leaf in paths]

    def edits(self, models: list[mujoco.MjModel]) -> dict[str, np.ndarray]:
        """What is different in copies of the simulator's model, stacked: see `edited_model`.

        Raises:
            ValueError: something differs that MJX compiles into its program.
        """
        rows = []
        for i, model in enumerate(models):
            leaves, structure = jax.tree.flatten(self._put(model))
            if structure != self._structure:
                raise ValueError(
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
        from mujoco import mjx

        model = self._edited(edits)

        def step(carry, _):
            qpos, qvel = carry
            data = self._filled(State(qpos, qvel, control.mocap_pos))
            data = mjx.step(model, data.replace(ctrl=control.ctrl))
            return (data.qpos, data.qvel), data.sensordata

        with mujoco_contacts():
            moving, sensors = jax.lax.scan(step, tuple(state[:2]), length=self.frame_skip)
        sane = jnp.all(jnp.abs(jnp.concatenate(moving)) < MAX_VALUE)
        qpos, qvel = (jnp.where(sane, x, jnp.nan) for x in moving)
        return State(qpos, qvel, control.mocap_pos), sensors[0]

    def sense(self, state: State, edits: dict[str, Array]) -> Float[Array, " sensor"]:
        """The sensor data of a state."""
        from mujoco import mjx

        if not self.model.nsensordata:
            return jnp.zeros(0, jnp.float32)
        with mujoco_contacts():
            return mjx.forward(self._edited(edits), self._filled(state)).sensordata

    def _edited(self, edits: dict[str, Array]) -> Any:
        leaves = [edits.get(n, x) for n, x in zip(self._names, self._leaves, strict=True)]
        return jax.tree.unflatten(self._structure, [jnp.asarray(x) for x in leaves])

    def _filled(self, state: State) -> Any:
        mocap = state.mocap_pos.reshape(self.model.nmocap, 3)
        return self._data.replace(qpos=state.qpos, qvel=state.qvel, mocap_pos=mocap)

    def _put(self, model: mujoco.MjModel) -> Any:
        from mujoco import mjx

        return mjx.put_model(model)


def _with_margin(model: mujoco.MjModel) -> mujoco.MjModel:
    """Raise the contact margins to `MARGIN`; MJX has none for meshes and height fields."""
    touching = (model.geom_contype | model.geom_conaffinity) != 0
    without = [mujoco.mjtGeom.mjGEOM_MESH, mujoco.mjtGeom.mjGEOM_HFIELD]
    if not np.isin(model.geom_type[touching], [int(kind) for kind in without]).any():
        model.geom_margin[:] = np.maximum(model.geom_margin, MARGIN)
    return model


def _refuse_accelerations(model: mujoco.MjModel) -> None:
    """MJX evaluates such sensors before it has solved for the forces of contacts."""
    for i in range(model.nsensor):
        if model.sensor_needstage[i] == mujoco.mjtStage.mjSTAGE_ACC:
            raise ValueError(
                f"MJX cannot simulate the model: its sensor {model.sensor(i).name!r} measures "
                "forces or accelerations."
            )
