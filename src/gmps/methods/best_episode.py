"""The control without an outer loop: a latent that was imitated, and the best of n episodes.

pi_theta(a | s, z) imitates all labels, with a latent z_i of its own for each training task, as GMPS
with a latent does before its first round. At test n episodes draw their z from the prior, and the
one with the best return keeps it. Nothing prepares the policy for that: what an outer loop gains,
it has to gain over this.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from gmps.core.policy import Policy
from gmps.core.types import Trajectories
from gmps.data.aggregate import Aggregate
from gmps.methods.base import Method, MethodState
from gmps.methods.episode_advantage import RewardScale
from gmps.methods.gmps_latent_settings import LatentSettings
from gmps.methods.latent import Latent, LatentPolicy
from gmps.methods.latent_imitation import Explored
from gmps.methods.latent_method import LatentMethod, LatentState


@dataclass(frozen=True, eq=False)
class BestEpisode(LatentMethod[LatentSettings]):
    """A policy with a latent that adapts by taking the latent of its best episode."""

    def untrained_step(self, segments: int, key: Key[Array, ""]) -> tuple[()]:
        """Nothing: the step compares returns."""
        del segments, key
        return ()

    def infer(
        self, advantage: tuple[()], scale: RewardScale, explored: Explored, key: Key[Array, ""]
    ) -> NoReturn:
        """No outer loop asks for it."""
        raise NotImplementedError

    def adapt(self, state: LatentState, policies: LatentPolicy, data: Trajectories) -> LatentPolicy:
        """To the latent of each task's best episode. The next step explores more narrowly."""
        del state
        best = np.asarray(data.returns).argmax(1)
        noise = np.take_along_axis(np.asarray(data.held), best[:, None, None], 1)[:, 0]
        mean, log_std = policies.latent
        narrower = log_std + jnp.log(self.config.narrowing)
        return replace(policies, latent=Latent(mean + jnp.exp(log_std) * noise, narrower))


class ImitatedLatent(NamedTuple):
    """The control, ready to adapt."""

    method: BestEpisode
    state: LatentState


def fit_latent(
    method: Method,
    state: MethodState,
    untrained: Policy,
    data: Aggregate,
    steps: int,
    key: Key[Array, ""],
) -> ImitatedLatent | None:
    """Imitate `data` with the settings of a method that has a latent; None for others.

    Args:
        method: the method under test.
        state: what it has learned.
        untrained: its policy that has learned nothing.
        data: all labels that it has gathered.
        steps: steps of imitation.
        key: of everything random.
    """
    if not isinstance(method, LatentMethod):
        return None
    assert isinstance(state, LatentState)
    config = replace(method.config, pretrain_steps=steps)
    control = BestEpisode(config, method.world, method.tasks, method.controller)
    # It explores with the same noise: where the method practises, less than it imitated with.
    std = method.policy(state).action_std
    params = control.imitated(untrained.with_std(std), data, *jax.random.split(key, 3))
    return ImitatedLatent(control, control.start(params, data))
