"""Worlds of Gymnasium environments, stepped by Gymnasium's vector environments or a family's own.

Episodes of all tasks run side by side, as many as there are environments; each environment is put
into its episode's task before it is reset. Every episode has a seed of its own, so results do not
depend on how many environments or processes share the work.
"""

import functools
from collections.abc import Sequence
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from jaxtyping import Array, Float, Int, Key

from gmps.core.actors import Actor
from gmps.core.types import Params, Rollout, Shared, Task, tree_index
from gmps.errors import GmpsError
from gmps.sim import episodes as ep
from gmps.tasks.base import TaskFamily
from gmps.tasks.gymnasium_family import Batch, GymnasiumFamily, Stepped
from gmps.worlds.base import Draws
from gmps.worlds.batch import check_batch

#: Environments that run side by side in this process.
ENVIRONMENTS = 64


class TaskEnv(gymnasium.Wrapper):
    """Sets the task before each reset, and rests once its episode is over.

    It reports the end in its info, not to the vector environment, which would start a new episode.
    """

    def __init__(self, family: GymnasiumFamily):
        super().__init__(family.make_env())
        self.family = family
        self.task_parameter: Any = None
        self._last: Any = None
        self._steps = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Set the task, then reset."""
        self._steps, self._last = 0, None
        try:
            self.family.set_task(self.env, self.task_parameter)
            obs, _ = self.env.reset(seed=seed, options=options)
        except Exception as error:
            raise self._failed("setting the task and resetting", error) from error
        return obs, {}

    def step(self, action: Any) -> Any:
        """Step, or rest."""
        if self._last is not None:
            return self._last, 0.0, False, False, {}
        try:
            obs, reward, terminated, truncated, info = self.env.step(action)
        except Exception as error:
            raise self._failed(f"step {self._steps}", error) from error
        self._steps += 1
        success = float(info.get("success", info.get("is_success", 0.0)))
        if truncated and not terminated and self._steps < self.family.spec.horizon:
            raise GmpsError(
                f"{self.family.name}: the environment cut its episode after {self._steps} steps, "
                f"but spec.horizon is {self.family.spec.horizon}; make them agree."
            )
        if terminated:
            self._last = obs
        return obs, reward, False, False, {"ended": bool(terminated), "success": success}

    def _failed(self, what: str, error: Exception) -> RuntimeError:
        return RuntimeError(
            f"{self.family.name}: {what} failed in task {self.task_parameter}: "
            f"{type(error).__name__}: {error}"
        )


class VectorBatch:
    """Gymnasium's vector environments as a `Batch`."""

    def __init__(self, family: GymnasiumFamily, environments: int, processes: int):
        makers = [functools.partial(TaskEnv, family)] * (processes or environments)
        self._vector = (
            AsyncVectorEnv(makers, context="spawn") if processes else SyncVectorEnv(makers)
        )
        self.width = self._vector.num_envs
        self.action_space = self._vector.single_action_space

    def start(self, tasks: Sequence[Any], seeds: Sequence[int]) -> Float[np.ndarray, "n obs"]:
        """See `Batch`. Spare environments repeat the last episode."""
        self._count, spare = len(tasks), self.width - len(tasks)
        self._vector.set_attr("task_parameter", [*tasks, *[tasks[-1]] * spare])
        obs, _ = self._vector.reset(seed=[*seeds, *[seeds[-1]] * spare])
        self._ended = np.zeros(self.width, bool)
        return self._flat(obs)

    def step(self, act: Float[np.ndarray, "n act"]) -> Stepped:
        """See `Batch`."""
        shape = self.action_space.shape or ()
        whole = np.concatenate([act, np.repeat(act[-1:], self.width - len(act), 0)])
        obs, reward, _, _, info = self._vector.step(whole.reshape(self.width, *shape))
        success = np.zeros(self.width)
        if "ended" in info:
            self._ended = self._ended | np.asarray(info["ended"], bool)
            success = np.asarray(info["success"], float)
        mine = (np.asarray(reward, float), self._ended, success)
        return Stepped(self._flat(obs), *(x[: self._count] for x in mine))

    def _flat(self, obs: Any) -> Float[np.ndarray, "n obs"]:
        return np.asarray(obs).reshape(self.width, -1)[: self._count]

    def close(self) -> None:
        """Close the environments and end their processes."""
        self._vector.close()


class GymnasiumWorld:
    """Runs a `GymnasiumFamily`."""

    def __init__(
        self,
        family: GymnasiumFamily,
        environments: int = ENVIRONMENTS,
        processes: int = 0,
        batch: Batch | None = None,
    ):
        """Args:
            family: the family.
            environments: how many run side by side in this process.
            processes: instead, one environment in each of so many processes; worth it where a
                step takes a millisecond or more. They are started by spawning, so a script must
                guard its main part by `if __name__ == "__main__"`.
            batch: instead of both, what steps them.

        Raises:
            GmpsError: the spaces do not fit the family's spec, or a count is too small.
        """
        if environments < 1 or processes < 0:
            raise GmpsError(
                f"environments is {environments} and processes {processes}; give at least 1 and 0."
            )
        self.family: TaskFamily = family
        self._low, self._high = _check_spaces(family)
        self._batch = batch or VectorBatch(family, environments, processes)

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
        batch = check_batch(params, tasks, episodes) * episodes
        seed_key, noise_key = jax.random.split(key)
        first = int(jax.random.randint(seed_key, (), 0, 2**30))
        noise = ep.draw_noise(actor, self.family.spec.horizon, batch, episodes, noise_key)
        record = _blank(self.family, np.asarray(noise[0, :, : actor.held_noise]))
        width = self._batch.width
        for start in range(0, batch, width):
            rows = np.arange(start, min(start + width, batch))
            self._play(actor, params, tasks, episodes, first, np.asarray(noise), rows, record)
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
        obs = self._batch.start(
            [tree_index(numbers, i) for i in task_of], [first + int(row) for row in rows]
        )
        flat = np.asarray(obs, np.float32)
        record.states[0, rows, :size] = record.obs[0, rows] = flat
        for t in range(len(noise)):
            act, log_prob = jax.device_get(_act(actor, own, here, flat, noise[t, rows]))
            record.act[t, rows], record.log_prob[t, rows] = act, log_prob
            obs, reward, ended, success = self._batch.step(self._scaled(act))
            flat, reward = np.asarray(obs, np.float32), np.asarray(reward, np.float32)
            finite = np.isfinite(flat).all(1) & np.isfinite(reward)
            record.diverged[t, rows] = ~finite & ~over
            flat = np.where(finite[:, None], flat, 0)
            record.obs[t + 1, rows] = record.states[t + 1, rows, :size] = flat
            record.states[t + 1, rows, size] = over = ended
            record.sensors[t + 1, rows, 0] = reward
            record.sensors[t + 1, rows, 1] = success

    def _scaled(self, act: Float[np.ndarray, "b act"]) -> np.ndarray:
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


def _check_spaces(family: GymnasiumFamily) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the actions, flattened, after a look at the spaces."""
    env = family.make_env()
    seen, acts, name = env.observation_space, env.action_space, family.name
    env.close()
    box = gymnasium.spaces.Box
    if not isinstance(seen, box):
        raise GmpsError(
            f"{name}: the observation space is {type(seen).__name__}, not Box; wrap the "
            "environment in gymnasium.wrappers.FlattenObservation."
        )
    if not isinstance(acts, box) or not acts.is_bounded():
        raise GmpsError(
            f"{name}: the action space is {acts}, but actions in [-1, 1] are scaled to a bounded "
            "Box; wrap the environment."
        )
    for what, space, field, size in (
        ("observations", seen, "obs_size", family.spec.obs_size),
        ("actions", acts, "act_size", family.spec.act_size),
    ):
        if int(np.prod(space.shape)) != size:
            raise GmpsError(
                f"{name}: the environment's {what} have {int(np.prod(space.shape))} numbers, but "
                f"spec.{field} is {size}; make them agree."
            )
    return acts.low.ravel(), acts.high.ravel()
