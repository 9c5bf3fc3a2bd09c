"""Meta-World's tasks stepped by MuJoCo itself, with rewards in batch; see `gmps.metaworld.judges`.

An environment of Meta-World makes each start. From there every world is a MuJoCo state of its own,
stepped as Meta-World steps it: 5 physics steps and a forward pass, which leaves the solver another
warm start. So trajectories are Meta-World's, bit for bit. Most of the time of Meta-World's own step
is Python.
"""

import copy
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import gymnasium
import mujoco
import numpy as np
from jaxtyping import Bool, Float

from gmps.metaworld.environments import OBS_SIZE, AnyKind, RewardVersion
from gmps.metaworld.judges import JUDGES
from gmps.metaworld.judges.scene import KEPT, Reader
from gmps.tasks.gymnasium_family import Stepped

_INTEGRATION = mujoco.mjtState.mjSTATE_INTEGRATION.value
_PADS = ("leftpad_geom", "rightpad_geom")


def can_batch(version: RewardVersion) -> bool:
    """Whether these rewards are known in batch."""
    return version == "v2"


class _Start(NamedTuple):
    """A task at rest, as its reset leaves it."""

    state: Float[np.ndarray, " integration"]
    obs: Float[np.ndarray, " obs"]
    #: What rewards ask for, by the names of Meta-World's attributes.
    kept: dict[str, np.ndarray]
    #: Where the task has put bodies and sites of the model, m.
    bodies: Float[np.ndarray, "body 3"]
    sites: Float[np.ndarray, "site 3"]


class _Kind:
    """The worlds of one kind of task."""

    def __init__(self, env: Any, kind: str):
        """No worlds yet."""
        self._env, self._judge = env, JUDGES[kind]
        model = copy.copy(env.model)
        #: As it is compiled, and of each thread that has stepped these worlds a copy of its own.
        self._model, self._models = model, dict[int, mujoco.MjModel]()
        self._differs = False
        self._reader = Reader(self._judge, model)
        pressed = self._judge.pressed
        self._pressed = model.geom(pressed).id if pressed else None
        self._pads = [model.geom(name).id for name in _PADS]
        self._worlds: list[mujoco.MjData] = []
        self._mine: list[tuple[np.ndarray, np.ndarray]] = []
        space = env.sawyer_observation_space
        self._low, self._high = space.low, space.high

    def start_of(self) -> _Start:
        """The start of the task that the environment is in, by Meta-World's own reset."""
        env = self._env
        obs, _ = env.reset()
        state = np.empty(mujoco.mj_stateSize(env.model, _INTEGRATION))
        mujoco.mj_getState(env.model, env.data, state, _INTEGRATION)
        names = (*KEPT, *self._judge.keeps)
        kept = {name: np.array(getattr(env, name), float) for name in names}
        return _Start(
            state, np.array(obs), kept, env.model.body_pos.copy(), env.model.site_pos.copy()
        )

    def start(self, starts: Sequence[_Start]) -> Float[np.ndarray, "n obs"]:
        """Put as many worlds into these starts."""
        model, n = self._model, len(starts)
        if n > len(self._worlds):
            self._worlds += [mujoco.MjData(model) for _ in range(n - len(self._worlds))]
            self._seen, self._plans = self._reader.rows(self._worlds)
            self._mine = [(w.ctrl, w.mocap_pos[0]) for w in self._worlds]
        for world, start in zip(self._worlds, starts, strict=False):
            mujoco.mj_setState(model, world, start.state, _INTEGRATION)
        self._count, self._starts = n, starts
        # Where tasks move nothing in the model, nothing is written into it before each step.
        self._differs |= any(
            (s.bodies != model.body_pos).any() or (s.sites != model.site_pos).any() for s in starts
        )
        self._kept = {name: np.array([s.kept[name] for s in starts]) for name in starts[0].kept}
        self._mocap = np.array([mocap for _, mocap in self._mine[:n]])
        self._object_first: np.ndarray | None = None
        self._touched = np.zeros(n, bool)
        obs = np.array([s.obs for s in starts])
        self._previous = obs[:, :18]
        return obs

    def act(self, act: Float[np.ndarray, "n 4"]) -> None:
        """Aim all worlds at where the actions lead."""
        env = self._env
        moves = np.clip(act[:, :3], -1, 1) * env.action_scale
        self._mocap = np.clip(self._mocap + moves, env.mocap_low, env.mocap_high)
        grip = act[:, 3].astype(float)
        self._act, self._ctrl = act, np.stack([grip, -grip], 1)

    def advance(self, thread: int, row: int) -> None:
        """One control step of one world."""
        model, data = self._models.get(thread), self._worlds[row]
        if model is None:
            model = self._models[thread] = copy.copy(self._model)
        if self._differs:
            start = self._starts[row]
            model.body_pos[:] = start.bodies
            model.site_pos[:] = start.sites
        ctrl, mocap = self._mine[row]
        ctrl[:] = self._ctrl[row]
        mocap[:] = self._mocap[row]
        mujoco.mj_step(model, data, nstep=self._env.frame_skip)
        mujoco.mj_forward(model, data)
        for source, ids, out in self._plans[row]:
            source.take(ids, 0, out, "clip")
        if self._pressed is not None:
            self._touched[row] = all(_presses(data, pad, self._pressed) for pad in self._pads)

    def judged(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Observations, rewards and successes after the step."""
        seen = self._seen[: self._count]
        scene = self._reader.scene(seen, {**self._kept, "pressed": self._touched}, self._act)
        now = self._reader.observation(scene)
        obs = np.hstack([now, self._previous, np.zeros((len(now), 3))])
        self._previous = now
        obs = np.clip(obs, self._low, self._high)
        scene.hand = obs[:, :3]
        if self._object_first is None:
            self._object_first = scene.object.copy()
        scene.object_first = self._object_first
        reward, success = self._judge.reward(scene)
        return obs, reward, success.astype(float)


class MetaWorldBatch:
    """Up to `width` worlds of any kinds of task, on CPU threads."""

    width = 256

    def __init__(
        self,
        row: Callable[[Any], tuple[str, Float[np.ndarray, " rand"]]],
        threads: int,
    ):
        """Args:
        row: kind and random vector of a task: see `gmps.metaworld.family.MetaWorld.row`.
        threads: so many step worlds side by side; results do not depend on it.
        """
        self._row, self._resets = row, AnyKind("v2")
        self.action_space: gymnasium.Space = self._resets.action_space
        self._starts: dict[int, _Start] = {}
        self._kinds: dict[str, _Kind] = {}
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def start(self, tasks: Sequence[Any], seeds: Sequence[int]) -> Float[np.ndarray, "n obs"]:
        """See `gmps.tasks.gymnasium_family.Batch`; starts are the same for every seed."""
        del seeds
        rows: dict[str, list[int]] = {}
        starts = []
        for i, task in enumerate(tasks):
            kind, start = self._start_of(task)
            rows.setdefault(kind, []).append(i)
            starts.append(start)
        self._rows = {kind: np.array(mine) for kind, mine in rows.items()}
        self._all = [(self._kinds[k], i) for k, mine in rows.items() for i in range(len(mine))]
        obs = np.empty((len(tasks), len(starts[0].obs)))
        for kind, mine in self._rows.items():
            obs[mine] = self._kinds[kind].start([starts[i] for i in mine])
        return obs

    def step(self, act: Float[np.ndarray, "n 4"]) -> Stepped:
        """See `gmps.tasks.gymnasium_family.Batch`."""
        for kind, mine in self._rows.items():
            self._kinds[kind].act(act[mine])
        cuts = np.linspace(0, len(act), self._threads + 1).astype(int)
        parts = [(i, self._all[a:b]) for i, (a, b) in enumerate(itertools.pairwise(cuts))]
        if self._pool is None:
            _advance(*parts[0])
        else:
            for future in [self._pool.submit(_advance, *part) for part in parts]:
                future.result()
        obs = np.empty((len(act), OBS_SIZE))
        reward, success = np.empty(len(act)), np.empty(len(act))
        for kind, mine in self._rows.items():
            obs[mine], reward[mine], success[mine] = self._kinds[kind].judged()
        return Stepped(obs, reward, np.zeros(len(act), bool), success)

    def close(self) -> None:
        """Stop the threads and close the environments."""
        if self._pool:
            self._pool.shutdown()
        self._resets.close()

    def _start_of(self, task: Any) -> tuple[str, _Start]:
        """Kind and start of a task."""
        kind, vector = self._row(task)
        row = round(float(task[3]))
        if row not in self._starts:
            self._resets.choose(kind, vector)
            if kind not in self._kinds:
                self._kinds[kind] = _Kind(self._resets.current, kind)
            self._starts[row] = self._kinds[kind].start_of()
        return kind, self._starts[row]


def _advance(thread: int, worlds: Sequence[tuple[_Kind, int]]) -> None:
    for kind, row in worlds:
        kind.advance(thread, row)


def _presses(data: mujoco.MjData, pad: int, geom: int) -> bool:
    """Whether one geom presses on another."""
    pairs: Bool[np.ndarray, "contact 2"] = data.contact.geom
    between = (pairs == pad).any(1) & (pairs == geom).any(1)
    return bool(data.efc_force[data.contact.efc_address[between]].sum() > 0)
