"""Meta-World's ML1, ML10, ML25 and ML45: a Sawyer arm, 50 kinds of task, goals hidden.

Yu et al., Meta-World, 2019, in version 3 of the package `metaworld` (an extra). A task is the row
of a list of goals; the goal beside it is for experts, and for people to read. The lists are
Meta-World's own for the family's seed: what `metaworld.ML1(name, seed)` holds is trained on and
held out here.
"""

import functools
import importlib.util
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from jaxtyping import Array, Float, Int, Key

from gmps.errors import GmpsError
from gmps.tasks.base import Augment, Spec, Split, State
from gmps.tasks.gymnasium_family import GymnasiumFamily
from gmps.tasks.lists import select_evenly

if TYPE_CHECKING:
    from gmps.worlds.gymnasium_world import Batch

#: Numbers of an observation: hand and gripper, object, the same of the step before, and the goal,
#: which is zeros here.
OBS_SIZE, GOAL = 39, slice(36, 39)
#: Where an observation has the object's rotation and the second object, now and a step before.
_TURNS = np.isin(np.arange(OBS_SIZE) % 18, np.arange(7, 18)) & (np.arange(OBS_SIZE) < GOAL.start)
#: How far scenes are moved to augment observations, m.
_ELSEWHERE = 0.4
#: Meta-World's own horizon, steps.
FULL_HORIZON = 500
#: Where Meta-World's lists hold 50 goals of each kind, these benchmarks take the first so many.
_GOALS = {"ml10": 10, "ml25": 6, "ml45": 4}
_LISTED = 50
_NAME = re.compile(r"(?P<benchmark>ml1-(?P<env>[^@]+)|ml10|ml25|ml45)(@(?P<horizon>\d+))?")

#: The names of these families, in words.
METAWORLD = "ml1-ENV, ml10, ml25 and ml45"

RewardVersion = Literal["v1", "v2"]


class GoalList(NamedTuple):
    """The tasks of both splits, one a row: first those of training, then those held out."""

    #: Kind of task, such as `reach-v3`.
    env_names: tuple[str, ...]
    #: What Meta-World calls the random vector: start of the object, goal, or both, m.
    rand_vecs: tuple[np.ndarray, ...]
    #: Rows of the training split.
    train: int


def is_metaworld(name: str) -> bool:
    """Whether `make_family` should look here: `ml1-ENV`, `ml10`, `ml25`, `ml45`, and the same
    followed by `@STEPS`, the horizon."""
    return _NAME.fullmatch(name) is not None


def metaworld_family(name: str) -> "MetaWorld":
    """The family of a name: see `is_metaworld`.

    Raises:
        GmpsError: the package is missing, or it has no such environment.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise GmpsError(f"{name!r} is none of Meta-World's: {METAWORLD}.")
    if importlib.util.find_spec("metaworld") is None:
        raise GmpsError(f"{name} takes the package metaworld: pip install 'gmps[metaworld]'.")
    env, known = match["env"], environments()
    if env and env not in known:
        raise GmpsError(
            f"Meta-World has no environment {env!r}; it has {', '.join(sorted(known))}."
        )
    return MetaWorld(match["benchmark"], horizon=int(match["horizon"] or MetaWorld.horizon))


def environments() -> dict[str, Any]:
    """Meta-World's 50 environment classes by name."""
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS

    return ALL_V3_ENVIRONMENTS


@dataclass(frozen=True)
class MetaWorld(GymnasiumFamily):
    """One of Meta-World's meta-learning benchmarks.

    Observation: 39 numbers, the goal's 3 always zero. Action: the move of the hand's target, 1 cm
    per unit, and the gripper. Reward: at most 10 a step; there is no terminal state. A task is
    `(x, y, z, row)`: goal in m, and the row of its list, which alone decides.
    """

    #: `ml1-ENV`, `ml10`, `ml25` or `ml45`.
    benchmark: str
    #: Steps of an episode; Meta-World's are 500, most tasks are solved in a fifth of it.
    horizon: int = 200
    #: Seed of the lists of goals, as Meta-World's benchmarks take it.
    seed: int = 0
    #: Which of Meta-World's rewards.
    reward_version: RewardVersion = "v2"
    #: Goals of each kind in a split; by default 50 in ML1, and 10, 6 and 4 in ML10, ML25 and ML45.
    goals: int | None = None

    act_size: ClassVar[int] = 4
    slow_steps: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 1 <= self.horizon <= FULL_HORIZON:
            raise GmpsError(
                f"{self.benchmark}: the horizon is {self.horizon}; it must be 1 to {FULL_HORIZON}."
            )
        if self.goals is not None and not 1 <= self.goals <= _LISTED:
            raise GmpsError(
                f"{self.benchmark}: goals is {self.goals}; Meta-World lists {_LISTED} of each kind."
            )

    @property
    def name(self) -> str:
        """The benchmark, and the horizon where it is not the default."""
        usual = self.horizon == type(self).horizon
        return self.benchmark if usual else f"{self.benchmark}@{self.horizon}"

    @property
    def spec(self) -> Spec:
        """Sizes; a step is 5 physics steps of 2.5 ms."""
        return Spec(OBS_SIZE, self.act_size, 4, horizon=self.horizon, control_dt=0.0125)

    @property
    def summary(self) -> str:
        """The benchmark in words."""
        kinds = len(self.env_names("train"))
        what = self.benchmark.removeprefix("ml1-") if kinds == 1 else f"{kinds} kinds of task"
        return f"Meta-World's {self.benchmark[:4].strip('-').upper()}: {what}, goals hidden."

    @property
    def _list(self) -> GoalList:
        goals = self.goals or _GOALS.get(self.benchmark, _LISTED)
        return _goal_list(self.benchmark, self.seed, goals)

    def env_names(self, split: Split | None = None) -> tuple[str, ...]:
        """The kinds of task of a split, or of both, each once."""
        kinds = _kinds(self.benchmark)
        return kinds[split] if split else tuple(dict.fromkeys(kinds["train"] + kinds["heldout"]))

    def row(self, task: Any) -> tuple[str, Float[np.ndarray, " rand"]]:
        """Kind and random vector of a task.

        Raises:
            GmpsError: there is no such row.
        """
        row, names = round(float(task[3])), self._list.env_names
        if not 0 <= row < len(names):
            raise GmpsError(f"{self.name}: there is no task {row}; its list has {len(names)}.")
        return names[row], self._list.rand_vecs[row]

    def env_name(self, task: Any) -> str:
        """The kind of a task, such as `reach-v3`."""
        return self.row(task)[0]

    def tasks(
        self, split: Split, n: int | None = None, key: Key[Array, ""] | None = None
    ) -> Float[Array, "n 4"]:
        """Rows of the split's list. With a key: drawn from it, with repetition."""
        train, end = self._list.train, len(self._list.env_names)
        rows = np.arange(0, train) if split == "train" else np.arange(train, end)
        if key is not None:
            rows = rows[np.asarray(jax.random.randint(key, (n or 1,), 0, len(rows)))]
            n = None
        listed = jnp.asarray(np.column_stack([_goals(self)[rows], rows]), jnp.float32)
        return select_evenly(self.name, listed, n)

    def make_env(self) -> gymnasium.Env:
        """One environment that becomes any of the benchmark's kinds."""
        return AnyKind(self.reward_version)

    def set_task(self, env: gymnasium.Env, task: Any) -> None:
        """Choose the kind and its random vector."""
        kind: Any = env.unwrapped
        kind.choose(*self.row(task))

    def make_batch(self, threads: int) -> "Batch | None":
        """Steps without Python where this benchmark's rewards are known in batch."""
        from gmps.metaworld.batch import MetaWorldBatch, can_batch

        return MetaWorldBatch(self, threads) if can_batch(self) else None

    @property
    def augment(self) -> Augment:
        """See `_moved_and_turned`."""
        return _moved_and_turned

    @property
    def expert(self) -> Callable[[Any, Float[Array, " obs"]], Float[Array, " act"]]:
        """Meta-World's scripted policies, which are shown the goal."""
        from gmps.metaworld.experts import scripted

        return scripted(self)

    def paths(
        self, states: State, sensors: Float[Array, "t1 2"]
    ) -> dict[str, Float[Array, "t1 2"]]:
        """`hand` and `object`, seen from above, m."""
        del sensors
        return {"hand": states.qpos[:, :2], "object": states.qpos[:, 4:6]}

    def goal_point(self, task: Float[Array, " 4"]) -> Float[Array, " 2"]:
        """The goal, m."""
        return task[:2]

    def describe(self, task: Float[Array, " 4"]) -> str:
        """Kind, row and goal in cm, as in `reach-v3 #7 (-3.0, 85.2, 12.0) cm`."""
        x, y, z = (100 * float(v) for v in task[:3])
        return f"{self.env_name(task)} #{round(float(task[3]))} ({x:.1f}, {y:.1f}, {z:.1f}) cm"


def _moved_and_turned(
    obs: Float[Array, "task label 39"], key: Key[Array, ""]
) -> Float[Array, "task label 39"]:
    """The same scenes elsewhere, or with another task's object.

    Half of the observations have hand and object moved together, by up to 40 cm in each
    direction. Half, independently, have the object's rotation, and what is known of a second
    object, of another task. So a policy does not rely on where an object lies or how it is
    turned to know what to do with it: objects of other kinds lie elsewhere.
    """
    elsewhere, by, turned, other = jax.random.split(key, 4)
    shape = (*obs.shape[:2], 1)
    move = jax.random.uniform(by, (*shape[:2], 3), obs.dtype, -_ELSEWHERE, _ELSEWHERE)
    move = jnp.where(jax.random.bernoulli(elsewhere, shape=shape), move, 0)
    zero = jnp.zeros_like(move)
    frame = jnp.concatenate([move, zero[..., :1], move, jnp.zeros((*shape[:2], 11))], -1)
    moved = obs + jnp.concatenate([frame, frame, zero], -1)
    swapped = jnp.where(_TURNS, jnp.roll(moved, _any_task(other, len(obs)), 0), moved)
    return jnp.where(jax.random.bernoulli(turned, shape=shape), swapped, moved)


def _any_task(key: Key[Array, ""], tasks: int) -> Int[Array, ""]:
    return jax.random.randint(key, (), 1, max(tasks, 2))


class AnyKind(gymnasium.Env):
    """An environment of Meta-World of the kind last chosen; goal hidden, one made of each kind."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (OBS_SIZE,), np.float64)
    action_space = gymnasium.spaces.Box(-1, 1, (4,), np.float32)

    def __init__(self, reward_version: RewardVersion = "v2"):
        self._version = reward_version
        self._made: dict[str, Any] = {}
        self._env: Any = None

    @property
    def current(self) -> Any:
        """Meta-World's environment of the chosen kind."""
        return self._env

    def choose(self, env_name: str, rand_vec: Float[np.ndarray, " rand"]) -> None:
        """Set kind and random vector, by Meta-World's own `set_task`."""
        if env_name not in self._made:
            self._made[env_name] = environments()[env_name](reward_function_version=self._version)
        self._env = self._made[env_name]
        self._env.set_task(official_task(env_name, rand_vec))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Meta-World's start of the chosen task: the seed changes nothing."""
        return self._env.reset(seed=seed, options=options)

    def step(self, action: Any) -> Any:
        """Meta-World's step."""
        return self._env.step(action)

    def close(self) -> None:
        """Close all that were made."""
        for env in self._made.values():
            env.close()


def official_task(env_name: str, rand_vec: Float[np.ndarray, " rand"]) -> Any:
    """Meta-World's own description of a task with its goal hidden."""
    import metaworld

    data = {"rand_vec": rand_vec, "env_cls": environments()[env_name], "partially_observable": True}
    return metaworld._encode_task(env_name, data)


@functools.cache
def _goal_list(benchmark: str, seed: int, goals: int) -> GoalList:
    kinds = _kinds(benchmark)
    # ML1 holds out other goals of the same kind, drawn from the next seed; the others other kinds.
    shift = int(benchmark.startswith("ml1-"))
    drawn = [
        (name, vector)
        for names, at in ((kinds["train"], seed), (kinds["heldout"], seed + shift))
        for name, vectors in _draw(names, at).items()
        for vector in vectors[:goals]
    ]
    names, vectors = zip(*drawn, strict=True)
    return GoalList(names, vectors, goals * len(kinds["train"]))


def _kinds(benchmark: str) -> dict[Split, tuple[str, ...]]:
    if benchmark.startswith("ml1-"):
        env = benchmark.removeprefix("ml1-")
        return {"train": (env,), "heldout": (env,)}
    from metaworld import env_dict

    kinds = getattr(env_dict, f"{benchmark.upper()}_V3")
    return {"train": tuple(kinds["train"]), "heldout": tuple(kinds["test"])}


def _draw(names: tuple[str, ...], seed: int) -> OrderedDict[str, list[np.ndarray]]:
    """The random vectors that Meta-World's benchmarks draw from a seed: every reset of a fresh
    environment draws one. Of its physics nothing but a forward pass is done: the rest changes
    nothing that is drawn and takes nearly all of the time."""
    before = np.random.get_state()
    drawn: OrderedDict[str, list[np.ndarray]] = OrderedDict()
    try:
        np.random.seed(seed)
        for name in names:
            env = environments()[name]()
            env._freeze_rand_vec, env._set_task_called = False, True
            model, data = env.model, env.data
            env.do_simulation = lambda *_, m=model, d=data, **__: mujoco.mj_forward(m, d)
            drawn[name] = []
            for _ in range(_LISTED):
                env.reset()
                drawn[name].append(np.array(env._last_rand_vec, np.float64))
            env.close()
    finally:
        np.random.set_state(before)
    return drawn


@functools.cache
def _goals(family: MetaWorld) -> Float[np.ndarray, "row 3"]:
    """The goal of each row, m, as Meta-World sets it: some follow from where an object rests."""
    env, found = AnyKind(family.reward_version), []
    for name, vector in zip(family._list.env_names, family._list.rand_vecs, strict=True):
        env.choose(name, vector)
        env.reset()
        found.append(np.array(env.current._target_pos, np.float64))
    env.close()
    return np.array(found)
