"""Episodes that were recorded elsewhere, as the trajectories that a method adapts from."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from gmps.core.types import Trajectories
from gmps.deploy.episodes import RecordedEpisode
from gmps.errors import GmpsError
from gmps.methods.base import Method
from gmps.tasks.base import TaskFamily


def as_trajectories(family: TaskFamily, episodes: Sequence[RecordedEpisode]) -> Trajectories:
    """The episodes of one task, with a leading axis for it, padded to the family's horizon.

    Steps beyond the horizon are left out. Behind its end an episode repeats its last observation,
    as in simulation.

    Raises:
        GmpsError: sizes are not those of the family.
    """
    spec, count, horizon = family.spec, len(episodes), family.spec.horizon
    # Of a family with a camera a robot records what the learner is shown, not what experts see.
    width = family.proprioception_size if family.has_camera else spec.obs_size
    obs = np.zeros((count, horizon + 1, spec.obs_size), np.float32)
    act = np.zeros((count, horizon, spec.act_size), np.float32)
    reward, log_prob = (np.zeros((count, horizon), np.float32) for _ in range(2))
    alive, ended = np.zeros((count, horizon), bool), np.zeros(count, bool)
    frames = None
    if family.has_camera:
        shape = {e.frames.shape[1:] for e in episodes if e.frames is not None}
        if len(shape) != 1 or any(e.frames is None for e in episodes):
            raise GmpsError(f"{family.name} shows pictures; every episode needs its frames.")
        frames = np.zeros((count, horizon, *shape.pop()), np.uint8)
    for i, episode in enumerate(episodes):
        found = episode.obs.shape[1], episode.act.shape[1]
        if found != (width, spec.act_size):
            raise GmpsError(
                f"Episode {i} has {found[0]} observations and {found[1]} actions a step; "
                f"{family.name} has {width} and {spec.act_size}."
            )
        steps = min(len(episode), horizon)
        last = episode.obs[steps] if len(episode) > steps else episode.last_obs
        obs[i, :steps, :width] = episode.obs[:steps]
        obs[i, steps:, :width] = last
        act[i, :steps], reward[i, :steps] = episode.act[:steps], episode.reward[:steps]
        log_prob[i, :steps], alive[i, :steps] = episode.log_prob[:steps], True
        ended[i] = episode.terminated and len(episode) <= horizon
        if frames is not None and episode.frames is not None:
            frames[i, :steps] = episode.frames[:steps]
    return Trajectories(
        obs=jnp.asarray(obs[None, :, :-1]),
        act=jnp.asarray(act[None]),
        reward=jnp.asarray(reward[None]),
        log_prob=jnp.asarray(log_prob[None]),
        alive=jnp.asarray(alive[None]),
        last_obs=jnp.asarray(obs[None, :, -1]),
        terminated=jnp.asarray(ended[None]),
        held=jnp.asarray(np.stack([e.held for e in episodes])[None], jnp.float32),
        frames=None if frames is None else frames[None],
    )


def require_held(method: Method, episodes: Sequence[RecordedEpisode]) -> None:
    """Raise GmpsError unless each episode holds what the method's actor draws for one."""
    size = method.actor().held_noise
    for i, episode in enumerate(episodes):
        if len(episode.held) != size:
            raise GmpsError(
                f"Episode {i} holds a latent of {len(episode.held)} numbers, and this run's policy "
                f"draws {size}; record episodes with gmps.deploy."
            )
