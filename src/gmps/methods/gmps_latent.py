"""GMPS with structured exploration: the inner step moves a latent that each episode draws once.

pi_theta(a | s, z) imitates all experts, with a latent z_i of its own for each training task.
for each round:
    for each task i:                                                     # gather
        D_i     <- episodes of pi_theta(a | s, z), one z ~ N(0, I) in each, spread evenly
        z'_i    <- mean_e[z_e A_psi(rewards of e)]                       # the inner step
        visited <- episodes of pi_theta(a | s, z'_i), and of pi_theta(a | s, z_i)
        labels  <- labels + {(s, expert_i(s)) : s visited}               # aggregation
    repeat:                                                              # update
        theta, psi, all z_i <- Adam on mean_i of
            L_imitation(theta, z'_i(psi)) + L_imitation(theta, z_i) + w KL(z_i, N(0, I))

Where there are demonstrations and nobody to ask, the update adds v (L_PPO(theta, z'_i(psi)) +
L_PPO(theta, z_i)) on the episodes `visited`: see `practice`.

The latent is the first action of an episode, drawn from N(m, S^2), and the inner step is the
natural policy gradient of m: m' = m + S^2 grad_m E[R] = m + S E[e A], where z = m + S e. The
advantage A_psi of an episode is learned: see `EpisodeAdvantage` and `SoftmaxAdvantage`.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from gmps.core.types import Trajectories
from gmps.deploy.adaptation import TRIED
from gmps.deploy.exploration import are_white
from gmps.methods.deployed import Deployed
from gmps.methods.episode_advantage import (
    Advantage,
    EpisodeAdvantage,
    RewardScale,
    SoftmaxAdvantage,
    init_advantage,
    segment,
)
from gmps.methods.gmps_latent_settings import GmpsLatentConfig
from gmps.methods.latent import Latent, LatentPolicy
from gmps.methods.latent_imitation import Explored
from gmps.methods.latent_method import LatentMethod, LatentState


@dataclass(frozen=True, eq=False)
class GmpsLatent(LatentMethod[GmpsLatentConfig]):
    """GMPS with a latent, on the training tasks of a world."""

    Settings: ClassVar[type] = GmpsLatentConfig
    prefix: ClassVar[str] = "gmps-latent"
    #: The step compares episodes: from one alone the latent would stay as it is.
    least_episodes: ClassVar[int] = 2

    def untrained_step(
        self, segments: int, key: Key[Array, ""]
    ) -> EpisodeAdvantage | SoftmaxAdvantage:
        """The advantage of an episode is its return."""
        config = self.config
        if config.advantage == "softmax":
            return SoftmaxAdvantage(jnp.log(jnp.asarray(config.step_size, jnp.float32)))
        hidden = config.advantage_hidden
        return init_advantage(key, segments, config.latent, hidden, config.step_size)

    def infer(
        self, advantage: Advantage, scale: RewardScale, explored: Explored, key: Key[Array, ""]
    ) -> Float[Array, "1 task z"]:
        """The natural policy gradient from the prior's mean, 0. Draws nothing from the key."""
        del key
        step = _step_of(advantage, white=are_white(*explored.noise.shape[1:]))
        return step(advantage, scale, explored)[None]

    def adapt(self, state: LatentState, policies: LatentPolicy, data: Trajectories) -> LatentPolicy:
        """One inner step of each task's latent. The next step explores more narrowly."""
        advantage = state.params.advantage
        step = _step_of(advantage, white=look_white(data.held))
        return _adapt(advantage, state.scale, policies, data, self.config, step)

    def deployed(self, state: LatentState) -> Deployed:
        """The step of the latent's mean by advantages of whole episodes."""
        policy, config, advantage = self.policy(state), self.config, state.params.advantage
        settings = {
            "kind": "latent-step",
            "advantage": config.advantage,
            "segments": int(state.scale.mean.shape[0]),
            "narrowing": config.narrowing,
        }
        named = {f"advantage/{f.name}": getattr(advantage, f.name) for f in fields(advantage)}
        named |= {f"scale/{name}": x for name, x in state.scale._asdict().items()}
        arrays = {name: np.asarray(x) for name, x in named.items()}
        return Deployed(policy.net, settings, arrays, policy.latent, spread=True)


def inner_step(
    advantage: Advantage, scale: RewardScale, explored: Explored
) -> Float[Array, "task z"]:
    """`mean_e[e A(e)]`: how far the inner step moves each task's latent, in its deviations."""
    weight = jax.vmap(partial(advantage, scale))(explored.rewards)
    return (explored.noise * weight).mean(1)


#: Draws whose second moment is this near to the identity are white, but for rounding.
_WHITE = 3e-5


def look_white(held: Float[Array, "task ep z"]) -> bool:
    """Whether the numbers that each task's episodes held have mean 0 and the identity for second
    moment: recorded ones may be any."""
    e = np.asarray(held, np.float64)
    mean, moment = e.mean(1), np.einsum("nez,new->nzw", e, e) / e.shape[1]
    off = np.abs(moment - np.eye(e.shape[2])).max(initial=0)
    return bool(max(off, np.abs(mean).max(initial=0)) < _WHITE)


def slope_step(
    advantage: Advantage, scale: RewardScale, explored: Explored
) -> Float[Array, "task z"]:
    """`inner_step` for draws that are not white: of few episodes, or after an early stop.

    There `mean_e[e A]` goes too far along what was often tried. The least-squares slope of A in e,
    the shortest where episodes are too few, is the same mean for white draws.
    """
    weight = jax.vmap(partial(advantage, scale))(explored.rewards)
    centred = explored.noise - explored.noise.mean(1, keepdims=True)
    dual = jnp.linalg.pinv(centred, rtol=TRIED)
    return (jnp.swapaxes(dual, 1, 2) * weight).sum(1)


def _step_of(advantage: Advantage, white: bool) -> Callable[..., Float[Array, "task z"]]:
    """The inner step that suits the draws."""
    return inner_step if white or isinstance(advantage, SoftmaxAdvantage) else slope_step


@partial(jax.jit, static_argnames=("config", "step"))
def _adapt(
    advantage: EpisodeAdvantage | SoftmaxAdvantage,
    scale: RewardScale,
    policies: LatentPolicy,
    data: Trajectories,
    config: GmpsLatentConfig,
    step: Callable[..., Float[Array, "task z"]],
) -> LatentPolicy:
    explored = Explored(segment(data.reward, scale.mean.shape[0]), data.held)
    mean, log_std = policies.latent
    mean = mean + jnp.exp(log_std) * step(advantage, scale, explored)
    return LatentPolicy(policies.net, Latent(mean, log_std + jnp.log(config.narrowing)))
