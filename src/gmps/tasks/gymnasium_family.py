"""Families whose tasks are played in a user's `gymnasium.Env`.

The environment draws its own starts and computes its own rewards, on the host; see
`gmps.worlds.gymnasium_world`.
"""

import abc
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import gymnasium
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from gmps.core.types import Task
from gmps.tasks.base import State, TaskFamily, Transition


class Stepped(NamedTuple):
    """What one step of `n` environments gives."""

    obs: Float[np.ndarray, "n obs"]
    reward: Float[np.ndarray, " n"]
    #: Whether the environment has terminated, now or before, and whether it reports success, NaN
    #: where it tells nothing.
    ended: Bool[np.ndarray, " n"]
    success: Float[np.ndarray, " n"]


class Batch(Protocol):
    """Environments that start and step together."""

    #: At most so many at once.
    width: int
    action_space: gymnasium.Space

    def start(self, tasks: Sequence[Any], seeds: Sequence[int]) -> Float[np.ndarray, "n obs"]:
        """Begin an episode in each of the tasks, whose leaves are NumPy arrays."""
        ...

    def step(self, act: Float[np.ndarray, "n act"]) -> Stepped:
        """Step the environments that were started; one whose episode is over rests."""
        ...

    def close(self) -> None:
        """Release what is held."""
        ...


class GymnasiumFamily(TaskFamily):
    """A `gymnasium.Env` and a function that sets its task.

    A subclass gives `name`, `spec`, `tasks`, `goal_point`, `make_env` and `set_task`. Actions in
    [-1, 1] are scaled to the bounds of the environment's action space. An observation is the
    environment's, flattened, of a dict the parts in the order of its space but those in
    `hidden_observations`; it must not contain the task.

    A `State` holds in `qpos` the observation and a last number, 1 once the environment has
    terminated. The two sensors are the reward that led to a state, and the `success` (or
    `is_success`) of the environment's info, 0 without one.
    """

    #: Whether a step takes a millisecond or more, so that processes pay by default.
    slow_steps: ClassVar[bool] = False
    #: Parts of a dict of observations that the learner is not shown, such as "desired_goal".
    hidden_observations: ClassVar[tuple[str, ...]] = ()
    #: Whether the environment's info tells `success` or `is_success`. Without, there is no such
    #: figure, and tables leave it out.
    reports_success: ClassVar[bool] = True

    def make_batch(self, threads: int) -> Batch | None:
        """Something of the family's own that steps many environments faster than one by one, on
        so many threads; by default None."""
        del threads

    @abc.abstractmethod
    def make_env(self) -> gymnasium.Env:
        """A new environment. Its time limit, if it has one, is at least `spec.horizon`."""

    @abc.abstractmethod
    def set_task(self, env: gymnasium.Env, task: Any) -> None:
        """Put an environment of `make_env` into a task, whose leaves are NumPy arrays; called by
        `reset_env`."""

    def reset_env(self, env: gymnasium.Env, task: Any, seed: int | None) -> Any:
        """Begin an episode of a task; returns the environment's first observation.

        By default sets the task, then resets. Override it where a reset draws the task anew:
        reset first, then set the task, and return what is observed then.
        """
        self.set_task(env, task)
        return env.reset(seed=seed)[0]

    def context(self, task: Task) -> Float[Array, " ctx"]:
        """The task, if it is one array; override for any other."""
        return task

    def reset(self, key: Key[Array, ""], task: Task) -> State:
        """Not available: the environment draws its start itself, from a seed of the world.

        Raises:
            TypeError: always.
        """
        del key, task
        raise TypeError(f"{self.name}: the environment draws its starts itself; use its world.")

    @property
    def shares_dynamics(self) -> bool:
        """False: the environment's reward is that of the episode's own task."""
        return False

    @property
    def state_sizes(self) -> tuple[int, int, int]:
        """The observation, and whether the environment has terminated."""
        return self.spec.obs_size + 1, 0, 0

    def observe(self, state: State) -> Float[Array, " obs"]:
        """The environment's observation."""
        return state.qpos[:-1]

    def terminated(self, state: State) -> Bool[Array, ""]:
        """Whether the environment has said so."""
        return state.qpos[-1] > 0.5

    def reward(self, task: Task, transition: Transition) -> dict[str, Float[Array, ""]]:
        """`reward`: the environment's, whatever `task` says: it is that of the episode."""
        del task
        return {"reward": transition.next_sensors[0]}

    def outcome(
        self, task: Task, states: State, sensors: Float[Array, "t1 2"]
    ) -> dict[str, Float[Array, ""]]:
        """`success`: 1 if the environment's info ever said so; nothing if it has no word for it."""
        del task, states
        if not self.reports_success:
            return {}
        return {"success": (sensors[:, 1].max() > 0.5).astype(jnp.float32)}

    def paths(
        self, states: State, sensors: Float[Array, "t1 2"]
    ) -> dict[str, Float[Array, "t1 2"]]:
        """The first two numbers of the observation."""
        del sensors
        return {"observation": jnp.stack([states.qpos[:, 0], states.qpos[:, 1]], -1)}
