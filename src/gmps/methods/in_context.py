"""In-context adaptation: a causal transformer reads the own episodes in place of a gradient step.

pi_theta(a | s, z) imitates all experts, with a latent z_i of its own for each training task.
for each round:
    for each task i:                                                     # gather
        D_i     <- episodes of pi_theta(a | s, z), one z ~ N(0, I) in each, spread evenly
        z'_i    <- transformer_psi(D_i)                                  # the inner step
        visited <- episodes of pi_theta(a | s, z'_i), and of pi_theta(a | s, z_i)
        labels  <- labels + {(s, expert_i(s)) : s visited}               # aggregation
    repeat:                                                              # update
        theta, psi, all z_i <- Adam on the mean over i, and over places e in D_i, of
            L_imitation(theta, z_i^e(psi)) + L_imitation(theta, z_i) + w KL(z_i, N(0, I))

Network, exploration, labels, aggregation and losses are those of `gmps_latent`; the inner step
alone is another, so that the two answer whether a gradient step or a context infers a task better.
A policy that is trained to act as the expert of the task that its context tells is a
decision-pretrained transformer (Lee et al. 2023, arXiv:2306.14892), here over whole episodes: what
was read holds for an episode, as the latent of GMPS does, and the next ones add to it.
"""

from dataclasses import dataclass
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from gmps.core.transformer import Transformer, init_transformer
from gmps.core.types import Trajectories
from gmps.errors import GmpsError
from gmps.methods.deployed import Deployed
from gmps.methods.episode_advantage import RewardScale, segment
from gmps.methods.in_context_settings import InContextConfig
from gmps.methods.latent import Latent, LatentPolicy, prior
from gmps.methods.latent_imitation import Explored
from gmps.methods.latent_method import LatentMethod, LatentState


class ContextPolicy(LatentPolicy):
    """A policy at the latent that its context tells, and the context: the episodes so far."""

    #: Their tokens, oldest first; zeros behind the last.
    context: Float[Array, "*task remembered part token"]
    #: How many episodes that are.
    known: Float[Array, "*task"]


class ContextReader(eqx.Module):
    """From the tokens of episodes to the latent after each."""

    enter: Float[Array, "token width"]
    #: Where in its episode a token is.
    places: Float[Array, "part width"]
    transformer: Transformer
    leave: Float[Array, "width z"]

    def __call__(self, trial: Float[Array, "ep part token"]) -> Float[Array, "ep z"]:
        """The latent after each episode of one task; it depends on no later one."""
        episodes, parts, _ = trial.shape
        x = trial @ self.enter + self.places
        x = self.transformer(x.reshape(episodes * parts, -1))
        return x.reshape(episodes, parts, -1)[:, -1] @ self.leave


@dataclass(frozen=True, eq=False)
class InContext(LatentMethod[InContextConfig]):
    """A policy of own episodes, on the training tasks of a world."""

    Settings: ClassVar[type] = InContextConfig
    prefix: ClassVar[str] = "in-context"
    pictures: ClassVar[bool] = False

    def untrained_step(self, segments: int, key: Key[Array, ""]) -> ContextReader:
        """A transformer that always reads the prior's mean."""
        config, size = self.config, self._token_size
        enter_key, place_key, body_key = jax.random.split(key, 3)
        init = jax.nn.initializers.glorot_uniform()
        return ContextReader(
            enter=init(enter_key, (size, config.width), jnp.float32),
            places=0.1 * jax.random.normal(place_key, (segments, config.width), jnp.float32),
            transformer=init_transformer(body_key, config.width, config.heads, config.layers),
            leave=jnp.zeros((config.width, config.latent), jnp.float32),
        )

    def policy(self, state: LatentState) -> ContextPolicy:
        """The policy before its first episode: z from the prior, and nothing read."""
        parts = state.scale.mean.shape[0]
        empty = jnp.zeros((self.config.remembered, parts, self._token_size), jnp.float32)
        zero = jnp.zeros((), jnp.float32)
        return ContextPolicy(state.params.net, prior(self.config.latent), empty, zero)

    def adapt(
        self, state: LatentState, policies: LatentPolicy, data: Trajectories
    ) -> ContextPolicy:
        """Each task's policy at the latent that its context tells, these episodes included, in the
        order in which they are given. The next episodes explore more narrowly."""
        assert isinstance(policies, ContextPolicy)
        return _read(state, policies, data, self.config.narrowing)

    def acting(self, policies: LatentPolicy) -> LatentPolicy:
        """Without the context: it acts through the latent that was read from it."""
        return LatentPolicy(policies.net, policies.latent)

    def deployed(self, state: LatentState) -> Deployed:
        """None.

        Raises:
            GmpsError: always.
        """
        del state
        raise GmpsError(
            "A run of in-context cannot be exported: gmps.deploy has no transformer to read "
            "episodes with; `gmps adapt` writes the policy of one task, or take gmps-latent."
        )

    def infer(
        self,
        advantage: ContextReader,
        scale: RewardScale,
        explored: Explored,
        key: Key[Array, ""],
    ) -> Float[Array, "3 task z"]:
        """Latents read from all exploring episodes, from some of them, and from the visits too;
        exploring episodes come in random order."""
        del scale
        trial, n = explored.trial, explored.noise.shape[1]
        assert trial is not None
        order_key, place_key = jax.random.split(key)
        order = jax.random.permutation(order_key, n)
        trial = jnp.concatenate([trial[:, order], trial[:, n:]], 1)
        places = jnp.stack(
            [jnp.array(n - 1), jax.random.randint(place_key, (), 0, n), jnp.array(-1)]
        )
        return jnp.moveaxis(jax.vmap(advantage)(trial)[:, places], 1, 0)

    def trial(
        self, state: LatentState, before: Trajectories, adapted: LatentPolicy, after: Trajectories
    ) -> Float[Array, "task ep part token"]:
        """The tokens of exploring episodes, then of visits."""
        z = adapted.latent.mean[:, None]
        visits = jnp.broadcast_to(z, (*after.reward.shape[:2], z.shape[-1]))
        tokens = tokens_of(state, before, before.held), tokens_of(state, after, visits)
        return jnp.concatenate(tokens, 1)

    @property
    def _token_size(self) -> int:
        spec = self.world.family.spec
        return spec.obs_size + spec.act_size + self.config.latent + 3


@jax.jit
def tokens_of(
    state: LatentState, data: Trajectories, z: Float[Array, "task ep z"]
) -> Float[Array, "task ep part token"]:
    """What the transformer is told of each part of an episode, every number of order 1.

    Means of the observation and of the clipped action over its living steps; its reward, and the
    return so far, less what is usual; the episode's latent; and the share of steps that lived.
    """
    scale, head = state.scale, state.params.net.head
    parts = scale.mean.shape[0]
    reward = segment(data.reward, parts)
    count = segment(data.alive.astype(jnp.float32), parts)
    whole = segment(jnp.ones_like(data.reward), parts)

    def mean(x: Float[Array, "task ep t n"]) -> Float[Array, "task ep part n"]:
        kept = jnp.where(data.alive[..., None], x, 0)
        sums = jnp.moveaxis(segment(jnp.moveaxis(kept, -1, -2), parts), -1, -2)
        return sums / jnp.maximum(count, 1)[..., None]

    centred = reward - scale.mean
    numbers = jnp.stack(
        [centred / scale.std, jnp.cumsum(centred, -1) / scale.return_std, count / whole], -1
    )
    obs = mean((data.obs - head.obs_mean) / head.obs_std)
    latent = jnp.broadcast_to(z[:, :, None], (*reward.shape, z.shape[-1]))
    return jnp.concatenate([obs, mean(jnp.clip(data.act, -1, 1)), numbers, latent], -1)


@jax.jit
def _read(
    state: LatentState, policies: ContextPolicy, data: Trajectories, narrowing: float
) -> ContextPolicy:
    mean, log_std = policies.latent
    z = mean[:, None] + jnp.exp(log_std)[:, None] * data.held
    new = tokens_of(state, data, z)

    def one_task(context: Array, known: Array, new: Array) -> tuple[Array, Array, Array]:
        room, old = context.shape[0], known.astype(jnp.int32)
        both = jnp.concatenate([context, new])
        # The new ones follow the old, and the newest are kept.
        start = jnp.maximum(old + len(new) - room, 0)
        place = start + jnp.arange(room)
        source = jnp.where(place < old, place, room + place - old)
        filled = (place < old + len(new))[:, None, None]
        context = jnp.where(filled, both[jnp.minimum(source, len(both) - 1)], 0)
        known = jnp.minimum(old + len(new), room)
        return context, known, state.params.advantage(context)[known - 1]

    context, known, z = jax.vmap(one_task)(policies.context, policies.known, new)
    latent = Latent(z, log_std + jnp.log(narrowing))
    return ContextPolicy(policies.net, latent, context, known.astype(policies.known.dtype))
