"""Any family as a Gymnasium environment, for other libraries: one, or a vector of them.

The task is hidden here too: it is not in the observation. With a reset comes a new random task,
unless tasks are given.
"""

import functools
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from jaxtyping import Array, Bool, Float

from gmps.core.types import Task, tree_index
from gmps.errors import GmpsError
from gmps.sim import episodes as ep
from gmps.sim.native import NativeSimulator, edited_model
from gmps.tasks.base import MujocoFamily, PureFamily, TaskFamily, Transition
from gmps.tasks.gymnasium_family import GymnasiumFamily
from gmps.tasks.pixels import PixelFamily
from gmps.worlds.base import World


def as_gymnasium_vector(world: World, num_envs: int, tasks: Task | None = None) -> VectorEnv:
    """The family of a world as a vector environment of Gymnasium.

    Args:
        world: a world of this machine (`make_world`).
        num_envs: how many environments.
        tasks: the task of each environment, stacked; by default a random one for each episode.

    Raises:
        GmpsError: `tasks` are not `num_envs`, or the family is made of Gymnasium environments.
    """
    return FamilyVectorEnv(world.family, num_envs, tasks)


def as_gymnasium(world: World, task: Task | None = None) -> gymnasium.Env:
    """The family of a world as one environment of Gymnasium; `task` as above, not stacked."""
    return FamilyEnv(world.family, task)


class FamilyVectorEnv(VectorEnv):
    """See `as_gymnasium_vector`. After an episode's end the next step starts a new one.

    Infos hold the reward's named terms.
    """

    def __init__(self, family: TaskFamily, num_envs: int, tasks: Task | None = None):
        if num_envs < 1:
            raise GmpsError(f"num_envs is {num_envs}; it must be at least 1.")
        if isinstance(family, GymnasiumFamily):
            raise GmpsError(
                f"{family.name} is made of Gymnasium environments already; put its make_env into "
                "gymnasium.vector."
            )
        if isinstance(family, PixelFamily):
            raise GmpsError(
                f"{family.name} shows its learner pictures, which this environment has none of; "
                "take the family without a camera."
            )
        if tasks is not None and {x.shape[0] for x in jax.tree.leaves(tasks)} != {num_envs}:
            raise GmpsError(f"{family.name}: tasks need a leading axis of num_envs = {num_envs}.")
        spec = family.spec
        self.family, self.num_envs = family, num_envs
        self.single_observation_space = gymnasium.spaces.Box(
            -np.inf, np.inf, (spec.obs_size,), np.float32
        )
        self.single_action_space = gymnasium.spaces.Box(-1.0, 1.0, (spec.act_size,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP, "render_modes": []}
        self.render_mode = None
        self.spec = None
        self._given = tasks
        self._tasks: Any = tasks
        self._stepper = _stepper(family)
        self._state = np.zeros((num_envs, sum(ep.state_sizes(family))), np.float32)
        self._steps = np.zeros(num_envs, int)
        self._over = np.ones(num_envs, bool)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float[np.ndarray, "b obs"], dict[str, Any]]:
        """New episodes everywhere."""
        super().reset(seed=seed, options=options)
        self._begin(np.ones(self.num_envs, bool))
        return self._observe(), {}

    def step(
        self, actions: Any
    ) -> tuple[
        Float[np.ndarray, "b obs"],
        Float[np.ndarray, " b"],
        Bool[np.ndarray, " b"],
        Bool[np.ndarray, " b"],
        dict[str, Any],
    ]:
        """One control step; where an episode had ended, the first observation of a new one."""
        fresh = self._over.copy()
        act = np.clip(np.asarray(actions, np.float32), -1, 1)
        new, before, after, diverged = self._stepper.step(self._tasks, self._state, act)
        judged = _judge(self.family, self._tasks, self._state, before, act, new, after)
        terms, terminal = jax.device_get(judged)
        self._state = np.where(fresh[:, None], self._state, new)
        self._steps += ~fresh
        terminated = (terminal | diverged) & ~fresh
        truncated = (self._steps >= self.family.spec.horizon) & ~terminated & ~fresh
        reward = np.where(fresh, 0.0, sum(terms.values())).astype(np.float64)
        infos: dict[str, Any] = {}
        for name, term in terms.items():
            infos[name], infos[f"_{name}"] = np.where(fresh, 0, term), ~fresh
        self._over = terminated | truncated
        if fresh.any():
            self._begin(fresh)
        return self._observe(), reward, terminated, truncated, infos

    def _begin(self, rows: Bool[np.ndarray, " b"]) -> None:
        """New episodes in these rows."""
        key = jax.random.key(int(self.np_random.integers(2**31)))
        task_key, start_key = jax.random.split(key)
        if self._given is None:
            drawn = self.family.tasks("train", self.num_envs, task_key)
            old = drawn if self._tasks is None else self._tasks
            chosen = jnp.asarray(rows)
            self._tasks = jax.tree.map(
                lambda new, old: jnp.where(chosen.reshape(-1, *[1] * (new.ndim - 1)), new, old),
                drawn,
                old,
            )
            self._stepper.tasks_changed(rows)
        starts = np.asarray(ep.draw_starts(self.family, 1, self._tasks, start_key))
        self._state = np.where(rows[:, None], starts, self._state)
        self._steps[rows] = 0
        self._over[rows] = False

    def _observe(self) -> Float[np.ndarray, "b obs"]:
        return np.array(_observations(self.family, self._state))


class FamilyEnv(gymnasium.Env):
    """See `as_gymnasium`."""

    def __init__(self, family: TaskFamily, task: Task | None = None):
        tasks = None if task is None else jax.tree.map(lambda x: jnp.asarray(x)[None], task)
        self._vector = FamilyVectorEnv(family, 1, tasks)
        self.family = family
        self.observation_space = self._vector.single_observation_space
        self.action_space = self._vector.single_action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float[np.ndarray, " obs"], dict[str, Any]]:
        """A new episode."""
        super().reset(seed=seed)
        obs, _ = self._vector.reset(seed=int(self.np_random.integers(2**31)), options=options)
        return obs[0], {}

    def step(
        self, action: Any
    ) -> tuple[Float[np.ndarray, " obs"], float, bool, bool, dict[str, Any]]:
        """One control step; the info holds the reward's named terms."""
        obs, reward, terminated, truncated, infos = self._vector.step(np.asarray(action)[None])
        info = {name: float(x[0]) for name, x in infos.items() if not name.startswith("_")}
        return obs[0], float(reward[0]), bool(terminated[0]), bool(truncated[0]), info


class _PureStepper:
    """Packed states through a family's own dynamics."""

    def __init__(self, family: PureFamily):
        self.family = family

    def tasks_changed(self, rows: Bool[np.ndarray, " b"]) -> None:
        """The tasks do not matter to the dynamics."""
        del rows

    def step(self, tasks: Task, state: np.ndarray, act: np.ndarray) -> tuple[np.ndarray, ...]:
        """The next states, sensors before and after, and what diverged."""
        del tasks
        new = np.asarray(_pure_step(self.family, state, act))
        diverged = np.any(~np.isfinite(new), axis=1)
        none = np.zeros((len(state), 0), np.float32)
        return np.where(diverged[:, None], state, new), none, none, diverged


class _NativeStepper:
    """Packed states through MuJoCo."""

    def __init__(self, family: MujocoFamily):
        self.family = family
        self._simulator = NativeSimulator(family.model(), family.frame_skip)
        self._models: dict[int, Any] = {}
        self._exact = np.zeros((0, 0))

    def tasks_changed(self, rows: Bool[np.ndarray, " b"]) -> None:
        """Forget the models of these rows."""
        for row in np.flatnonzero(rows):
            self._models.pop(int(row), None)

    def step(self, tasks: Task, state: np.ndarray, act: np.ndarray) -> tuple[np.ndarray, ...]:
        """The next states, sensors before and after, and what diverged."""
        simulator = self._simulator
        model = simulator.model
        models = self._edited(tasks, len(state)) if self.family.edits_model else None
        control = np.asarray(_control(self.family, state, act))
        moving = model.nq + model.nv
        new = state.copy()
        before, after = (np.zeros((len(state), model.nsensordata), np.float32) for _ in range(2))
        simulator.start(self._unrounded(state[:, :moving]), models)
        self._exact = np.empty((len(state), moving))
        diverged = simulator.step(control, self._exact, before)
        simulator.sense(after)
        new[:, :moving], new[:, moving:] = self._exact, control[:, model.nu :]
        if diverged is None:
            diverged = np.zeros(len(state), bool)
        new[diverged], after[diverged] = state[diverged], before[diverged]
        return new, before, after, diverged

    def _edited(self, tasks: Task, count: int) -> list[Any]:
        """The model of each row, made where its task is new."""
        missing = [i for i in range(count) if i not in self._models]
        numbers = jax.device_get(tasks) if missing else None
        for i in missing:
            edit = functools.partial(self.family.edit_model, task=tree_index(numbers, i))
            self._models[i] = edited_model(self._simulator.model, edit)
        return [self._models[i] for i in range(count)]

    def _unrounded(self, moving: Float[np.ndarray, "b nq_nv"]) -> Float[np.ndarray, "b nq_nv"]:
        """What the simulator reached, where a state is still that; so a chain of steps is exact."""
        if self._exact.shape != moving.shape:
            return moving.astype(np.float64)
        reached = (self._exact.astype(np.float32) == moving).all(1)
        return np.where(reached[:, None], self._exact, moving)


def _stepper(family: TaskFamily) -> _PureStepper | _NativeStepper:
    if isinstance(family, PureFamily):
        return _PureStepper(family)
    if isinstance(family, MujocoFamily):
        return _NativeStepper(family)
    raise TypeError(f"{type(family).__name__} has no dynamics that can be stepped from here.")


@functools.partial(jax.jit, static_argnums=0)
def _pure_step(family: PureFamily, state: Array, act: Array) -> Float[Array, "b state"]:
    sizes = ep.state_sizes(family)
    return jax.vmap(lambda s, a: ep.pack(family.step(ep.unpack(s, sizes), a)))(state, act)


@functools.partial(jax.jit, static_argnums=0)
def _control(family: MujocoFamily, state: Array, act: Array) -> Float[Array, "b control"]:
    sizes = ep.state_sizes(family)
    commands = jax.vmap(lambda s, a: family.control(ep.unpack(s, sizes), a))(state, act)
    return jnp.concatenate(commands, -1)


@functools.partial(jax.jit, static_argnums=0)
def _observations(family: TaskFamily, state: Array) -> Float[Array, "b obs"]:
    sizes = ep.state_sizes(family)
    return jax.vmap(lambda s: family.observe(ep.unpack(s, sizes)))(state)


@functools.partial(jax.jit, static_argnums=0)
def _judge(
    family: TaskFamily,
    tasks: Task,
    state: Array,
    sensors: Array,
    act: Array,
    new: Array,
    new_sensors: Array,
) -> tuple[dict[str, Float[Array, " b"]], Bool[Array, " b"]]:
    """Reward terms of a step, and whether it ended in a terminal state."""
    sizes = ep.state_sizes(family)
    one, two = ep.unpack(state, sizes), ep.unpack(new, sizes)
    terms = jax.vmap(family.reward)(tasks, Transition(one, sensors, act, two, new_sensors))
    return terms, jax.vmap(family.terminated)(two)
