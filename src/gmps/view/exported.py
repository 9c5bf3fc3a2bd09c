"""An exported meta-policy in its family's simulator: what a robot's computer would do.

The worlds run its network; its own step, in numpy, adapts it (`gmps.deploy`).
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, UInt8

from gmps.core.actors import Actor
from gmps.core.encoders import Convolutions, Encoder, Identity
from gmps.core.nets import GaussianPolicy
from gmps.core.policy import Policy, PolicyActor
from gmps.core.types import Rollout, Task, concatenated, stack
from gmps.deploy import MetaPolicy, load
from gmps.deploy.episodes import RecordedEpisode
from gmps.errors import GmpsError
from gmps.evaluation.repeats import random_update
from gmps.experts.base import ExpertActor
from gmps.methods.latent import Latent, LatentActor, LatentPolicy, SpreadLatentActor
from gmps.tasks import make_family
from gmps.view.goals import Goals
from gmps.view.learner import (
    Adapts,
    Check,
    Latents,
    Learner,
    Step,
    latents_of,
    never,
    one_task,
    points_in,
)
from gmps.view.stage import make_stage
from gmps.worlds.factory import make_world


class Adapting(NamedTuple):
    """A meta-policy after some steps, and what the world runs of it, leaves `(1, ...)`."""

    meta: MetaPolicy
    acts: Any


class ExportedLearner(Learner):
    """The meta-policy of a folder that `gmps export` wrote.

    Args:
        path: the folder.
        family: in place of the family that it names, as FILE.py:NAME.

    Raises:
        GmpsError: the folder is damaged, its family is not here, or its network is of a kind that
            the worlds do not run.
    """

    def __init__(self, path: str | Path, family: str | None = None):
        self.meta = load(path)
        facts = self.meta.meta
        self.name = Path(path).name
        self.family = make_family(family or facts["family"])
        self.round, self.episodes = int(facts["round"]), int(facts["episodes"])
        self.least = self.meta.least
        train, heldout = self.family.tasks("train"), self.family.tasks("heldout")
        self.goals = Goals(self.family, train, heldout)
        both = concatenated(train, heldout)
        self.stage = make_stage(self.family, both)
        self._world = make_world(self.family)
        self._std = self.start().acts.action_std[0]

    def metrics(self) -> list[dict[str, Any]]:
        """Nothing: the figures of its training stayed with the run."""
        return []

    def reload(self) -> bool:
        """False: it does not change."""
        return False

    def lacks(self) -> dict[str, str]:
        """See `Learner.lacks`: what was exported is the policy alone."""
        missing = {"plain": "the plain control stays with the run"}
        if self.family.expert is None:
            missing["expert"] = "there is no expert here that knows every task"
        return missing

    def start(self) -> Adapting:
        """See `Adapts.start`."""
        return _adapting(self.meta)

    def step(
        self,
        policies: Adapting,
        task: Task,
        episodes: int,
        key: Key[Array, ""],
        check: Check = never,
    ) -> Step:
        """See `Adapts.step`: the episodes are recorded as a robot would record them."""
        check()
        rollout = self._world.rollout(
            self._actor(noise=True), policies.acts, one_task(task), episodes, key
        )
        meta = copy.copy(policies.meta)
        meta.adapt(_recorded(rollout, self.family.proprioception_size))
        check()
        return Step(rollout, _adapting(meta))

    def play(
        self, policies: Adapting, task: Task, key: Key[Array, ""], noise: bool = False
    ) -> Rollout:
        """See `Adapts.play`."""
        acts = policies.acts.with_std(self._std)
        return self._world.rollout(self._actor(noise), acts, one_task(task), 1, key)

    def play_expert(self, task: Task, key: Key[Array, ""]) -> Rollout:
        """See `Learner.play_expert`."""
        assert self.family.expert is not None
        actor = ExpertActor(self.family.expert, self.family.spec.act_size)
        return self._world.rollout(actor, jnp.zeros(1), one_task(task), 1, key)

    def plain(self) -> Adapts:
        """There is none."""
        raise GmpsError("An exported policy has no plain control; look at its run.")

    def moved_at_random(self, before: Adapting, after: Adapting, key: Key[Array, ""]) -> Adapting:
        """See `Learner.moved_at_random`."""
        return after._replace(acts=random_update(before.acts, after.acts, key))

    def latents(self, before: Adapting, step: Step) -> Latents | None:
        """See `Learner.latents`."""
        return latents_of(before.acts, step.policies.acts, step)

    def points(
        self, policies: Adapting, frames: UInt8[np.ndarray, "t height width 3"]
    ) -> np.ndarray:
        """See `Learner.points`."""
        net = policies.acts.net if isinstance(policies.acts, LatentPolicy) else policies.acts
        return points_in(jax.tree.map(lambda x: x[0], net.encoder), frames)

    def _actor(self, noise: bool) -> Actor:
        facts, family = self.meta.meta, self.family
        size, camera = family.spec.act_size, family.has_camera
        if not facts["policy"]["latent"]:
            return PolicyActor(size, noise, camera)
        kind = SpreadLatentActor if facts["exploration"]["spread"] else LatentActor
        latent = self.meta.acting.latent
        assert latent is not None
        return kind(size, len(latent[0]), noise, camera)


def _adapting(meta: MetaPolicy) -> Adapting:
    """What the world runs of a meta-policy."""
    acting = meta.acting
    net = Policy(_encoder(meta), _head(acting.network.arrays("policy"), acting.network.activation))
    if acting.latent is None:
        return Adapting(meta, stack(net, 1))
    mean, log_std = (jnp.asarray(x, jnp.float32) for x in acting.latent)
    return Adapting(meta, stack(LatentPolicy(net, Latent(mean, log_std)), 1))


def _head(arrays: Mapping[str, np.ndarray], activation: Any) -> GaussianPolicy:
    count = sum(name.startswith("policy/weights/") for name in arrays)
    fields = {
        name: jnp.asarray(arrays[f"policy/{name}"], jnp.float32)
        for name in ("bias_transform", "log_std", "obs_mean", "obs_std")
    }
    weights, biases = (
        tuple(jnp.asarray(arrays[f"policy/{kind}/{i}"], jnp.float32) for i in range(count))
        for kind in ("weights", "biases")
    )
    return GaussianPolicy(weights=weights, biases=biases, activation=activation, **fields)


def _encoder(meta: MetaPolicy) -> Encoder:
    arrays = meta.arrays
    count = sum(name.startswith("encoder/kernels/") for name in arrays)
    if not count:
        return Identity()
    kernels, biases = (
        tuple(jnp.asarray(arrays[f"encoder/{kind}/{i}"], jnp.float32) for i in range(count))
        for kind in ("kernels", "biases")
    )
    return Convolutions(kernels=kernels, biases=biases, proprioception_size=meta.spaces.obs_size)


def _recorded(rollout: Rollout, shown: int) -> list[RecordedEpisode]:
    """The episodes of the one task, as a robot's computer would have recorded them.

    Args:
        rollout: of one task.
        shown: numbers of an observation that the learner is shown.
    """
    data = jax.tree.map(lambda x: np.asarray(x)[0], rollout.trajectories)
    episodes = []
    for i in range(len(data.reward)):
        steps = int(data.alive[i].sum())
        episodes.append(
            RecordedEpisode(
                obs=data.obs[i, :steps, :shown],
                act=data.act[i, :steps],
                reward=data.reward[i, :steps],
                log_prob=data.log_prob[i, :steps],
                held=data.held[i],
                last_obs=data.last_obs[i, :shown],
                terminated=bool(data.terminated[i]),
                frames=None if data.frames is None else data.frames[i, :steps],
            )
        )
    return episodes
