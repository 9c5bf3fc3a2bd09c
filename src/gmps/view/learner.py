"""What a page shows learning: a trained policy, the world that it acts in, and its controls."""

import functools
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt8

from gmps.core.actors import Actor
from gmps.core.encoders import Convolutions
from gmps.core.types import Params, Rollout, Task, Trajectories, concatenated, stack, tree_index
from gmps.data.aggregate import start_aggregate
from gmps.evaluation.repeats import random_update
from gmps.evaluation.scores import read_scores
from gmps.experts.base import ExpertActor, reporting_faults
from gmps.methods.adaptation import adaptation
from gmps.methods.base import Method, MethodState
from gmps.methods.plain import PlainControl, known_plain
from gmps.runs.run import Run
from gmps.tasks.base import TaskFamily
from gmps.training.config import TrainConfig
from gmps.training.experiment import Experiment, load_experiment
from gmps.training.judge import plain_key
from gmps.training.train import initial_key, restore
from gmps.view.goals import Goals
from gmps.view.stage import Stage, make_stage
from gmps.worlds.base import Draws, World

#: Called before each rollout; raises to stop the work.
Check = Callable[[], None]
Checkpoint = Literal["best", "latest"]


def never() -> None:
    """A check that lets everything go on."""


class Step(NamedTuple):
    """One adaptation step, with what is to be seen of it."""

    #: The exploring episodes of the one task.
    rollout: Rollout
    #: The policies after the step, leaves `(1, ...)`.
    policies: Any


class Latents(NamedTuple):
    """What the exploring episodes drew, and where the step went."""

    drawn: Float[np.ndarray, "ep z"]
    before: Float[np.ndarray, " z"]
    after: Float[np.ndarray, " z"]


class Adapts(Protocol):
    """What an attempt takes. Policies have a leading task axis of 1; keys say everything random."""

    def start(self) -> Any:
        """The policies before adaptation."""
        ...

    def step(
        self, policies: Any, task: Task, episodes: int, key: Key[Array, ""], check: Check = never
    ) -> Step:
        """Explore and adapt, once."""
        ...

    def play(self, policies: Any, task: Task, key: Key[Array, ""], noise: bool = False) -> Rollout:
        """One episode; without noise the means of latent and action act."""
        ...


class Learner(Adapts, Protocol):
    """A policy that adapts, with what is to be known of it."""

    #: What it is called beside others.
    name: str
    family: TaskFamily
    goals: Goals
    stage: Stage
    #: Episodes of a step in training, and the fewest that say anything.
    episodes: int
    least: int
    #: Rounds that the policy was trained for.
    round: int

    def metrics(self) -> list[dict[str, Any]]:
        """Figures of each round of its training, as far as they are known."""
        ...

    def reload(self) -> bool:
        """Take what training has saved since; whether there was anything."""
        ...

    def latents(self, before: Any, step: Step) -> Latents | None:
        """The latents of a step; None where policies have none."""
        ...

    def points(self, policies: Any, frames: UInt8[np.ndarray, "t height width 3"]) -> np.ndarray:
        """Rows and columns in [-1, 1] of what the convolutions find, `(t, point, 2)`."""
        ...

    def lacks(self) -> dict[str, str]:
        """The controls that it lacks, each with the reason, in words that follow its name."""
        ...

    def moved_at_random(self, before: Any, after: Any, key: Key[Array, ""]) -> Any:
        """The policies before, moved at random as far as they moved in truth."""
        ...

    def play_expert(self, task: Task, key: Key[Array, ""]) -> Rollout:
        """One episode of the expert, without noise."""
        ...

    def plain(self) -> "Adapts":
        """The plain control, made when it is first asked for, which takes seconds."""
        ...


class WatchedWorld(World):
    """A world that asks before each rollout whether to go on, and keeps the last one."""

    def __init__(self, world: World, check: Check):
        self.family: TaskFamily = world.family
        self._world, self._check = world, check
        self.last: Rollout | None = None

    def rollout(
        self, actor: Actor, params: Params, tasks: Task, episodes: int, key: Key[Array, ""] | Draws
    ) -> Rollout:
        """See `gmps.worlds.base.World.rollout`."""
        self._check()
        self.last = self._world.rollout(actor, params, tasks, episodes, key)
        return self.last


class RunLearner(Learner):
    """The policy of a run's checkpoint.

    Args:
        path: the run's folder.
        checkpoint: the best one, or the last one.
        family: in place of the run's own, as FILE.py:NAME.

    Raises:
        GmpsError: the run is damaged, or has no checkpoint yet.
    """

    def __init__(
        self, path: str | Path, checkpoint: Checkpoint = "best", family: str | None = None
    ):
        self.run = Run.open(path)
        self.name = self.run.path.name
        self._checkpoint: Checkpoint = checkpoint
        self.config = self.run.load_config(TrainConfig)
        with warnings.catch_warnings(record=True):  # an expert that is gone is said by `lacks`
            warnings.simplefilter("always")
            self.experiment: Experiment = load_experiment(
                self.run, self.config, family=family, ask=True
            )
        self.family = self.experiment.world.family
        tasks = self.experiment.tasks
        self.goals = Goals(self.family, tasks["train"], tasks["heldout"])
        both = concatenated(tasks["train"], tasks["heldout"])
        self.stage = make_stage(self.family, both)
        method: Method = self.experiment.method
        self.least = method.least_episodes
        self.episodes = max(self.config.evaluation.episodes, self.least)
        self.state, self.round = self._restored()

    def reload(self) -> bool:
        """Take the run's present checkpoint; whether it is another than before."""
        found = self.run.checkpoints
        newest = found.best() if self._checkpoint == "best" else found.latest()
        if newest is None or newest.step == self.round:
            return False
        self.state, self.round = self._restored()
        return True

    def metrics(self) -> list[dict[str, Any]]:
        """See `Learner.metrics`."""
        return self.run.metrics()

    def start(self) -> Any:
        """See `Adapts.start`."""
        return stack(self.experiment.method.policy(self.state), 1)

    def step(
        self, policies: Any, task: Task, episodes: int, key: Key[Array, ""], check: Check = never
    ) -> Step:
        """See `Adapts.step`."""
        return _step(self.experiment, self.experiment.method, self.state)(
            policies, task, episodes, key, check
        )

    def play(self, policies: Any, task: Task, key: Key[Array, ""], noise: bool = False) -> Rollout:
        """See `Adapts.play`. With noise, all act with the deviation of the policy before."""
        method = self.experiment.method
        policies = policies.with_std(method.policy(self.state).action_std)
        return self.experiment.world.rollout(method.actor(noise), policies, one_task(task), 1, key)

    def latents(self, before: Any, step: Step) -> Latents | None:
        """See `Learner.latents`."""
        return latents_of(before, step.policies, step)

    def moved_at_random(self, before: Any, after: Any, key: Key[Array, ""]) -> Any:
        """See `Learner.moved_at_random`."""
        return random_update(before, after, key)

    def points(self, policies: Any, frames: UInt8[np.ndarray, "t height width 3"]) -> np.ndarray:
        """See `Learner.points`."""
        encoder = tree_index(policies, 0).export().encoder
        assert isinstance(encoder, Convolutions)
        return points_in(encoder, frames)

    def lacks(self) -> dict[str, str]:
        """See `Learner.lacks`: `plain` needs an evaluation that tuned it, `expert` an expert
        that knows all tasks."""
        missing = {}
        scores = read_scores(self.run.path)
        if scores is None or scores.plain_control is None:
            missing["plain"] = "the plain control is tuned by `gmps eval`, which has not run yet"
        if self.experiment.controller is None:
            missing["expert"] = "there is no expert here that knows every task"
        return missing

    def play_expert(self, task: Task, key: Key[Array, ""]) -> Rollout:
        """One episode of the expert, without noise."""
        controller = self.experiment.controller
        assert controller is not None
        actor = ExpertActor(controller, self.family.spec.act_size)
        with reporting_faults(self.experiment.expert):
            return self.experiment.world.rollout(actor, jnp.zeros(1), one_task(task), 1, key)

    @functools.cache  # noqa: B019 - learners live as long as the page
    def plain(self) -> "PlainLearner":
        """See `Learner.plain`: it imitates all experts."""
        scores = read_scores(self.run.path)
        assert scores is not None and scores.plain_control is not None
        experiment, found = self.experiment, scores.plain_control
        gathered = experiment.method.aggregate(self.state)
        control = known_plain(
            # It imitated as long as the method, which the scores say.
            replace(self.config.plain, steps=found.settings["steps"]),
            experiment.world,
            experiment.tasks["train"],
            experiment.method.untrained(initial_key(self.config), experiment.demos),
            start_aggregate(experiment.demos, 0) if gathered is None else gathered,
            plain_key(self.config),
            std=found.std,
            step_size=found.step_size,
        )
        return PlainLearner(self, control)

    def _restored(self) -> tuple[MethodState, int]:
        state, metadata = restore(self.run, self.config, self.experiment, self._checkpoint)
        return state, int(metadata["round"])


class PlainLearner(Adapts):
    """The plain control of a run."""

    def __init__(self, of: RunLearner, control: PlainControl):
        self._of, self._control = of, control

    def start(self) -> Any:
        """The imitator with the exploration that was tuned."""
        return stack(self._control.state.policy, 1)

    def step(
        self, policies: Any, task: Task, episodes: int, key: Key[Array, ""], check: Check = never
    ) -> Step:
        """One plain policy-gradient step."""
        return _step(self._of.experiment, self._control.method, self._control.state)(
            policies, task, episodes, key, check
        )

    def play(self, policies: Any, task: Task, key: Key[Array, ""], noise: bool = False) -> Rollout:
        """As noisily as the learner acts."""
        std = self._of.experiment.method.policy(self._of.state).action_std
        actor = self._control.method.actor(noise)
        return self._of.experiment.world.rollout(
            actor, policies.with_std(std), one_task(task), 1, key
        )


def _step(experiment: Experiment, method: Method, state: Any) -> Callable[..., Step]:
    """`Learner.step` of a method: the project's loop of adaptation, once, watched."""

    def step(policies: Any, task: Task, episodes: int, key: Key[Array, ""], check: Check) -> Step:
        world = WatchedWorld(experiment.world, check)
        found = adaptation(
            world, method, state, policies, one_task(task), episodes=episodes, keys=[key]
        )
        (done,) = found
        assert world.last is not None
        check()
        return Step(world.last, done.policies)

    return step


def one_task(task: Task) -> Task:
    """One task, stacked."""
    return jax.tree.map(lambda x: jnp.asarray(x)[None], task)


def latents_of(before: Any, after: Any, step: Step) -> Latents | None:
    """The latents of a step from one stacked policy to another; None where they have none."""
    own = getattr(before, "latent", None)
    if own is None:
        return None
    mean, log_std = (np.asarray(x)[0] for x in own)
    held = np.asarray(step.rollout.trajectories.held)[0]
    return Latents(mean + np.exp(log_std) * held, mean, np.asarray(after.latent.mean)[0])


def points_in(
    encoder: Convolutions, frames: UInt8[np.ndarray, "t height width 3"]
) -> Float[np.ndarray, "t point 2"]:
    """Rows and columns in [-1, 1] of what the convolutions find."""
    return np.asarray(_points(encoder, frames))


@jax.jit
def _points(encoder: Convolutions, frames: Array) -> Array:
    return jax.vmap(encoder.points)(frames)


def frames_of(data: Trajectories) -> UInt8[np.ndarray, "t height width 3"] | None:
    """What the camera showed in the one episode; None without a camera."""
    return None if data.frames is None else np.asarray(data.frames)[0, 0]
