"""A stand-in for absent experts: demonstrations cloned into one policy that sees the task.

Demonstrations answer only in the states where the demonstrators were. The clone answers anywhere,
without their action noise, so that states visited by the learner can be labelled too. Off the
demonstrated paths it is a guess, which is judged before it is used (`judge_clone`); and it is never
used to score an expert.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from gmps.core.policy import Policy, init_policy
from gmps.core.types import Demonstrations, Task, env_steps, task_count
from gmps.data.aggregate import start_aggregate
from gmps.experts.base import Controller, ExpertActor
from gmps.methods.imitation import imitate
from gmps.methods.normalisation import normalised
from gmps.tasks.base import TaskFamily
from gmps.worlds.base import World

#: What certificates and scores call it.
CLONE = "a clone of the demonstrations"
#: Episodes of each task that a clone is judged by, without noise and with.
JUDGED_EPISODES = 4


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


def judge_clone(
    world: World, tasks: Task, clone: Policy, std: float, shown: float | None, key: Key[Array, ""]
) -> tuple[str, int]:
    """How good the clone is where it has to answer: in states that it comes to by itself.

    Args:
        world: where it acts.
        tasks: the stacked training tasks.
        clone: the clone.
        std: action noise that takes it further off the demonstrated paths.
        shown: what the demonstrators return in these tasks, if that is known.
        key: random key.

    Returns:
        A sentence, and the environment steps that it took.
    """
    n, family = task_count(tasks), world.family
    actor = ExpertActor(clone_controller(family, clone), family.spec.act_size)
    returns, steps = [], 0
    for noise in (0.0, std):
        noises = jnp.full(n, noise, jnp.float32)
        data = world.rollout(actor, noises, tasks, JUDGED_EPISODES, key).trajectories
        returns.append(float(data.returns.mean()))
        steps += env_steps(data)
    level = "" if shown is None else f", where the demonstrators returned {shown:.4g}"
    return (
        f"the clone, which guesses off the demonstrated paths, returns {returns[0]:.4g} by itself "
        f"in the training tasks, and {returns[1]:.4g} with action noise {std:g}{level}",
        steps,
    )


def clone_controller(family: TaskFamily, clone: Policy) -> Controller:
    """The clone as an expert: its mean action, clipped."""

    def controller(task: Task, obs: Float[Array, " obs"]) -> Float[Array, " act"]:
        mean, _ = clone(jnp.concatenate([obs, family.context(task)]))
        return jnp.clip(mean, -1, 1)

    return controller
