"""Practice in the training tasks: where nobody answers, the learner's own rewards do.

Demonstrations say nothing about states off their paths, and a latent that imitates them well is not
one that earns well. The episodes that a round plays in the training tasks anyway tell what earns
more: the clipped surrogate of PPO (Schulman et al. 2017) on them is added to the outer loss.

Imitation moves the policy too, and not by what the surrogate allows: an action that was worse than
others may have become many times as likely, and would then rule the gradient. So its loss is
bounded (dual clip: Ye et al. 2020, arXiv:1912.09729, equation 5).
"""

from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from gmps.core.losses import living
from gmps.core.nets import GaussianPolicy
from gmps.core.returns import discounted_returns
from gmps.core.types import Trajectories

#: The policy's likelihood of an action may change by this share before it no longer pays.
CLIP = 0.2
#: A worse action that has become more than so many times as likely counts no further.
WORST = 3.0
#: Smallest deviation of the returns to come, so that a task with constant ones has none.
MIN_STD = 1e-6


class Practice(NamedTuple):
    """Steps of each task's own episodes. No gradient enters them."""

    obs: Float[Array, "task n obs"]
    act: Float[Array, "task n act"]
    #: Log density of `act` under the policy that chose it.
    log_prob: Float[Array, "task n"]
    #: Discounted return to come, less its mean over the task's episodes at the same moment, in
    #: deviations.
    advantage: Float[Array, "task n"]
    alive: Bool[Array, "task n"]


def practised(visited: Trajectories, discount: float) -> Practice:
    """The steps of at least two episodes of each task.

    Beyond its end an episode earns nothing: to have ended early counts as much as it cost.
    """
    reward = jnp.where(visited.alive, visited.reward, 0)
    nothing = jnp.zeros(reward.shape[:2], reward.dtype)
    to_come = jax.vmap(discounted_returns, (0, None, 0))(reward, discount, nothing)
    better = jnp.where(visited.alive, to_come - to_come.mean(1, keepdims=True), 0)
    count = jnp.maximum(visited.alive.sum((1, 2), keepdims=True), 1)
    std = jnp.sqrt((better**2).sum((1, 2), keepdims=True) / count)
    alive = visited.alive
    seen, done = living(visited.obs, alive), living(visited.act, alive)
    steps = (seen, done, visited.log_prob, better / jnp.maximum(std, MIN_STD))
    flat = lambda x: x.reshape(x.shape[0], -1, *x.shape[3:])  # noqa: E731
    return Practice(*map(flat, (*steps, alive)))


def practice_loss(
    head: GaussianPolicy,
    z: Float[Array, "task z"],
    practice: Practice,
    n: int,
    key: Key[Array, ""],
) -> Float[Array, ""]:
    """`-mean min(r A, clip(r) A)` over `n` steps of each task, drawn with replacement; `r` is the
    likelihood of the action at the task's latent, over that when it was chosen, and at most `WORST`
    where `A` is below 0."""
    tasks, steps = practice.alive.shape
    row = jax.random.randint(key, (tasks, n), 0, steps)
    drawn = jax.tree.map(lambda x: jax.vmap(lambda x, row: x[row])(x, row), practice)

    def density(z: Float[Array, " z"], steps: Practice) -> Float[Array, " n"]:
        return jax.vmap(replace(head, bias_transform=z).log_prob)(steps.obs, steps.act)

    ratio = jnp.exp(jax.vmap(density)(z, drawn) - drawn.log_prob)
    ratio = jnp.where(drawn.advantage < 0, jnp.minimum(ratio, WORST), ratio)
    gain = jnp.minimum(
        ratio * drawn.advantage, jnp.clip(ratio, 1 - CLIP, 1 + CLIP) * drawn.advantage
    )
    return -jnp.where(drawn.alive, gain, 0).sum() / jnp.maximum(drawn.alive.sum(), 1)
