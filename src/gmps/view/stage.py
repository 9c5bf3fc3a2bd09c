"""What is drawn of a family: its bodies, where they are in each state, and where goals lie.

A `MujocoFamily` is drawn by its model. Of all others the moving points of `paths` are drawn, as
discs in the plane.
"""

import abc
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Float, UInt32

from gmps.core.types import Rollout, Task, tree_index
from gmps.sim.gl import free_camera
from gmps.sim.native import edited_model
from gmps.tasks.base import MujocoFamily, State, TaskFamily
from gmps.tasks.gymnasium_family import GymnasiumFamily
from gmps.view.meshes import cylinder, geom_triangles

#: Geoms of these groups are shown, as in MuJoCo's own viewer.
_GROUPS = 3
#: What moves in families without a model: one colour a path.
_COLOURS = ((70, 130, 180), (200, 120, 40), (110, 160, 80), (140, 100, 170))
_FLOOR = (150, 156, 160)
#: Room around goals and what moves, as a share of their size.
_MARGIN = 0.15

Poses = Float[np.ndarray, "t1 body 7"]


class Part(NamedTuple):
    """A rigid shape of one colour, in the frame of its body."""

    body: int
    colour: tuple[int, int, int]
    vertices: Float[np.ndarray, "vertex 3"]
    faces: UInt32[np.ndarray, "face 3"]


class View(NamedTuple):
    """From where a stage is seen."""

    #: The point in the middle of the picture, m.
    lookat: Float[np.ndarray, " 3"]
    #: Unit vector from there to the camera.
    towards: Float[np.ndarray, " 3"]

    @property
    def right(self) -> Float[np.ndarray, " 3"]:
        """Horizontal unit vector to the right in the picture."""
        x, y, _ = self.towards
        return np.array([-y, x, 0.0]) / max(float(np.hypot(x, y)), 1e-9)

    @property
    def near(self) -> Float[np.ndarray, " 3"]:
        """Horizontal unit vector towards the camera."""
        x, y, _ = self.towards
        return np.array([x, y, 0.0]) / max(float(np.hypot(x, y)), 1e-9)


class Stage(abc.ABC):
    """See the module docstring. Lengths are in m; quaternions are (w, x, y, z)."""

    family: TaskFamily
    parts: tuple[Part, ...]
    view: View
    #: Height of the plane that goals are picked in.
    height: float
    #: Heights between which things are shown.
    floor: float
    top: float
    #: Corners of what is shown in the plane, `(x, y)`.
    low: Float[np.ndarray, " 2"]
    high: Float[np.ndarray, " 2"]

    @abc.abstractmethod
    def poses(self, task: Task, rollout: Rollout) -> Poses:
        """Position and quaternion of each body in the first episode of the first task."""

    def goal(self, task: Task) -> Float[np.ndarray, " 3"]:
        """Where the goal's marker stands."""
        family = self.family
        if isinstance(family, MujocoFamily):
            return np.asarray(family.goal_marker(task), np.float64)
        return np.append(np.asarray(family.goal_point(task), np.float64), 0.0)


def make_stage(family: TaskFamily, tasks: Task) -> Stage:
    """The stage of a family.

    Args:
        family: any family.
        tasks: stacked tasks whose goals are to be within the picture.
    """
    if isinstance(family, MujocoFamily):
        return ModelStage(family, tasks)
    return PlaneStage(family, tasks)


class ModelStage(Stage):
    """A MuJoCo family by its model."""

    def __init__(self, family: MujocoFamily, tasks: Task):
        self.family = family
        self._mujoco_family = family
        self._model = family.model()
        goals = _goals(self, tasks)
        self.height = float(goals[:, 2].mean())
        start = _start(family, tasks)
        first = self._of(self._model, jax.tree.map(lambda x: x[None], start))[0]
        parts = _model_parts(self._model)
        moving = [_placed(p.vertices, first[p.body]) for p in parts if p.body > 0]
        shown = np.concatenate([goals, *moving])
        margin = _MARGIN * float((shown.max(0) - shown.min(0)).max())
        self.low, self.high = shown.min(0)[:2] - margin, shown.max(0)[:2] + margin
        self.floor, self.top = min(0.0, float(shown[:, 2].min())), float(shown[:, 2].max())
        # Of what stands still, such as a table, the part that matters is enough.
        corners = [*self.low, self.floor - margin], [*self.high, np.inf]
        parts = [p if p.body else p._replace(vertices=p.vertices.clip(*corners)) for p in parts]
        kinds = {int(kind) for kind in self._model.geom_type}
        if int(mujoco.mjtGeom.mjGEOM_PLANE) in kinds:
            parts.insert(0, _floor(self.low, self.high))
        self.parts = tuple(parts)
        self.view = _model_view(self._model, family, self)

    def poses(self, task: Task, rollout: Rollout) -> Poses:
        """By the model's kinematics, with what the task changes in it."""
        model, family = self._model, self._mujoco_family
        if family.edits_model:
            numbers = jax.device_get(task)
            model = edited_model(model, lambda m: family.edit_model(m, numbers))
        return self._of(model, jax.tree.map(lambda x: np.asarray(x)[0, 0], rollout.states))

    def _of(self, model: mujoco.MjModel, states: object) -> Poses:
        qpos, _, mocap = (np.asarray(x) for x in jax.tree.leaves(states))
        data = mujoco.MjData(model)
        poses = np.empty((len(qpos), model.nbody, 7), np.float32)
        for t in range(len(qpos)):
            data.qpos[:] = qpos[t]
            data.mocap_pos[:] = mocap[t].reshape(-1, 3)
            mujoco.mj_kinematics(model, data)
            poses[t, :, :3], poses[t, :, 3:] = data.xpos, data.xquat
        return poses


class PlaneStage(Stage):
    """The moving points of a family's `paths`."""

    height = floor = top = 0.0

    def __init__(self, family: TaskFamily, tasks: Task):
        self.family = family
        goals = _goals(self, tasks)[:, :2]
        names = self._names()
        margin = 0.25 * max(float((goals.max(0) - goals.min(0)).max()), 0.1)
        origin = np.zeros((1, 2))
        shown = np.concatenate([goals, origin])
        self.low, self.high = shown.min(0) - margin, shown.max(0) + margin
        size = float((self.high - self.low).max())
        parts = [_floor(self.low, self.high, body=len(names))]
        for i, _ in enumerate(names):
            vertices, faces = cylinder(0.025 * size, 0.008 * size)
            parts.append(Part(i, _COLOURS[i % len(_COLOURS)], vertices, faces))
        self.parts = tuple(parts)
        middle = np.append((self.low + self.high) / 2, 0.0)
        towards = np.array([0.0, -0.5, 1.0])
        self.view = View(middle, towards / np.linalg.norm(towards))

    def _names(self) -> tuple[str, ...]:
        family = self.family
        width = 2 if isinstance(family, GymnasiumFamily) else 0
        sizes = (*family.state_sizes, width)
        shapes: list[Any] = [jax.ShapeDtypeStruct((2, n), jnp.float32) for n in sizes]
        return tuple(jax.eval_shape(family.paths, State(*shapes[:3]), shapes[3]))

    def poses(self, task: Task, rollout: Rollout) -> Poses:
        """Points of the paths, without rotation; the last body is the floor."""
        del task
        paths = [np.asarray(x)[0, 0] for x in rollout.paths.values()]
        poses = np.zeros((len(paths[0]), len(paths) + 1, 7), np.float32)
        poses[..., 3] = 1.0
        for i, path in enumerate(paths):
            poses[:, i, :2] = path
        return poses


def between(poses: Poses, at: float) -> Float[np.ndarray, "body 7"]:
    """Poses at a moment between two states, `at` in steps; the ends beyond them."""
    at = min(max(at, 0.0), len(poses) - 1.0)
    first = min(int(at), len(poses) - 2) if len(poses) > 1 else 0
    share = np.float32(at - first)
    one, two = poses[first], poses[min(first + 1, len(poses) - 1)]
    mixed = one + share * (two - one)
    # Quaternions q and -q are the same rotation: take the nearer of them.
    flip = (one[:, 3:] * two[:, 3:]).sum(-1) < 0
    mixed[flip, 3:] = (one[flip, 3:] * (1 - share)) - share * two[flip, 3:]
    mixed[:, 3:] /= np.maximum(np.linalg.norm(mixed[:, 3:], axis=-1, keepdims=True), 1e-9)
    return mixed


def _goals(stage: Stage, tasks: Task) -> Float[np.ndarray, "task 3"]:
    count = jax.tree.leaves(tasks)[0].shape[0]
    return np.stack([stage.goal(tree_index(tasks, i)) for i in range(count)])


def _start(family: TaskFamily, tasks: Task):
    return jax.device_get(family.reset(jax.random.key(0), tree_index(tasks, 0)))


def _floor(low: np.ndarray, high: np.ndarray, body: int = 0) -> Part:
    """A rectangle just below the plane that things move in."""
    (x0, y0), (x1, y1) = low, high
    drop = 0.004 * float((high - low).max())
    vertices = [[x0, y0, -drop], [x1, y0, -drop], [x1, y1, -drop], [x0, y1, -drop]]
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.uint32)
    return Part(body, _FLOOR, np.array(vertices, np.float32), faces)


def _model_parts(model: mujoco.MjModel) -> list[Part]:
    """All visible geoms, those of one body and colour together."""
    grouped: dict[tuple[int, tuple[int, int, int]], list[tuple[np.ndarray, np.ndarray]]] = {}
    for geom in range(model.ngeom):
        rgba = _rgba(model, geom)
        if rgba[3] == 0 or model.geom_group[geom] >= _GROUPS:
            continue
        found = geom_triangles(model, geom)
        if found is None:
            continue
        vertices, faces = found
        pose = np.concatenate([model.geom_pos[geom], model.geom_quat[geom]])
        red, green, blue = (round(255 * float(x)) for x in rgba[:3])
        key = int(model.geom_bodyid[geom]), (red, green, blue)
        grouped.setdefault(key, []).append((_placed(vertices, pose), faces))
    parts = []
    for (body, colour), shapes in grouped.items():
        starts = np.cumsum([0, *(len(v) for v, _ in shapes[:-1])])
        faces = [f + np.uint32(start) for (_, f), start in zip(shapes, starts, strict=True)]
        vertices = np.concatenate([v for v, _ in shapes]).astype(np.float32)
        parts.append(Part(body, colour, vertices, np.concatenate(faces).astype(np.uint32)))
    return parts


def _rgba(model: mujoco.MjModel, geom: int) -> Float[np.ndarray, " 4"]:
    """The colour of a geom: a material's counts where the geom has none of its own."""
    material = int(model.geom_matid[geom])
    own = model.geom_rgba[geom]
    if material >= 0 and np.allclose(own, [0.5, 0.5, 0.5, 1.0]):
        return model.mat_rgba[material]
    return own


def _placed(vertices: np.ndarray, pose: np.ndarray) -> Float[np.ndarray, "vertex 3"]:
    """Vertices in the frame that holds the pose."""
    rotation = np.empty(9)
    mujoco.mju_quat2Mat(rotation, np.asarray(pose[3:], np.float64))
    return vertices @ rotation.reshape(3, 3).T + pose[:3]


def _model_view(model: mujoco.MjModel, family: MujocoFamily, stage: ModelStage) -> View:
    """The family's own camera; without one, over what is shown."""
    if family.camera is None:
        middle = np.append((stage.low + stage.high) / 2, 0.0)
        towards = np.array([-0.1, -1.0, 0.9])
        return View(middle, towards / np.linalg.norm(towards))
    camera = free_camera(model, family.camera)
    azimuth, elevation = np.radians([camera.azimuth, camera.elevation])
    flat = np.cos(elevation)
    towards = -np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(elevation)])
    return View(np.array(camera.lookat), towards)
