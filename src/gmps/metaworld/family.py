"""Meta-World's ML1, ML10, ML25 and ML45: a Sawyer arm, 50 kinds of task, goals hidden.

Yu et al., Meta-World, 2019, in version 3 of the package `metaworld` (an extra). A task is the row
of a list of goals; the goal beside it is for experts, and for people to read. The lists are
Meta-World's own for the family's seed: what `metaworld.ML1(name, seed)` holds is trained on and
held out here.
"""

import functools
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from gmps.errors import GmpsError
from gmps.experts.base import Controller
from gmps.experts.user import from_function
from gmps.metaworld.batch import MetaWorldBatch, can_batch
from gmps.metaworld.environments import (
    ACT_SIZE,
    GOAL,
    NEVER_WITH_V1,
    OBS_SIZE,
    AnyKind,
    RewardVersion,
    environments,
)
from gmps.metaworld.experts import scripted_actions
from gmps.metaworld.goals import LISTED, GoalList, goal_list, goal_points, kinds_of
from gmps.tasks import METAWORLD_NAME
from gmps.tasks.base import Augment, Spec, State
from gmps.tasks.choices import Split
from gmps.tasks.gymnasium_family import Batch, GymnasiumFamily
from gmps.tasks.lists import select_evenly

#: Where an observation has the object's rotation and the second object, now and a step before.
_TURNS = np.isin(np.arange(OBS_SIZE) % 18, np.arange(7, 18)) & (np.arange(OBS_SIZE) < GOAL.start)
#: How far scenes are moved to augment observations, m.
_ELSEWHERE = 0.4
#: Meta-World's own horizon, steps.
FULL_HORIZON = 500
#: Where Meta-World's lists hold 50 goals of each kind, these benchmarks take the first so many.
_GOALS = {"ml10": 10, "ml25": 6, "ml45": 4}

#: The names of these families, in words.
METAWORLD = "ml1-ENV, ml10, ml25 and ml45, and folds, as ml10-fold1 to ml10-fold5"


def is_metaworld(name: str) -> bool:
    """Whether `make_family` should look here: `ml1-ENV`, `ml10`, `ml25`, `ml45`, `ml10-fold1` to
    `ml10-fold5` and the like, and the same followed by `@STEPS`, the horizon."""
    return METAWORLD_NAME.fullmatch(name) is not None


def metaworld_family(name: str) -> "MetaWorld":
    """The family of a name: see `is_metaworld`.

    Raises:
        GmpsError: the package is missing, or it has no such environment.
    """
    match = METAWORLD_NAME.fullmatch(name)
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


@dataclass(frozen=True)
class MetaWorld(GymnasiumFamily):
    """One of Meta-World's meta-learning benchmarks.

    Observation: 39 numbers, the goal's 3 always zero. Action: the move of the hand's target, 1 cm
    per unit, and the gripper. Reward: at most 10 a step; there is no terminal state. A task is
    `(x, y, z, row)`: goal in m, and the row of its list, which alone decides.
    """

    #: `ml1-ENV`, `ml10`, `ml25`, `ml45`, or one of five folds, as `ml10-fold3`: see `kinds_of`.
    benchmark: str
    #: Steps of an episode; Meta-World's are 500, most tasks are solved in a fifth of it.
    horizon: int = 200
    #: Seed of the lists of goals, as Meta-World's benchmarks take it.
    seed: int = 0
    #: Which of Meta-World's rewards.
    reward_version: RewardVersion = "v2"
    #: Goals of each kind in a split; by default 50 in ML1, and 10, 6 and 4 in ML10, ML25 and ML45.
    goals: int | None = None

    slow_steps: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 1 <= self.horizon <= FULL_HORIZON:
            raise GmpsError(
                f"{self.benchmark}: the horizon is {self.horizon}; it must be 1 to {FULL_HORIZON}."
            )
        if self.goals is not None and not 1 <= self.goals <= LISTED:
            raise GmpsError(
                f"{self.benchmark}: goals is {self.goals}; Meta-World lists {LISTED} of each kind."
            )

    @property
    def name(self) -> str:
        """The benchmark, and the horizon where it is not the default."""
        usual = self.horizon == type(self).horizon
        return self.benchmark if usual else f"{self.benchmark}@{self.horizon}"

    @property
    def spec(self) -> Spec:
        """Sizes; a step is 5 physics steps of 2.5 ms."""
        return Spec(OBS_SIZE, ACT_SIZE, 4, horizon=self.horizon, control_dt=0.0125)

    @property
    def summary(self) -> str:
        """The benchmark in words."""
        kinds = len(self.env_names("train"))
        what = self.benchmark.removeprefix("ml1-") if kinds == 1 else f"{kinds} kinds of task"
        about = f"Meta-World's {self.benchmark[:4].strip('-').upper()}: {what}, goals hidden."
        _, _, fold = self.benchmark.partition("-fold")
        if fold:
            about += f" Fold {fold} of its training kinds is held out."
        if never := ", ".join(kind for kind in self.env_names() if kind in NEVER_WITH_V1):
            about += f" With reward v1 no expert succeeds in {never}."
        return about

    @property
    def _list(self) -> GoalList:
        goals = self.goals or _GOALS.get(self.benchmark[:4], LISTED)
        return goal_list(self.benchmark, self.seed, goals)

    def env_names(self, split: Split | None = None) -> tuple[str, ...]:
        """The kinds of task of a split, or of both, each once."""
        kinds = kinds_of(self.benchmark)
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
        listed = jnp.asarray(np.column_stack([_goal_points(self)[rows], rows]), jnp.float32)
        return select_evenly(self.name, listed, n)

    def make_env(self) -> gymnasium.Env:
        """One environment that becomes any of the benchmark's kinds."""
        return AnyKind(self.reward_version)

    def set_task(self, env: gymnasium.Env, task: Any) -> None:
        """Choose the kind and its random vector."""
        kind: Any = env.unwrapped
        kind.choose(*self.row(task))

    def make_batch(self, threads: int) -> Batch | None:
        """Steps with little Python, if the rewards are v2."""
        return MetaWorldBatch(self.row, threads) if can_batch(self.reward_version) else None

    @property
    def augment(self) -> Augment:
        """See `_moved_and_turned`."""
        return _moved_and_turned

    @property
    def expert(self) -> Callable[[Any, Float[Array, " obs"]], Float[Array, " act"]]:
        """Meta-World's scripted policies, which are shown the goal."""
        return _scripted(self)

    def outcome(
        self, task: Float[Array, " 4"], states: State, sensors: Float[Array, "t1 2"]
    ) -> dict[str, Float[Array, ""]]:
        """`success`, 1 if Meta-World's info ever said so, as its own evaluation counts, and
        `success_at_end`, what it said after the last step."""
        at_end = (sensors[-1, 1] > 0.5).astype(jnp.float32)
        return {**super().outcome(task, states, sensors), "success_at_end": at_end}

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


@functools.cache
def _scripted(family: MetaWorld) -> Controller:
    """The scripted policy of each task's kind; one object for each family, compiled once."""
    act = functools.partial(scripted_actions, family._list.env_names)
    return from_function(act, family, "of Meta-World").controller


@functools.cache
def _goal_points(family: MetaWorld) -> Float[np.ndarray, "row 3"]:
    return goal_points(family._list, family.reward_version)
