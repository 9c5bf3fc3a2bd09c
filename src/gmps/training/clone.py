"""A stand-in for absent experts: demonstrations cloned into one policy that sees the task.

Demonstrations answer only in the states where the demonstrators were. The clone answers anywhere,
without their action noise, so that states visited by the learner can be labelled too. Off the
demonstrated paths it is a guess, and it is never used to score an expert.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from gmps.core.policy import init_policy
from gmps.core.types import Demonstrations, Task
from gmps.data.aggregate import start_aggregate
from gmps.experts.base import Controller
from gmps.methods.imitation import imitate
from gmps.methods.normalisation import normalised
from gmps.tasks.base import TaskFamily


class Clone(NamedTuple):
    """A cloned expert and how well it fits."""

    controller: Controller
    #: Mean squared error on the demonstrations over the last steps of the fit.
    loss: float


def clone_expert(
    family: TaskFamily,
    tasks: Task,
    demos: Demonstrations,
    key: Key[Array, ""],
    *,
    steps: int = 4000,
    learning_rate: float = 1e-3,
    labels: int = 60,
    hidden: tuple[int, ...] = (128, 128),
) -> Clone:
    """Fit `act = f(obs, context)` to the demonstrations of all tasks by least squares."""
    context = jax.vmap(family.context)(tasks)
    repeated = jnp.repeat(context[:, None], demos.obs.shape[1], 1)
    shown = demos._replace(obs=jnp.concatenate([demos.obs, repeated], -1), frames=None)
    key_init, key_fit = jax.random.split(key)
    size = family.spec.obs_size + family.spec.context_size
    policy = init_policy(key_init, size, family.spec.act_size, hidden=hidden, bias_size=0)
    policy, losses = imitate(
        normalised(policy, shown),
        start_aggregate(shown, 0),
        key_fit,
        steps=steps,
        learning_rate=learning_rate,
        batch_size=labels,
        kind="mse",
    )

    def controller(task: Task, obs: Float[Array, " obs"]) -> Float[Array, " act"]:
        mean, _ = policy(jnp.concatenate([obs, family.context(task)]))
        return jnp.clip(mean, -1, 1)

    return Clone(controller, float(losses[-100:].mean()))
