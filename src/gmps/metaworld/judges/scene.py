"""What the judge of a kind of task looks at, for a batch of worlds."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import mujoco
import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from gmps.metaworld.judges.scalars import Scalars

#: Positions (m) of a body, a geom or a site, the angle or shift (rad or m) of a joint, a body's
#: quaternion (w first), the rotation matrices of all three.
Of = Literal["body", "geom", "site", "joint", "quaternion", "body turn", "geom turn", "site turn"]


class Look(NamedTuple):
    """A thing in MuJoCo's model of which a number is read after each step."""

    of: Of
    name: str


class Thing(NamedTuple):
    """An object as observations have it."""

    place: Look
    #: How it is turned: a matrix or a quaternion that is read, or four fixed numbers.
    turn: Look | tuple[float, float, float, float]
    #: Added to its place, m: a vector, or one for each world from what was read.
    offset: tuple[float, float, float] | Callable[[Mapping[str, np.ndarray]], Any] | None = None

    def where(self, name: str, seen: Mapping[str, np.ndarray]) -> Float[np.ndarray, "n 3"]:
        """Its place, read as `name`, and the offset."""
        if self.offset is None:
            return seen[name]
        return seen[name] + (self.offset(seen) if callable(self.offset) else self.offset)


class Scene:
    """The worlds after a step, one in each row; lengths in m.

    `scene["NAME"]` is what a judge's `looks` or `keeps` name.
    """

    def __init__(self, seen: Mapping[str, np.ndarray], kept: Mapping[str, np.ndarray], act: Any):
        """Args:
        seen: what was read, by name.
        kept: what the tasks' resets left, by the names of Meta-World's attributes.
        act: actions, in single precision.
        """
        self._seen, self._kept, self.act = seen, kept, act
        #: The hand as observed, where it is cut to the robot's reach.
        self.hand: Float[np.ndarray, "n 3"]
        #: How far the gripper is open, 0 to 1.
        self.opening: Float[np.ndarray, " n"]
        #: The object and the second object, and how they are turned, as observed.
        self.object: Float[np.ndarray, "n 3"]
        self.turn: Float[np.ndarray, "n 4"]
        self.second: Float[np.ndarray, "n 3"]
        self.second_turn: Float[np.ndarray, "n 4"]
        #: The object after the first step.
        self.object_first: Float[np.ndarray, "n 3"]

    def __getitem__(self, name: str) -> Any:
        return self._seen[name] if name in self._seen else self._kept[name]

    @property
    def tcp(self) -> Float[np.ndarray, "n 3"]:
        """Between the fingertips."""
        return (self["rightEndEffector"] + self["leftEndEffector"]) / 2.0

    @property
    def goal(self) -> Float[np.ndarray, "n 3"]:
        """The goal."""
        return self["_target_pos"]

    @property
    def object_start(self) -> Float[np.ndarray, "n 3"]:
        """Where Meta-World says that the object began."""
        return self["obj_init_pos"]

    @property
    def tcp_start(self) -> Float[np.ndarray, "n 3"]:
        """Between the fingertips at the start."""
        return self["init_tcp"]

    def closing(self, effort: float = 1.0) -> Scalars:
        """How much of an effort the action closes the gripper with, 0 to 1."""
        grip = self.act[:, 3]
        single = (grip > 0) & (grip <= np.float32(effort))
        # What is 0 or cut is a Python number.
        cut = np.where(grip > 0, effort, 0.0)
        return Scalars(np.where(single, grip.astype(float), cut), single) / effort


#: Reward and success (0 or 1).
Judged = tuple[np.ndarray, np.ndarray]


class Judge(NamedTuple):
    """How one kind of task is observed and rewarded."""

    reward: Callable[[Scene], Judged]
    object: Thing
    second: Thing | None = None
    #: What else the reward looks at, by the names that it uses.
    looks: Mapping[str, Look] = {}
    #: Attributes of Meta-World's environment that a reset leaves and the reward uses, besides
    #: those of all kinds (`KEPT`).
    keeps: tuple[str, ...] = ()
    #: A geom of which the reward asks whether both fingers press on it, as `scene["pressed"]`.
    pressed: str | None = None


#: What every reset leaves.
KEPT = ("_target_pos", "obj_init_pos", "init_tcp", "hand_init_pos")

#: What is read in every kind of task.
_ALWAYS = {
    **{name: Look("body", name) for name in ("hand", "rightclaw", "leftclaw")},
    **{name: Look("body", name) for name in ("rightpad", "leftpad")},
    **{name: Look("site", name) for name in ("rightEndEffector", "leftEndEffector")},
}
#: Of each: where MuJoCo's data has it, numbers of one, what names it.
_ARRAYS: dict[Of, tuple[str, int, mujoco.mjtObj]] = {
    "body": ("xpos", 3, mujoco.mjtObj.mjOBJ_BODY),
    "geom": ("geom_xpos", 3, mujoco.mjtObj.mjOBJ_GEOM),
    "site": ("site_xpos", 3, mujoco.mjtObj.mjOBJ_SITE),
    "joint": ("qpos", 1, mujoco.mjtObj.mjOBJ_JOINT),
    "quaternion": ("xquat", 4, mujoco.mjtObj.mjOBJ_BODY),
    "body turn": ("xmat", 9, mujoco.mjtObj.mjOBJ_BODY),
    "geom turn": ("geom_xmat", 9, mujoco.mjtObj.mjOBJ_GEOM),
    "site turn": ("site_xmat", 9, mujoco.mjtObj.mjOBJ_SITE),
}


class Reader:
    """Reads what a judge looks at from one world after the other."""

    def __init__(self, judge: Judge, model: mujoco.MjModel):
        """Look up in a model where everything is."""
        looks = {**_ALWAYS, **judge.looks, "object": judge.object.place}
        things = {"": judge.object, "second ": judge.second}
        if judge.second is not None:
            looks["second"] = judge.second.place
        for which, thing in things.items():
            if thing is not None and isinstance(thing.turn, Look):
                looks[f"{which}turn"] = thing.turn
        self._judge, self._columns = judge, {}
        self._parts: list[tuple[str, np.ndarray, int, int]] = []
        at = 0
        for of, (array, size, kind) in _ARRAYS.items():
            names = [name for name, look in looks.items() if look.of == of]
            if not names:
                continue
            ids = [mujoco.mj_name2id(model, kind, looks[name].name) for name in names]
            if of == "joint":
                ids = [model.jnt_qposadr[i] for i in ids]
            for name in names:
                self._columns[name] = slice(at, at + size)
                at += size
            self._parts.append((array, np.array(ids), at - size * len(ids), at))
        self._width = at

    def rows(self, worlds: list[mujoco.MjData]) -> tuple[np.ndarray, list[list[tuple]]]:
        """Room for what is read, and for each world where to copy it from and to."""
        seen = np.empty((len(worlds), self._width))
        plans = []
        for row, data in zip(seen, worlds, strict=True):
            plan = []
            for array, ids, a, b in self._parts:
                source = getattr(data, array)
                plan.append((source, ids, row[a:b].reshape(len(ids), *source.shape[1:])))
            plans.append(plan)
        return seen, plans

    def scene(self, seen: np.ndarray, kept: Mapping[str, np.ndarray], act: Any) -> Scene:
        """Name what was read."""
        named = {name: seen[:, columns] for name, columns in self._columns.items()}
        scene = Scene(named, kept, act)
        apart = np.sqrt(np.vecdot(*[named["rightclaw"] - named["leftclaw"]] * 2))
        scene.hand, scene.opening = named["hand"], np.clip(apart / 0.1, 0.0, 1.0)
        scene.object = self._judge.object.where("object", named)
        scene.turn = _quaternion(self._judge.object.turn, named.get("turn"), len(seen))
        second = self._judge.second
        if second is not None:
            scene.second = second.where("second", named)
            scene.second_turn = _quaternion(second.turn, named.get("second turn"), len(seen))
        return scene

    def observation(self, scene: Scene) -> Float[np.ndarray, "n 18"]:
        """Hand, gripper opening, object and its quaternion, the same of a second object."""
        out = np.zeros((len(scene.hand), 18))
        out[:, :3], out[:, 3] = scene.hand, scene.opening
        out[:, 4:7], out[:, 7:11] = scene.object, scene.turn
        if self._judge.second is not None:
            out[:, 11:14], out[:, 14:] = scene.second, scene.second_turn
        return out


def _quaternion(turn: Any, seen: np.ndarray | None, n: int) -> np.ndarray:
    """As Meta-World has it: MuJoCo's w first, or SciPy's w last from a matrix."""
    if not isinstance(turn, Look) or seen is None:
        return np.broadcast_to(np.asarray(turn, float), (n, 4))
    if turn.of == "quaternion":
        return seen
    return Rotation.from_matrix(seen.reshape(n, 3, 3)).as_quat()
