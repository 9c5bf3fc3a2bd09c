"""Meta-World's tasks stepped by MuJoCo itself, with rewards in batch; see `metaworld_judges`.

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
from jaxtyping import Float

from gmps.metaworld.environments import AnyKind, RewardVersion
from gmps.metaworld.judges import JUDGES, Constants, Places, observation
from gmps.tasks.gymnasium_family import Stepped

_INTEGRATION = mujoco.mjtState.mjSTATE_INTEGRATION.value
_BODIES = ("hand", "rightclaw", "leftclaw", "rightpad", "leftpad")
_SITES = ("rightEndEffector", "leftEndEffector")


def can_batch(kind: str, version: RewardVersion) -> bool:
    """Whether this reward of that kind of task is known in batch."""
    return version == "v2" and kind in JUDGES


class _Start(NamedTuple):
    """A task at rest, as its reset leaves it."""

    state: Float[np.ndarray, " integration"]
    obs: Float[np.ndarray, " obs"]
    constants: Constants
    #: Where the body is that the task moves, m.
    moved: Float[np.ndarray, " 3"]


class _World(NamedTuple):
    """One world of the batch, with views of its numbers: looking them up costs more than a copy."""

    data: mujoco.MjData
    ctrl: np.ndarray
    mocap: np.ndarray
    bodies: np.ndarray
    sites: np.ndarray
    object: np.ndarray
    turn: np.ndarray
    qpos: np.ndarray


class MetaWorldBatch:
    """Up to `width` worlds of one kind of task, on CPU threads."""

    width = 256

    def __init__(
        self,
        kind: str,
        row: Callable[[Any], tuple[str, Float[np.ndarray, " rand"]]],
        threads: int,
    ):
        """Args:
        kind: a kind of task that `can_batch`.
        row: kind and random vector of a task: see `gmps.metaworld.family.MetaWorld.row`.
        threads: so many step worlds side by side; results do not depend on it.
        """
        self._row, self._judge = row, JUDGES[kind]
        self._resets = AnyKind("v2")
        self.action_space: gymnasium.Space = self._resets.action_space
        self._starts: dict[int, _Start] = {}
        self._worlds: list[_World] = []
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def start(self, tasks: Sequence[Any], seeds: Sequence[int]) -> Float[np.ndarray, "n obs"]:
        """See `gmps.tasks.gymnasium_family.Batch`; starts are the same for every seed."""
        del seeds
        starts = [self._start_of(task) for task in tasks]
        self._grow(len(starts))
        for world, start in zip(self._worlds, starts, strict=False):
            mujoco.mj_setState(self._models[0], world.data, start.state, _INTEGRATION)
        self._count = len(starts)
        self._constants = Constants(
            *map(np.array, zip(*(s.constants for s in starts), strict=True))
        )
        self._moved = np.array([s.moved for s in starts])
        self._mocap = np.array([w.mocap for w in self._worlds[: self._count]])
        obs = np.array([s.obs for s in starts])
        self._previous = obs[:, :18]
        return obs

    def step(self, act: Float[np.ndarray, "n 4"]) -> Stepped:
        """See `gmps.tasks.gymnasium_family.Batch`."""
        env = self._env
        moves = np.clip(act[:, :3], -1, 1) * env.action_scale
        self._mocap = np.clip(self._mocap + moves, env.mocap_low, env.mocap_high)
        grip = act[:, 3].astype(float)
        self._advance(np.stack([grip, -grip], 1))
        places = self._places()
        seen = observation(places)
        obs = np.hstack([seen, self._previous, np.zeros((len(seen), 3))])
        self._previous = seen
        space = env.sawyer_observation_space
        obs = np.clip(obs, space.low, space.high)
        reward, success = self._judge.reward(places, self._constants, obs[:, :3], act)
        return Stepped(obs, reward, np.zeros(len(act), bool), success.astype(float))

    def close(self) -> None:
        """Stop the threads and close the environment."""
        if self._pool:
            self._pool.shutdown()
        self._resets.close()

    @property
    def _env(self) -> Any:
        return self._resets.current

    def _start_of(self, task: Any) -> _Start:
        """The start of a task, by Meta-World's own reset."""
        row = round(float(task[3]))
        if row not in self._starts:
            self._resets.choose(*self._row(task))
            obs, _ = self._resets.reset()
            env = self._env
            model = env.model
            if not self._worlds:
                self._bind(model)
            state = np.empty(mujoco.mj_stateSize(model, _INTEGRATION))
            mujoco.mj_getState(model, env.data, state, _INTEGRATION)
            constants = (env._target_pos, env.obj_init_pos, env.init_tcp, env.hand_init_pos)
            self._starts[row] = _Start(
                state,
                np.array(obs),
                Constants(*(np.array(x, float) for x in constants)),
                model.body_pos[self._moved_id].copy(),
            )
        return self._starts[row]

    def _bind(self, model: mujoco.MjModel) -> None:
        """Look up what the judge looks at; one copy of the model for each thread."""
        judge = self._judge
        self._models = [copy.copy(model) for _ in range(self._threads)]
        self._bodies = [model.body(name).id for name in _BODIES]
        self._sites = [model.site(name).id for name in _SITES]
        self._turn = model.geom(judge.turn).id
        kind, name = judge.object
        self._object = mujoco.mj_name2id(model, kind, name)
        self._joint = model.joint(judge.joint).qposadr[0] if judge.joint else None
        self._moved_id = model.body(judge.moved).id if judge.moved else 0
        self._grow(1)

    def _grow(self, count: int) -> None:
        """Have at least so many worlds, and room for what is read from them."""
        model, kind = self._models[0], self._judge.object[0]
        while len(self._worlds) < count:
            data = mujoco.MjData(model)
            own = data.geom_xpos if kind == mujoco.mjtObj.mjOBJ_GEOM else data.xpos
            turn = data.geom_xmat[self._turn]
            seen = (data.xpos, data.site_xpos, own[self._object], turn, data.qpos)
            self._worlds.append(_World(data, data.ctrl, data.mocap_pos[0], *seen))
        n = len(self._worlds)
        self._seen = np.empty((n, len(_BODIES) + len(_SITES) + 1, 3))
        self._turns, self._angles = np.empty((n, 9)), np.zeros(n)

    def _advance(self, ctrl: Float[np.ndarray, "n 2"]) -> None:
        """One control step of all worlds, and what is seen after it."""
        cuts = np.linspace(0, self._count, self._threads + 1).astype(int)
        parts = [(i, a, b, ctrl) for i, (a, b) in enumerate(itertools.pairwise(cuts))]
        if self._pool is None:
            self._step_rows(*parts[0])
        else:
            for future in [self._pool.submit(self._step_rows, *part) for part in parts]:
                future.result()

    def _step_rows(self, thread: int, first: int, last: int, ctrl: np.ndarray) -> None:
        model, skip, moves = self._models[thread], self._env.frame_skip, self._judge.moved
        bodies, sites = len(_BODIES), len(_BODIES) + len(_SITES)
        for i in range(first, last):
            world = self._worlds[i]
            if moves:
                model.body_pos[self._moved_id] = self._moved[i]
            world.ctrl[:] = ctrl[i]
            world.mocap[:] = self._mocap[i]
            mujoco.mj_step(model, world.data, nstep=skip)
            mujoco.mj_forward(model, world.data)
            seen = self._seen[i]
            seen[:bodies] = world.bodies[self._bodies]
            seen[bodies:sites] = world.sites[self._sites]
            seen[sites] = world.object
            self._turns[i] = world.turn
            if self._joint is not None:
                self._angles[i] = world.qpos[self._joint]

    def _places(self) -> Places:
        n = self._count
        return Places(
            *self._seen[:n].transpose(1, 0, 2),
            turn=self._turns[:n].reshape(n, 3, 3),
            angle=self._angles[:n],
        )
