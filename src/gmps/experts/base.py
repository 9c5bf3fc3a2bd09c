"""Experts as actors: on their own, and in DAgger's mixture with a learner's policy."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from gmps.types import Demonstrations, Params, Task, Trajectories
from gmps.worlds.base import Actor

#: A controller that sees the task: `(task, obs) -> act`, one state at a time, pure JAX.
Controller = Callable[[Task, Float[Array, " obs"]], Float[Array, " act"]]


def label(controller: Controller, tasks: Task, visited: Trajectories) -> Demonstrations:
    """The expert's action, clipped to [-1, 1], in every visited state, whoever acted there."""
    act = jax.vmap(jax.vmap(jax.vmap(controller, (None, 0)), (None, 0)))(tasks, visited.obs)
    flat = lambda x: x.reshape(x.shape[0], -1, *x.shape[3:])  # noqa: E731
    return Demonstrations(flat(visited.obs), flat(jnp.clip(act, -1, 1)), flat(visited.alive))


@dataclass(frozen=True)
class ExpertActor:
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
class MixtureActor:
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
