"""Some repeats of the evaluation: every condition, for each task as often as asked.

`gmps.evaluation.evaluate` says how many repeats there are.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, UInt8

from gmps.core.policy import Policy
from gmps.core.types import Task, env_steps, stack, task_count, tree_index
from gmps.evaluation.conditions import after
from gmps.evaluation.scores import MODES, Mode
from gmps.evaluation.settings import EvaluationConfig
from gmps.experts.base import Controller, ExpertActor
from gmps.methods.adaptation import adaptation
from gmps.methods.base import Method, MethodPolicy, MethodState, policy_actor
from gmps.methods.best_episode import ImitatedLatent
from gmps.methods.plain import PlainControl
from gmps.sim.episodes import normals
from gmps.worlds.base import World
from gmps.worlds.batch import distinct


class Measured(NamedTuple):
    """Figures of one condition, `(task, repeat)`: `return` and the family's outcomes."""

    figures: dict[str, Float[np.ndarray, "task repeat"]]
    #: Paths of each repeat's first episode.
    paths: dict[str, Float[np.ndarray, "task repeat t1 2"]]
    #: What the camera showed in the first repeat's first episode, where there is a camera.
    frames: UInt8[np.ndarray, "task t height width 3"] | None = None


@functools.partial(jax.jit, static_argnums=1)
def _each(tree: Any, count: int) -> Any:
    return jax.tree.map(lambda x: jnp.repeat(x, count, axis=0), tree)


#: Conditions by noise mode, and the untrained policy.
Part = tuple[dict[Mode, dict[str, Measured]], Measured]


@dataclass
class Repeats:
    """Some repeats of the evaluation of each of the stacked tasks, side by side."""

    world: World
    config: EvaluationConfig
    tasks: Task
    #: Of each task.
    count: int
    env_steps: int = 0

    @property
    def policies(self) -> int:
        """How many policies that is."""
        return task_count(self.tasks) * self.count

    def adapted(
        self,
        method: Method,
        state: MethodState,
        policies: MethodPolicy,
        keys: Key[Array, " step"],
    ) -> list[Any]:
        """The policies before and after each step, one for each task and repeat."""
        chain = [self.each(policies)]
        for step in adaptation(
            self.world,
            method,
            state,
            chain[0],
            self.each(self.tasks),
            episodes=self.config.episodes,
            keys=keys,
        ):
            self.env_steps += env_steps(step.data)
            chain.append(step.policies)
        return chain

    def run(self, actor: Any, params: Any, key: Key[Array, ""]) -> Measured:
        """The figures of policies, one for each task and repeat."""
        episodes = distinct(self.world.family, actor, self.config.evaluation_episodes)
        roll = self.world.rollout(actor, params, self.each(self.tasks), episodes, key)
        self.env_steps += env_steps(roll.trajectories)
        raw = {"return": roll.trajectories.returns, **roll.outcome}
        figures = {
            name: np.asarray(x, np.float64).reshape(-1, self.count, x.shape[-1]).mean(-1)
            for name, x in raw.items()
        }
        paths = {
            name: np.asarray(x)[:, 0].reshape(-1, self.count, *x.shape[2:])
            for name, x in roll.paths.items()
        }
        frames = roll.trajectories.frames
        first = None if frames is None else frames[:: self.count, 0].copy()
        return Measured(figures, paths, first)

    def each(self, tree: Any) -> Any:
        """Each task's entry for each of its repeats, along the task axis."""
        return _each(tree, self.count)

    def places(self, index: Int[np.ndarray, " task"]) -> Int[np.ndarray, " n"]:
        """The places of the repeats of the tasks in these places."""
        return (index[:, None] * self.count + np.arange(self.count)).reshape(-1)


def make_repeats(
    method: Method,
    state: MethodState,
    batch: Repeats,
    *,
    key: Key[Array, ""],
    untrained: Policy,
    controller: Controller | None,
    plain: PlainControl | None,
    imitated: ImitatedLatent | None,
) -> Part:
    """Every condition, in some repeats."""
    n, config, family = task_count(batch.tasks), batch.config, batch.world.family
    key_adapt, key_wrong, key_random, key_plain, key_measure, key_level = jax.random.split(key, 6)
    policy = method.policy(state)
    std = policy.action_std
    keys = jax.random.split(key_adapt, config.steps)
    chain = batch.adapted(method, state, stack(policy, n), keys)
    before, first = chain[0], chain[1]
    own = {
        "before": before,
        **{after(j): p for j, p in enumerate(chain[1:], start=1)},
        "wrong_task": tree_index(first, batch.places(_derangement(key_wrong, n))),
        "random_update": random_update(before, first, key_random),
    }
    own = {name: p.with_std(std) for name, p in own.items()}
    controls = {}
    if plain is not None:
        found = _plain_steps(plain, batch, key_plain)
        controls = {name: p.with_std(std) for name, p in found.items()}
    if imitated is not None:
        alone = stack(imitated.method.policy(imitated.state), n)
        key_alone = jax.random.fold_in(key_plain, config.steps)
        *_, best = batch.adapted(*imitated, alone, key_alone[None])
        own["best_episode"] = best.with_std(std)
    measured: dict[Mode, dict[str, Measured]] = {}
    for i, mode in enumerate(MODES):
        stochastic = mode == "stochastic"
        judge = method.actor(stochastic)
        rows = {name: batch.run(judge, p, key_measure) for name, p in own.items()}
        for name, p in controls.items():
            rows[name] = batch.run(policy_actor(family, stochastic), p, key_measure)
        # A step of size zero leaves the policy as it was: this shows the evaluation noise.
        rows["zero_step"] = batch.run(judge, before, jax.random.fold_in(key_measure, i + 1))
        if controller is not None:
            noise = jnp.broadcast_to(std * stochastic, (batch.policies, *std.shape))
            actor = ExpertActor(controller, family.spec.act_size)
            rows["expert"] = batch.run(actor, noise, key_measure)
        measured[mode] = rows
    zeros = stack(untrained, batch.policies)
    return measured, batch.run(policy_actor(family), zeros, key_level)


def _plain_steps(plain: PlainControl, batch: Repeats, key: Key[Array, ""]) -> dict[str, Any]:
    """The plain control's policies: before, after one step, and after as many as the method
    takes."""
    cloned = stack(plain.state.policy, task_count(batch.tasks))
    # The first key alone is that of one step, however many there are.
    more = [jax.random.fold_in(key, i) for i in range(1, batch.config.steps)]
    ready = batch.adapted(plain.method, plain.state, cloned, jnp.stack([key, *more]))
    found = {"plain_before": ready[0], "plain": ready[1]}
    return found | {"plain_all": ready[-1]} if more else found


def joined(parts: Sequence[Part]) -> Part:
    """Repeats that were made one after another, as one; frames are those of the first."""

    def one(rows: Sequence[Measured]) -> Measured:
        figures, paths = (
            {name: np.concatenate([part[name] for part in each], 1) for name in each[0]}
            for each in ([row.figures for row in rows], [row.paths for row in rows])
        )
        return Measured(figures, paths, rows[0].frames)

    conditions, zero = parts[0]
    every: dict[Mode, dict[str, Measured]] = {
        mode: {name: one([part[mode][name] for part, _ in parts]) for name in rows}
        for mode, rows in conditions.items()
    }
    return every, one([zero for _, zero in parts]) if len(parts) > 1 else zero


def _derangement(key: Key[Array, ""], n: int) -> Int[np.ndarray, " task"]:
    """A permutation of n >= 2 tasks, one random cycle, so that no task keeps its own place."""
    order = np.asarray(jax.random.permutation(key, n))
    found = np.empty_like(order)
    found[order] = np.roll(order, 1)
    return found


def random_update(before: Any, after: Any, key: Key[Array, ""]) -> Any:
    """Stacked policies moved in random directions, with the norm of the real update in each
    leaf."""
    size = sum(x.size for x in jax.tree.leaves(before))
    return _moved(before, after, normals(key, (size,)))


@jax.jit
def _moved(before: Any, after: Any, drawn: Float[Array, " n"]) -> Any:
    leaves, treedef = jax.tree.flatten(before)
    cuts = np.cumsum([x.size for x in leaves])
    directions = jnp.split(drawn, cuts[:-1])

    def one_leaf(b: Array, a: Array, drawn: Array) -> Array:
        axes = tuple(range(1, b.ndim))
        direction = drawn.reshape(b.shape).astype(b.dtype)
        norm = jnp.sqrt(jnp.sum((a - b) ** 2, axes, keepdims=True))
        size = jnp.sqrt(jnp.sum(direction**2, axes, keepdims=True))
        return b + direction * norm / jnp.maximum(size, jnp.finfo(b.dtype).tiny)

    updated = [one_leaf(*x) for x in zip(leaves, jax.tree.leaves(after), directions, strict=True)]
    return jax.tree.unflatten(treedef, updated)
