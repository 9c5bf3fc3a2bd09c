"""Demonstrations as transitions that reinforcement learning takes its batches from."""

import jax
import jax.numpy as jnp
import numpy as np

from gmps.data.demos import load_demos
from gmps.data.rewards import known_rewards
from gmps.data.select import outside, without_failures
from gmps.errors import GmpsError
from gmps.experts.replay import Replay
from gmps.tasks.base import TaskFamily


def shown_episodes(source: str, family: TaskFamily) -> Replay:
    """The demonstrated episodes of a file, but for those of held-out tasks and failures.

    The last step of each episode is left out: a file tells neither where it led nor whether it was
    an end.

    Raises:
        GmpsError: see `gmps.data.demos.load_demos`; or the rewards are not known; or no episode of
            at least two steps is left.
    """
    demos, _ = without_failures(load_demos(source, family))
    rewards = known_rewards(demos, family)
    if rewards.values is None:
        raise GmpsError(
            f"SAC needs rewards, and {source} has none and its observations do not tell those of "
            f"{family.name}; add an array `rewards (task, episode, t)`, or train SAC without it."
        )
    context = jax.vmap(family.context)
    contexts = np.asarray(context(jnp.asarray(demos.tasks)), np.float32)
    kept = outside(contexts, np.asarray(context(family.tasks("heldout"))))
    episodes = demos.select(kept.tolist()).trajectories(rewards.values[kept], demos.alive.shape[-1])
    long = np.asarray(episodes.alive).any(-1).reshape(-1)
    if not long.any():
        raise GmpsError(
            f"{source} leaves no demonstrated episode of two steps outside the held-out tasks of "
            f"{family.name}; record some in other tasks."
        )
    rows = lambda x: x.reshape(-1, *x.shape[2:])[long]  # noqa: E731
    obs, last = rows(episodes.obs), rows(episodes.last_obs[:, :, None])
    return Replay(
        obs=jnp.asarray(np.concatenate([obs, last], 1)),
        act=jnp.asarray(rows(episodes.act)),
        reward=jnp.asarray(rows(episodes.reward)),
        context=jnp.asarray(np.repeat(contexts[kept], demos.alive.shape[1], 0)[long]),
        length=jnp.asarray(rows(episodes.alive).sum(-1), jnp.int32),
        terminated=jnp.asarray(rows(episodes.terminated)),
        added=jnp.asarray(long.sum(), jnp.int32),
    )
