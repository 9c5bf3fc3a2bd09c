"""One attempt at a task: explore and adapt step by step, and play what came of it."""

from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, UInt8

from gmps.core.types import Rollout, Task
from gmps.evaluation.conditions import Kind, condition_kind, condition_short
from gmps.tasks.base import State
from gmps.view.learner import Adapts, Check, Latents, Learner, frames_of, never
from gmps.view.stage import Poses

#: Conditions beside `before` and `after`, in the order in which they are offered.
CONTROLS = ("wrong_task", "random_update", "plain", "expert")
#: Streams of an attempt's key beside those of its steps.
_PLAY, _RANDOM, _WRONG, _PLAIN = 1_000_000, 1_000_001, 1_000_002, 1_000_003


class Options(NamedTuple):
    """What a visitor sets for an attempt."""

    #: Exploring episodes of a step.
    episodes: int
    #: Whether actions that are played have noise.
    noise: bool = False
    #: Which draw of latents and noise, from 0.
    draw: int = 0


class Explored(NamedTuple):
    """What is to be seen of the exploring episodes of a step."""

    paths: Float[np.ndarray, "ep t1 2"]
    returns: Float[np.ndarray, " ep"]
    latents: Latents | None


class Played(NamedTuple):
    """One episode, to be played."""

    #: The condition, such as `before` or `after_1`.
    name: str
    #: In words, with the run's name where there are several.
    label: str
    kind: Kind
    poses: Poses
    #: `return` and the family's outcomes.
    figures: dict[str, float]
    #: The main path in the plane, m.
    path: Float[np.ndarray, "t1 2"]
    #: The simulator's states, leaves `(t + 1, ...)`.
    states: State
    #: The sensor data of these states.
    sensors: Float[np.ndarray, "t1 sensor"]
    frames: UInt8[np.ndarray, "t height width 3"] | None = None
    points: Float[np.ndarray, "t point 2"] | None = None


class Attempt:
    """A learner at a task. Everything random in it is a function of `options.draw`.

    Args:
        learner: the policy that adapts.
        task: the task.
        options: how many episodes, which draw, whether with noise.
        titled: whether labels name the learner.
    """

    def __init__(self, learner: Learner, task: Task, options: Options, titled: bool = False):
        self.learner, self.task, self.options = learner, task, options
        self._titled = titled
        self._chain: list[Any] = [learner.start()]
        self._key = jax.random.key(options.draw)
        self.explored: list[Explored] = []

    @property
    def steps(self) -> int:
        """Adaptation steps that were taken."""
        return len(self._chain) - 1

    def advance(self, check: Check = never) -> Explored:
        """One more step."""
        before = self._chain[-1]
        key = jax.random.fold_in(self._key, self.steps)
        step = self.learner.step(before, self.task, self.options.episodes, key, check)
        trajectories = step.rollout.trajectories
        explored = Explored(
            paths=_main_path(step.rollout),
            returns=np.asarray(trajectories.returns)[0],
            latents=self.learner.latents(before, step),
        )
        self._chain.append(step.policies)
        self.explored.append(explored)
        return explored

    def play(self, name: str, check: Check = never) -> Played:
        """An episode of a condition: `before`, `after` or one of `CONTROLS`."""
        check()
        key, noise = jax.random.fold_in(self._key, _PLAY), self.options.noise
        learner, policies = self.learner, None
        if name == "expert":
            rollout = learner.play_expert(self.task, key)
        elif name == "plain":
            plain = learner.plain()
            policies = self._adapted(plain, self.task, _PLAIN, check)
            rollout = plain.play(policies, self.task, key, noise)
        else:
            policies = self._policies(name, check)
            rollout = learner.play(policies, self.task, key, noise)
        return self._played(name, rollout, policies)

    def _policies(self, name: str, check: Check) -> Any:
        if name == "before":
            return self._chain[0]
        if name == "after":
            return self._chain[-1]
        if name == "wrong_task":
            wrong = self.learner.goals.wrong(self.task)
            return self._adapted(self.learner, wrong, _WRONG, check)
        assert name == "random_update"
        key = jax.random.fold_in(self._key, _RANDOM)
        return self.learner.moved_at_random(self._chain[0], self._chain[-1], key)

    def _adapted(self, learner: Adapts, task: Task, stream: int, check: Check) -> Any:
        """Policies of this or another learner after as many steps, in this task or another."""
        policies = learner.start()
        key = jax.random.fold_in(self._key, stream)
        for i in range(self.steps):
            episodes = self.options.episodes
            step = learner.step(policies, task, episodes, jax.random.fold_in(key, i), check)
            policies = step.policies
        return policies

    def _played(self, name: str, rollout: Rollout, policies: Any) -> Played:
        called = f"after_{self.steps}" if name == "after" else name
        label = condition_short(called).replace("step(s)", "step" + "s" * (self.steps != 1))
        if name == "plain":
            label = "plain control"
        if self._titled:
            label = f"{self.learner.name}: {label}"
        frames = frames_of(rollout.trajectories)
        points = None
        if frames is not None and policies is not None:
            points = self.learner.points(policies, frames)
        outcome = {k: float(np.asarray(x)[0, 0]) for k, x in rollout.outcome.items()}
        total = float(np.asarray(rollout.trajectories.returns)[0, 0])
        return Played(
            name=called,
            label=label,
            kind=condition_kind(called),
            poses=self.learner.stage.poses(self.task, rollout),
            figures={"return": total, **outcome},
            path=_main_path(rollout)[0],
            states=jax.tree.map(lambda x: np.asarray(x)[0, 0], rollout.states),
            sensors=np.asarray(rollout.sensors)[0, 0],
            frames=frames,
            points=points,
        )


def _main_path(rollout: Rollout) -> Float[np.ndarray, "ep t1 2"]:
    """The path that matters most, which families name last, of the one task's episodes."""
    *_, path = rollout.paths.values()
    return np.asarray(path)[0]
