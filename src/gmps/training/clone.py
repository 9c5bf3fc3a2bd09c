"""A stand-in for absent experts: demonstrations cloned into one policy that sees the task.

Demonstrations answer only in the states where the demonstrators were. The clone answers anywhere,
without their action noise, so that states visited by the learner can be labelled too. Off the
demonstrated paths it is a guess, and it is never used to score an expert.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from gmps.core.policy import Policy, init_policy
from gmps.core.types import Demonstrations, Task
from gmps.data.aggregate import start_aggregate
from gmps.experts.base import Controller
from gmps.methods.imitation import imitate
from gmps.methods.normalisation import normalised
from gmps.tasks.base import TaskFamily

#: What certificates and scores call it.
CLONE = "a clone of the demonstrations"


def init_clone(family: TaskFamily, key: Key[Array, ""]) -> Policy:
    """A clone that has learned nothing: of an observation and the context after it."""
    size = family.spec.obs_size + family.spec.context_size
    return init_policy(key, size, family.spec.act_size, hidden=(128, 128), bias_size=0)


def fit_clone(
    family: TaskFamily,
    tasks: Task,
    demos: Demonstrations,
    key: Key[Array, ""],
    *,
    steps: int = 4000,
    learning_rate: float = 1e-3,
    labels: int = 60,
) -> tuple[Policy, float]:
    """Fit `act = f(obs, context)` to the demonstrations of all tasks by least squares.

    Returns the clone and its mean squared error over the last steps of the fit.
    """
    context = jax.vmap(family.context)(tasks)
    repeated = jnp.repeat(context[:, None], demos.obs.shape[1], 1)
    shown = demos._replace(obs=jnp.concatenate([demos.obs, repeated], -1), frames=None)
    key_init, key_fit = jax.random.split(key)
    policy, losses = imitate(
        normalised(init_clone(family, key_init), shown),
        start_aggregate(shown, 0),
        key_fit,
        steps=steps,
        learning_rate=learning_rate,
        batch_size=labels,
        kind="mse",
    )
    return policy, float(losses[-100:].mean())


def clone_controller(family: TaskFamily, clone: Policy) -> Controller:
    """The clone as an expert: its mean action, clipped."""

    def controller(task: Task, obs: Float[Array, " obs"]) -> Float[Array, " act"]:
        mean, _ = clone(jnp.concatenate([obs, family.context(task)]))
        return jnp.clip(mean, -1, 1)

    return controller
