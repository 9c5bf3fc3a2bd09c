"""One evaluator for every method: before and after adaptation, beside the controls.

Each task is adapted to `repeats` times from scratch, each time from fresh episodes, and the figure
of one repeat is the mean of its evaluation episodes. All conditions act with the standard
deviation of the policy before the update, so no update looks good by acting with less noise. A
latent that an episode draws is no such noise: some methods adapt by inferring it.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt8

from gmps.core.policy import Policy
from gmps.core.types import Rollout, Task, env_steps, stack, task_count, tree_index
from gmps.errors import GmpsError
from gmps.evaluation.conditions import after
from gmps.evaluation.scores import MODES, Judged, Mode, TaskLevels, TaskRow
from gmps.evaluation.summaries import task_score
from gmps.experts.base import Controller, ExpertActor
from gmps.methods.adaptation import adaptation
from gmps.methods.base import Method, MethodPolicy, MethodState, policy_actor
from gmps.methods.best_episode import ImitatedLatent
from gmps.methods.plain import PlainControl
from gmps.settings import Settings, seed_setting, setting
from gmps.worlds.base import World

#: Conditions whose frames a report shows, where a policy sees.
SHOWN = ("before", after(1))


@dataclass(frozen=True)
class EvaluationConfig(Settings):
    """How a policy is judged."""

    episodes: int = setting(20, at_least=1)
    """Episodes of own experience for each adaptation step."""
    steps: int = setting(3, at_least=1)
    """Adaptation steps, each from fresh episodes."""
    repeats: int = setting(5, at_least=1)
    """Independent adaptations to each task."""
    evaluation_episodes: int = setting(2, at_least=1)
    """Episodes that measure each adapted policy, in each noise mode."""
    tasks: int | None = setting(
        None, at_least=2, because="the wrong-task control takes another task"
    )
    """Tasks of each split, evenly chosen; all by default."""
    validation: bool = setting(False, added=True)
    """Judge on the validation tasks too, which settings are chosen by."""
    seed: int = seed_setting()
    """Seed of the evaluation's own randomness."""


class Levels(NamedTuple):
    """Returns that scale the normalised score, for each task of a split."""

    #: Score 0: an untrained policy.
    untrained: Float[np.ndarray, " task"]
    #: Score 1: the expert.
    expert: Float[np.ndarray, " task"]
    #: Where the expert's level comes from, in words.
    source: str
    #: The demonstrators' level, between their tasks interpolated; None where nobody demonstrated.
    demonstrators: Float[np.ndarray, " task"] | None = None


class Measured(NamedTuple):
    """Figures of one condition, `(task, repeat)`: `return` and the family's outcomes."""

    figures: dict[str, Float[np.ndarray, "task repeat"]]
    #: Paths of each repeat's first episode.
    paths: dict[str, Float[np.ndarray, "task repeat t1 2"]]
    #: What the camera showed in the first repeat's first episode, where there is a camera.
    frames: UInt8[np.ndarray, "task t height width 3"] | None = None


class SplitResult(NamedTuple):
    """All conditions of one split: `conditions[mode][name]`."""

    tasks: Task
    levels: Levels
    conditions: dict[Mode, dict[str, Measured]]
    #: Environment steps that the evaluation took.
    env_steps: int


@dataclass
class Evaluator:
    """Judges a method on tasks of a world; counts the environment steps it takes."""

    world: World
    config: EvaluationConfig
    env_steps: int = 0

    def rollouts(self, *, plain: bool = True, imitated: bool = False, expert: bool) -> int:
        """Rollouts that `split` takes, with each of its controls or without, with an expert to run
        or without."""
        steps = self.config.steps
        several = plain and steps > 1
        # Before, after each step, wrong task, random update, zero step.
        conditions = steps + 4 + 2 * plain + several + imitated + expert
        adapting = steps + (steps if several else plain) + imitated
        return adapting + len(MODES) * conditions + 1

    def split(
        self,
        method: Method,
        state: MethodState,
        tasks: Task,
        key: Key[Array, ""],
        *,
        untrained: Policy,
        controller: Controller | None,
        known: Levels | None,
        plain: PlainControl | None,
        imitated: ImitatedLatent | None = None,
    ) -> SplitResult:
        """Run every condition on the stacked tasks.

        `imitated` is the control without an outer loop: see `gmps.methods.best_episode`.

        The expert's level is the controller's own return, or `known` where there is none. The
        demonstrators' is always that of `known`.

        Raises:
            GmpsError: fewer than two tasks (there is no wrong task to adapt to), or neither a
                controller nor a known level.
        """
        n = task_count(tasks)
        if n < 2:
            raise GmpsError(
                f"The evaluation got {n} task; the wrong-task control needs at least 2: "
                "choose more tasks."
            )
        if controller is None and known is None:
            raise GmpsError("The evaluation needs an expert or its level on each task.")
        start = self.env_steps
        key_adapt, key_wrong, key_random, key_plain, key_measure, key_level = jax.random.split(
            key, 6
        )
        policy = method.policy(state)
        std = policy.action_std
        keys = jax.random.split(key_adapt, self.config.steps)
        chain = self._adapted(method, state, stack(policy, n), tasks, keys)
        before, first = chain[0], chain[1]
        wrong = tree_index(first, self._repeated_index(_derangement(key_wrong, n)))
        own = {
            "before": before,
            **{after(j): p for j, p in enumerate(chain[1:], start=1)},
            "wrong_task": wrong,
            "random_update": random_update(before, first, key_random),
        }
        own = {name: p.with_std(std) for name, p in own.items()}
        controls = {}
        if plain is not None:
            found = self._plain_steps(plain, tasks, key_plain)
            controls = {name: p.with_std(std) for name, p in found.items()}
        if imitated is not None:
            alone = stack(imitated.method.policy(imitated.state), n)
            key_alone = jax.random.fold_in(key_plain, self.config.steps)
            *_, best = self._adapted(*imitated, alone, tasks, key_alone[None])
            own["best_episode"] = best.with_std(std)
        measured: dict[Mode, dict[str, Measured]] = {}
        for i, mode in enumerate(MODES):
            stochastic = mode == "stochastic"
            judge = method.actor(stochastic)
            rows = {name: self._run(judge, p, tasks, key_measure) for name, p in own.items()}
            for name, p in controls.items():
                rows[name] = self._run(
                    policy_actor(self.world.family, stochastic), p, tasks, key_measure
                )
            # A step of size zero leaves the policy as it was: this shows the evaluation noise.
            fresh = jax.random.fold_in(key_measure, i + 1)
            rows["zero_step"] = self._run(judge, before, tasks, fresh)
            if controller is not None:
                rows["expert"] = self._run(
                    ExpertActor(controller, self.world.family.spec.act_size),
                    jnp.broadcast_to(std * stochastic, (n * self.config.repeats, *std.shape)),
                    tasks,
                    key_measure,
                )
            measured[mode] = rows
        if controller is not None:
            expert = measured["deterministic"]["expert"].figures["return"].mean(1)
            source = "the expert's own episodes in the same tasks, without action noise"
        else:
            assert known is not None
            expert, source = known.expert, known.source
        zeros = stack(untrained, n * self.config.repeats)
        zero = self._run(policy_actor(self.world.family), zeros, tasks, key_level)
        shown = None if known is None else known.demonstrators
        levels = Levels(zero.figures["return"].mean(1), expert, source, shown)
        return SplitResult(tasks, levels, measured, self.env_steps - start)

    def _plain_steps(self, plain: PlainControl, tasks: Task, key: Key[Array, ""]) -> dict[str, Any]:
        """The plain control's policies: before, after one step, and after as many as the method
        takes."""
        cloned = stack(plain.state.policy, task_count(tasks))
        # The first key alone is that of one step, however many there are.
        more = [jax.random.fold_in(key, i) for i in range(1, self.config.steps)]
        ready = self._adapted(plain.method, plain.state, cloned, tasks, jnp.stack([key, *more]))
        found = {"plain_before": ready[0], "plain": ready[1]}
        return found | {"plain_all": ready[-1]} if more else found

    def _adapted(
        self,
        method: Method,
        state: MethodState,
        policies: MethodPolicy,
        tasks: Task,
        keys: Key[Array, " step"],
    ) -> list[Any]:
        """The policies before and after each step, one for each task and repeat."""
        chain = [self._repeat(policies)]
        for step in adaptation(
            self.world,
            method,
            state,
            chain[0],
            self._repeat(tasks),
            episodes=self.config.episodes,
            keys=keys,
        ):
            self.env_steps += env_steps(step.data)
            chain.append(step.policies)
        return chain

    def _run(self, actor: Any, params: Any, tasks: Task, key: Key[Array, ""]) -> Measured:
        episodes = self.config.evaluation_episodes
        roll = self.world.rollout(actor, params, self._repeat(tasks), episodes, key)
        self.env_steps += env_steps(roll.trajectories)
        return self._figures(roll)

    def _figures(self, roll: Rollout) -> Measured:
        repeats = self.config.repeats
        raw = {"return": roll.trajectories.returns, **roll.outcome}
        figures = {
            name: np.asarray(x, np.float64).reshape(-1, repeats, x.shape[-1]).mean(-1)
            for name, x in raw.items()
        }
        paths = {
            name: np.asarray(x)[:, 0].reshape(-1, repeats, *x.shape[2:])
            for name, x in roll.paths.items()
        }
        frames = roll.trajectories.frames
        first = None if frames is None else frames[::repeats, 0].copy()
        return Measured(figures, paths, first)

    def _repeat(self, tree: Any) -> Any:
        """Each task's entry `repeats` times, along the task axis."""
        return jax.tree.map(lambda x: jnp.repeat(x, self.config.repeats, axis=0), tree)

    def _repeated_index(self, index: Array) -> Array:
        repeats = self.config.repeats
        return (index[:, None] * repeats + jnp.arange(repeats)).reshape(-1)


def _derangement(key: Key[Array, ""], n: int) -> Array:
    """A permutation of n >= 2 tasks, one random cycle, so that no task keeps its own place."""
    order = jax.random.permutation(key, n)
    return jnp.zeros(n, order.dtype).at[order].set(jnp.roll(order, 1))


def random_update(before: Any, after: Any, key: Key[Array, ""]) -> Any:
    """Stacked policies moved in random directions, with the norm of the real update in each
    leaf."""
    leaves, treedef = jax.tree.flatten(before)
    keys = jax.random.split(key, len(leaves))

    def one_leaf(b: Array, a: Array, key: Key[Array, ""]) -> Array:
        axes = tuple(range(1, b.ndim))
        direction = jax.random.normal(key, b.shape, b.dtype)
        norm = jnp.sqrt(jnp.sum((a - b) ** 2, axes, keepdims=True))
        size = jnp.sqrt(jnp.sum(direction**2, axes, keepdims=True))
        return b + direction * norm / jnp.maximum(size, jnp.finfo(b.dtype).tiny)

    updated = [one_leaf(*x) for x in zip(leaves, jax.tree.leaves(after), keys, strict=True)]
    return jax.tree.unflatten(treedef, updated)


def _normalised(measured: Measured, levels: Levels) -> Float[np.ndarray, "task repeat"]:
    """0 = untrained, 1 = expert, for each task."""
    span = levels.expert - levels.untrained
    return (measured.figures["return"] - levels.untrained[:, None]) / span[:, None]


def task_rows(result: SplitResult, split: Judged, words: list[str]) -> list[TaskRow]:
    """The rows of a split's tasks, which are called `words`."""
    return [_task_row(result, split, i, text) for i, text in enumerate(words)]


def _task_row(result: SplitResult, split: Judged, i: int, text: str) -> TaskRow:
    levels = result.levels
    modes, scores = {}, {}
    for mode, conditions in result.conditions.items():
        modes[mode] = {
            name: {
                **{k: float(x[i].mean()) for k, x in measured.figures.items()},
                "normalised": float(_normalised(measured, levels)[i].mean()),
            }
            for name, measured in conditions.items()
        }
        scores[mode] = task_score(modes[mode])
    return TaskRow(
        split=split,
        index=i,
        task=text,
        levels=TaskLevels(
            float(levels.untrained[i]),
            float(levels.expert[i]),
            None if levels.demonstrators is None else float(levels.demonstrators[i]),
        ),
        **modes,
        adaptation_score=scores,
    )
