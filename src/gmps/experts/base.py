"""Experts: what they are, how they act, and how they label states."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from gmps.core.actors import Actor
from gmps.core.types import Demonstrations, Params, Task, Trajectories
from gmps.errors import GmpsError
from gmps.tasks.base import TaskFamily
from gmps.tasks.lists import SAME_TASK

#: A controller that sees the task: `(task, obs) -> act`, one state at a time, pure JAX.
Controller = Callable[[Task, Float[Array, " obs"]], Float[Array, " act"]]


@dataclass(frozen=True, eq=False)
class Expert:
    """Anything that can say what to do in a state of a task."""

    controller: Controller
    #: What it is, in words that complete "Expert: ".
    source: str
    #: The task parameters that it was trained for; None if it can be asked in any task.
    contexts: Float[np.ndarray, "n ctx"] | None = None
    #: Environment steps that its training took: to learn, and to measure it.
    env_steps: int = 0
    measured_steps: int = 0
    #: What was wrong with its answers, in one sentence; see `reporting_faults`.
    faults: list[GmpsError] = field(default_factory=list)

    def knows(self, family: TaskFamily, tasks: Task) -> Bool[np.ndarray, " task"]:
        """In which of the stacked tasks it can be asked."""
        wanted = np.asarray(jax.vmap(family.context)(tasks))
        if self.contexts is None:
            return np.ones(len(wanted), bool)
        gap = np.abs(wanted[:, None] - self.contexts[None]).max(-1)
        return gap.min(1) < SAME_TASK


@contextmanager
def reporting_faults(expert: Expert | None) -> Iterator[None]:
    """Raise the GmpsError of an expert's bad answer, where JAX would wrap it in a long trace."""
    try:
        yield
    except jax.errors.JaxRuntimeError:
        if expert is not None and expert.faults:
            raise expert.faults[0] from expert.faults[0].__cause__
        raise


def label(controller: Controller, tasks: Task, visited: Trajectories) -> Demonstrations:
    """The expert's action, clipped to [-1, 1], in every visited state, whoever acted there."""
    act = jax.vmap(jax.vmap(jax.vmap(controller, (None, 0)), (None, 0)))(tasks, visited.obs)
    flat = lambda x: x.reshape(x.shape[0], -1, *x.shape[3:])  # noqa: E731
    frames = None if visited.frames is None else flat(visited.frames)
    return Demonstrations(
        flat(visited.obs), flat(jnp.clip(act, -1, 1)), flat(visited.alive), frames
    )


@dataclass(frozen=True)
class ExpertActor(Actor):
    """Runs a controller; `params` is the standard deviation of Gaussian noise on its actions."""

    controller: Controller
    act_size: int

    @property
    def noise_size(self) -> int:
        """One normal number for each action dimension."""
        return self.act_size

    def __call__(
        self, params: Params, task: Task, obs: Float[Array, " obs"], noise: Float[Array, " noise"]
    ) -> tuple[Float[Array, " act"], Float[Array, ""]]:
        """The controller's action plus noise. Its density is never used: 0."""
        act = self.controller(task, obs) + params * noise
        return act, jnp.zeros((), act.dtype)


@dataclass(frozen=True)
class MixtureActor(Actor):
    """`beta * expert + (1 - beta) * learner` at each step (Ross et al. 2011, section 3).

    `params` is `(beta, params of the learner's actor)`.
    """

    controller: Controller
    learner: Actor

    @property
    def noise_size(self) -> int:
        """The learner's noise and one number that decides who acts."""
        return self.learner.noise_size + 1

    def __call__(
        self, params: Params, task: Task, obs: Float[Array, " obs"], noise: Float[Array, " noise"]
    ) -> tuple[Float[Array, " act"], Float[Array, ""]]:
        """The action of whoever acts; the density is the learner's."""
        beta, learner_params = params
        act, log_prob = self.learner(learner_params, task, obs, noise[:-1])
        expert_acts = jax.scipy.stats.norm.cdf(noise[-1]) < beta
        return jnp.where(expert_acts, self.controller(task, obs), act), log_prob
