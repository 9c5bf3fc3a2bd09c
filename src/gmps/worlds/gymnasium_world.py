"""Worlds of Gymnasium environments, stepped by Gymnasium's vector environments or a family's own.

Episodes of all tasks run side by side, as many as there are environments; each environment is put
into its episode's task before it is reset. Every episode has a seed of its own, so results do not
depend on how many environments or processes share the work.
"""

import functools
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from jaxtyping import Array, Float, Int, Key

from gmps.core.actors import Actor, RememberingActor
from gmps.core.types import Params, Rollout, Shared, Task, tree_index
from gmps.errors import GmpsError, UserCodeError
from gmps.sim import episodes as ep
from gmps.tasks.base import TaskFamily
from gmps.tasks.gymnasium_family import Batch, GymnasiumFamily, Stepped
from gmps.worlds.base import Draws
from gmps.worlds.batch import check_batch

#: Environments that run side by side in this process, at most.
ENVIRONMENTS = 64
#: Where Gymnasium's goal environments show the goal.
GOAL_KEY = "desired_goal"


class Spaces(NamedTuple):
    """What a family's environments take and give."""

    #: Whole, as the environment has it.
    observation: gymnasium.Space
    #: The keys that the learner is shown, in order, of a space that is a dict; else None.
    keys: tuple[str, ...] | None
    #: Bounded.
    action: gymnasium.spaces.Box

    def flat(self, obs: Any) -> Float[np.ndarray, " obs"]:
        """What the learner is shown of an observation."""
        if self.keys is None:
            return np.asarray(obs).ravel()
        return np.concatenate([np.asarray(obs[key]).ravel() for key in self.keys])


class TaskEnv(gymnasium.Env):
    """An environment of the family, made when it is first reset, in a task that may change.

    It rests once its episode is over, or where it has no task. It reports the end in its info, not
    to the vector environment, which would start a new episode.
    """

    def __init__(self, family: GymnasiumFamily, spaces: Spaces, env: gymnasium.Env | None = None):
        self.family, self.spaces = family, spaces
        self.observation_space = gymnasium.spaces.Box(
            -np.inf, np.inf, (family.spec.obs_size,), np.float64
        )
        self.action_space = spaces.action
        #: NumPy arrays; None to rest.
        self.task_parameter: Any = None
        self._env = env
        self._last = np.zeros(family.spec.obs_size)
        self._over, self._steps = True, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Put the environment into the task, or rest."""
        del options
        self._steps, self._over = 0, self.task_parameter is None
        if self._over:
            return self._last, {}
        try:
            if self._env is None:
                self._env = self.family.make_env()
            obs = self.family.reset_env(self._env, self.task_parameter, seed)
            self._last = self._shown(obs)
        except Exception as error:
            raise self._failed("setting the task and resetting", error) from error
        return self._last, {}

    def step(self, action: Any) -> Any:
        """Step, or rest."""
        if self._over or self._env is None:
            return self._last, 0.0, False, False, {"ended": True, "success": np.nan}
        try:
            obs, reward, terminated, truncated, info = self._env.step(action)
            self._last = self._shown(obs)
        except Exception as error:
            raise self._failed(f"step {self._steps}", error) from error
        self._steps += 1
        if truncated and not terminated and self._steps < self.family.spec.horizon:
            raise GmpsError(
                f"{self.family.name}: the environment cut its episode after {self._steps} steps, "
                f"but spec.horizon is {self.family.spec.horizon}; make them agree."
            )
        self._over = bool(terminated)
        success = float(info.get("success", info.get("is_success", np.nan)))
        return self._last, reward, False, False, {"ended": self._over, "success": success}

    def close(self) -> None:
        """Close the environment, if there is one."""
        if self._env is not None:
            self._env.close()

    def _shown(self, obs: Any) -> Float[np.ndarray, " obs"]:
        return self.spaces.flat(obs).astype(np.float64)

    def _failed(self, what: str, error: Exception) -> UserCodeError:
        return UserCodeError(
            f"{self.family.name}: {what} failed in task {self.task_parameter}: "
            f"{type(error).__name__}: {error}."
        )


class VectorBatch:
    """Gymnasium's vector environments as a `Batch`; environments are made when they are needed,
    and kept."""

    def __init__(
        self,
        family: GymnasiumFamily,
        spaces: Spaces,
        first: gymnasium.Env,
        environments: int,
        processes: int,
    ):
        """`first` is an environment of the family that nobody uses; it is used or closed here."""
        self.width, self.action_space = processes or environments, spaces.action
        self._make = functools.partial(TaskEnv, family, spaces)
        self._apart, self._vector = processes > 0, None
        self._envs: list[TaskEnv] = []
        if self._apart:
            first.close()
        else:
            self._envs.append(self._make(first))

    def start(self, tasks: Sequence[Any], seeds: Sequence[int]) -> Float[np.ndarray, "n obs"]:
        """See `Batch`."""
        self._count = len(tasks)
        vector = self._grown(self._count)
        spare = vector.num_envs - self._count
        vector.set_attr("task_parameter", [*tasks, *[None] * spare])
        obs, _ = vector.reset(seed=[*seeds, *[0] * spare])
        return np.array(obs)[: self._count]

    def step(self, act: Float[np.ndarray, "n act"]) -> Stepped:
        """See `Batch`."""
        vector = self._grown(self._count)
        whole = np.zeros((vector.num_envs, *(self.action_space.shape or ())), act.dtype)
        whole[: self._count] = act.reshape(self._count, *whole.shape[1:])
        obs, reward, _, _, info = vector.step(whole)
        ended, success = np.asarray(info["ended"], bool), np.asarray(info["success"], float)
        out = (np.array(obs), np.asarray(reward, float), ended, success)
        return Stepped(*(x[: self._count] for x in out))

    def _grown(self, count: int) -> SyncVectorEnv | AsyncVectorEnv:
        """At least so many environments, as one vector."""
        vector = self._vector
        if vector is None or vector.num_envs < count:
            if self._apart:
                if vector is not None:
                    vector.close()
                vector = AsyncVectorEnv([self._make] * count, context="spawn")
            else:
                self._envs += [self._make() for _ in range(count - len(self._envs))]
                vector = SyncVectorEnv([lambda env=env: env for env in self._envs])
            self._vector = vector
        return vector

    def close(self) -> None:
        """Close the environments and end their processes."""
        if self._apart and self._vector is not None:
            self._vector.close()
        for env in self._envs:
            env.close()


class GymnasiumWorld:
    """Runs a `GymnasiumFamily`."""

    def __init__(
        self,
        family: GymnasiumFamily,
        environments: int | None = None,
        processes: int = 0,
        batch: Batch | None = None,
    ):
        """Args:
            family: the family.
            environments: at most so many are made, and run side by side in this process; by
                default 64, and no more than there are episodes. Episodes beyond that come after.
            processes: instead, one environment in each of so many processes; worth it where a
                step takes a millisecond or more. They are started by spawning, so a script must
                guard its main part by `if __name__ == "__main__"`.
            batch: instead of both, what steps them, at most `environments` at once.

        Raises:
            GmpsError: the spaces do not fit the family's spec, or a count is too small.
        """
        if environments is None:
            environments = ENVIRONMENTS if batch is None else batch.width
        if environments < 1 or processes < 0:
            raise GmpsError(
                f"environments is {environments} and processes {processes}; give at least 1 and 0."
            )
        self.family: TaskFamily = family
        env = family.make_env()
        try:
            spaces = _checked_spaces(family, env)
        except GmpsError:
            env.close()
            raise
        self._low, self._high = spaces.action.low.ravel(), spaces.action.high.ravel()
        if batch is not None:
            env.close()
        self._batch = batch or VectorBatch(family, spaces, env, environments, processes)
        self._width = min(self._batch.width, processes or environments)
        # Whether success is still waited for that the environment alone can tell.
        own = type(family).outcome is not GymnasiumFamily.outcome
        self._untold = family.reports_success and not own

    @property
    def action_bounds(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The environment's actions that -1 and 1 stand for."""
        return tuple(map(float, self._low)), tuple(map(float, self._high))

    def rollout(
        self, actor: Actor, params: Params, tasks: Task, episodes: int, key: Key[Array, ""] | Draws
    ) -> Rollout:
        """See `gmps.worlds.base.World.rollout`.

        Raises:
            GmpsError: starts are given as `Draws`: a Gymnasium environment draws its own.
        """
        if isinstance(key, Draws):
            raise GmpsError(
                f"{self.family.name}: a Gymnasium environment cannot be started in a given state; "
                "give a key."
            )
        batch = check_batch(self.family, params, tasks, episodes) * episodes
        seed_key, noise_key = jax.random.split(key)
        first = int(jax.random.randint(seed_key, (), 0, 2**30))
        noise = ep.draw_noise(actor, self.family.spec.horizon, batch, episodes, noise_key)
        record = _blank(self.family, np.asarray(noise[0, :, : actor.held_noise]))
        for start in range(0, batch, self._width):
            rows = np.arange(start, min(start + self._width, batch))
            self._play(actor, params, tasks, episodes, first, np.asarray(noise), rows, record)
        if self._untold:
            self._untold = False
            warnings.warn(
                f"{self.family.name}: no info of the environment told success or is_success, which "
                "counts as failure; if it never does, set reports_success = False in the family.",
                stacklevel=2,
            )
        return ep.finish(self.family, episodes, tasks, record)

    def _play(
        self,
        actor: Actor,
        params: Params,
        tasks: Task,
        episodes: int,
        first: int,
        noise: Float[np.ndarray, "t b noise"],
        rows: Int[np.ndarray, " row"],
        record: ep.Recording,
    ) -> None:
        """Fill some rows of the recording."""
        task_of = rows // episodes
        numbers = jax.device_get(tasks)
        own = params if isinstance(params, Shared) else tree_index(params, jnp.asarray(task_of))
        here = tree_index(tasks, jnp.asarray(task_of))
        over, size = np.zeros(len(rows), bool), self.family.spec.obs_size

        def require(numbers: np.ndarray, what: str, t: int, hint: str) -> None:
            """Whatever is not finite in an episode that goes on ends the rollout at once."""
            wrong = ~np.isfinite(numbers).reshape(len(rows), -1).all(1) & ~over
            if wrong.any():
                row = rows[wrong.argmax()]
                raise ep.not_finite(self.family, what, row // episodes, row % episodes, t, hint)

        obs = self._batch.start(
            [tree_index(numbers, i) for i in task_of], [first + int(row) for row in rows]
        )
        flat = np.asarray(obs, np.float32)
        require(flat, "the observation after reset is not finite", 0, "look at reset")
        record.states[0, rows, :size] = record.obs[0, rows] = flat
        mind, memory = actor if isinstance(actor, RememberingActor) else None, None
        if mind is not None:
            memory = _begin(mind, own, len(rows))
        for t in range(len(noise)):
            if mind is None:
                chosen = _act(actor, own, here, flat, noise[t, rows])
            else:
                memory, *chosen = _step(mind, own, memory, flat, noise[t, rows])
            act, log_prob = jax.device_get(chosen)
            # Before the environment is moved by it.
            require(act, "the actor's action is not finite", t, ep.POLICY_HINT)
            record.act[t, rows], record.log_prob[t, rows] = act, log_prob
            obs, reward, ended, success = self._batch.step(self._scaled(act))
            flat, reward = np.asarray(obs, np.float32), np.asarray(reward, np.float32)
            require(flat, "the observation after the step is not finite", t, "look at step")
            require(reward, "the reward is not finite", t, "look at step")
            record.obs[t + 1, rows] = record.states[t + 1, rows, :size] = flat
            record.states[t + 1, rows, size] = over = ended
            record.sensors[t + 1, rows, 0] = reward
            record.sensors[t + 1, rows, 1] = np.nan_to_num(success)
            self._untold = self._untold and bool(np.isnan(success).all())
            if mind is not None:
                memory = _told(mind, memory, act, reward)
            if over.all():
                break

    def _scaled(self, act: Float[np.ndarray, "b act"]) -> np.ndarray:
        # An episode that is over is not acted in, whatever its action is.
        unit = (np.clip(np.nan_to_num(act), -1, 1) + 1) / 2
        scaled = self._low + unit * (self._high - self._low)
        return scaled.astype(self._batch.action_space.dtype)

    def close(self) -> None:
        """Close the environments and end their processes."""
        self._batch.close()


@functools.partial(jax.jit, static_argnums=0)
def _act(actor: Actor, params: Params, tasks: Task, obs: Any, noise: Any) -> Any:
    if isinstance(params, Shared):
        return jax.vmap(actor, (None, 0, 0, 0))(params.params, tasks, obs, noise)
    return jax.vmap(actor)(params, tasks, obs, noise)


@functools.partial(jax.jit, static_argnums=(0, 2))
def _begin(actor: RememberingActor, params: Params, rows: int) -> Any:
    return jax.tree.map(lambda x: x[:, 0], ep.begin_batch(actor, params, rows, 1))


@functools.partial(jax.jit, static_argnums=0)
def _step(actor: RememberingActor, params: Params, memory: Any, obs: Any, noise: Any) -> Any:
    if isinstance(params, Shared):
        return jax.vmap(actor.step, (None, 0, 0, 0))(params.params, memory, obs, noise)
    return jax.vmap(actor.step)(params, memory, obs, noise)


@functools.partial(jax.jit, static_argnums=0)
def _told(actor: RememberingActor, memory: Any, act: Any, reward: Any) -> Any:
    return jax.vmap(actor.told)(memory, act, reward)


def _blank(family: TaskFamily, held: Float[np.ndarray, "b held"]) -> ep.Recording:
    """A recording of episodes that have not begun."""
    spec, steps, batch = family.spec, family.spec.horizon, len(held)
    return ep.Recording(
        states=np.zeros((steps + 1, batch, spec.obs_size + 1), np.float32),
        sensors=np.zeros((steps + 1, batch, 2), np.float32),
        obs=np.zeros((steps + 1, batch, spec.obs_size), np.float32),
        act=np.zeros((steps, batch, spec.act_size), np.float32),
        log_prob=np.zeros((steps, batch), np.float32),
        diverged=np.zeros((steps, batch), bool),
        held=held,
    )


def _checked_spaces(family: GymnasiumFamily, env: gymnasium.Env) -> Spaces:
    """The spaces of an environment, if they fit the family.

    Raises:
        GmpsError: they do not.
    """
    seen, acts, name = env.observation_space, env.action_space, family.name
    spaces = gymnasium.spaces
    keys, shown = None, {"": seen}
    if isinstance(seen, spaces.Dict):
        shown = {k: v for k, v in seen.spaces.items() if k not in family.hidden_observations}
        keys = tuple(shown)
        if GOAL_KEY in shown:
            raise GmpsError(
                f"{name}: the observation has {GOAL_KEY!r}, which tells the learner its task; hide "
                f"it by hidden_observations = ({GOAL_KEY!r},)."
            )
    for key, space in shown.items():
        if not isinstance(space, spaces.Box):
            part = f" {key!r}" if key else ""
            raise GmpsError(
                f"{name}: the observation space{part} is {type(space).__name__}, not Box; wrap the "
                "environment so that it gives numbers."
            )
    if not isinstance(acts, spaces.Box) or not acts.is_bounded():
        raise GmpsError(
            f"{name}: the action space is {acts}, but actions in [-1, 1] are scaled to a bounded "
            "Box; wrap the environment."
        )
    sizes = [int(np.prod(space.shape or ())) for space in shown.values()]
    for what, field, found, size in (
        ("observations", "obs_size", sum(sizes), family.spec.obs_size),
        ("actions", "act_size", int(np.prod(acts.shape)), family.spec.act_size),
    ):
        if found != size:
            raise GmpsError(
                f"{name}: the environment's {what} have {found} numbers, but spec.{field} is "
                f"{size}; make them agree."
            )
    return Spaces(seen, keys, acts)
