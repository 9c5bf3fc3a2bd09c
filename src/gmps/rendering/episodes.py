"""Pictures of episodes: MuJoCo families by its renderer, pure families by matplotlib."""

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import mujoco
import numpy as np
from jaxtyping import Float, UInt8

from gmps.core.types import Task
from gmps.errors import GmpsError
from gmps.sim.gl import free_camera, prepare_gl
from gmps.tasks.base import MujocoFamily, State, TaskFamily

Frames = UInt8[np.ndarray, "frame height width 3"]

#: Radius of the marker of the goal, as a share of the distance of the camera.
_MARKER = 0.04
_MARKER_RGBA = (0.95, 0.25, 0.2, 0.5)
#: Radius of a line, likewise.
_LINE = 0.0035
#: Geoms that a renderer has room for, beside lines.
_GEOMS = 10_000


class Line(NamedTuple):
    """A path that is drawn in every frame."""

    #: m; the third number counts where there is a third dimension.
    points: Float[np.ndarray, "n 3"]
    #: From 0 to 1.
    colour: tuple[float, float, float]


def render_episode(
    family: TaskFamily,
    task: Task,
    states: State,
    sensors: Float[Any, "t1 sensor"],
    *,
    width: int = 320,
    height: int = 240,
    every: int = 1,
    shadows: bool = False,
    lines: Sequence[Line] = (),
) -> Frames:
    """Frames of one episode with the goal as a marker.

    Args:
        family: any family.
        task: the episode's task.
        states: the episode's `t + 1` states, such as `Rollout.states` at one task and episode.
        sensors: the sensor data of these states, likewise of `Rollout.sensors`.
        width, height: of a frame, in pixels.
        every: draw every so many states, the first one and always the last.
        shadows: draw shadows and reflections, at a third of the speed.
        lines: paths to draw beside the goal.

    Raises:
        GmpsError: a size or `every` is below 1, or MuJoCo can draw neither with EGL nor with
            OSMesa.
    """
    for name, value in (("width", width), ("height", height), ("every", every)):
        if value < 1:
            raise GmpsError(f"{name} is {value}; it must be at least 1.")
    states = jax.tree.map(np.asarray, states)
    last = len(states.qpos) - 1
    chosen = sorted({*range(0, last + 1, every), last})
    if isinstance(family, MujocoFamily):
        return _mujoco_frames(family, task, states, chosen, width, height, shadows, lines)
    paths = {k: np.asarray(v) for k, v in family.paths(states, sensors).items()}
    return _plane_frames(family, task, paths, chosen, width, height, lines)


def steps_per_frame(family: TaskFamily, fps: float) -> int:
    """Control steps between frames for about `fps` frames per second of simulated time."""
    return max(1, round(1 / (fps * family.spec.control_dt)))


def _mujoco_frames(
    family: MujocoFamily,
    task: Task,
    states: State,
    chosen: list[int],
    width: int,
    height: int,
    shadows: bool,
    lines: Sequence[Line],
) -> Frames:
    prepare_gl()
    model = copy.copy(family.model())
    if family.edits_model:
        family.edit_model(model, jax.tree.map(np.asarray, task))
    model.vis.global_.offwidth = max(width, model.vis.global_.offwidth)
    model.vis.global_.offheight = max(height, model.vis.global_.offheight)
    data, camera = mujoco.MjData(model), free_camera(model, family.camera)
    goal = np.asarray(family.goal_marker(task), np.float64)
    frames = np.empty((len(chosen), height, width, 3), np.uint8)
    segments = sum(max(0, len(line.points) - 1) for line in lines)
    renderer = mujoco.Renderer(model, height, width, max_geom=_GEOMS + segments)
    try:
        for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION):
            renderer.scene.flags[flag] = shadows
        for frame, t in zip(frames, chosen, strict=True):
            data.qpos[:], data.qvel[:] = states.qpos[t], states.qvel[t]
            data.mocap_pos[:] = states.mocap_pos[t].reshape(-1, 3)
            mujoco.mj_forward(model, data)
            renderer.update_scene(data, camera)
            _add_marker(renderer.scene, goal, _MARKER * camera.distance)
            for line in lines:
                _add_line(renderer.scene, line, _LINE * camera.distance)
            renderer.render(out=frame)
    finally:
        renderer.close()
    return frames


def _add_marker(scene: Any, position: Float[np.ndarray, " 3"], radius: float) -> None:
    """A ball at the goal."""
    if scene.ngeom >= scene.maxgeom:
        raise RuntimeError(f"The scene is full: {scene.maxgeom} geoms leave none for the goal.")
    mujoco.mjv_initGeom(
        scene.geoms[scene.ngeom],
        mujoco.mjtGeom.mjGEOM_SPHERE,
        np.full(3, radius),
        position,
        np.eye(3).ravel(),
        np.array(_MARKER_RGBA, np.float32),
    )
    scene.ngeom += 1


def _add_line(scene: Any, line: Line, radius: float) -> None:
    """Cylinders from point to point."""
    for one, two in zip(line.points[:-1], line.points[1:], strict=True):
        geom = scene.geoms[scene.ngeom]
        kind = mujoco.mjtGeom.mjGEOM_CAPSULE
        colour = np.array([*line.colour, 1.0], np.float32)
        mujoco.mjv_initGeom(geom, kind, np.zeros(3), np.zeros(3), np.eye(3).ravel(), colour)
        mujoco.mjv_connector(geom, kind, radius, np.float64(one), np.float64(two))
        scene.ngeom += 1


def _plane_frames(
    family: TaskFamily,
    task: Task,
    paths: dict[str, np.ndarray],
    chosen: list[int],
    width: int,
    height: int,
    drawn: Sequence[Line],
) -> Frames:
    """The family's paths in the plane, up to each frame, with the goal."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - 0.4 s
    from matplotlib.figure import Figure  # noqa: PLC0415 - 0.4 s

    goal = np.asarray(family.goal_point(task))
    # All goals are in the picture, so that different episodes are drawn at one scale.
    goals = np.asarray(jax.vmap(family.goal_point)(family.tasks("heldout")))
    points = np.concatenate([goal[None], goals, *paths.values()])
    low, high = points.min(0), points.max(0)
    centre, size = (low + high) / 2, np.array([width, height])
    half = size * 0.6 * max(float(((high - low) / size).max()), 1e-6)
    figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(centre[0] - half[0], centre[0] + half[0])
    axes.set_ylim(centre[1] - half[1], centre[1] + half[1])
    for line in drawn:
        axes.plot(*np.asarray(line.points)[:, :2].T, "-", color=line.colour, linewidth=1)
    axes.plot(*goal, "o", color=_MARKER_RGBA[:3], markersize=16, alpha=0.6)
    lines = {}
    for i, (name, path) in enumerate(paths.items()):
        axes.plot(*path[0], "o", color="0.6", markersize=6)
        (line,) = axes.plot([], [], "-", color=f"C{i}", linewidth=2)
        (dot,) = axes.plot([], [], "o", color=f"C{i}", markersize=9)
        lines[name] = line, dot
    frames = np.empty((len(chosen), height, width, 3), np.uint8)
    for frame, t in zip(frames, chosen, strict=True):
        for name, (line, dot) in lines.items():
            line.set_data(paths[name][: t + 1, 0], paths[name][: t + 1, 1])
            dot.set_data(paths[name][t : t + 1, 0], paths[name][t : t + 1, 1])
        canvas.draw()
        frame[...] = np.asarray(canvas.buffer_rgba())[:height, :width, :3]
    return frames
