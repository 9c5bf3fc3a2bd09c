"""Meta-learning of structured exploration (MAESN; Gupta et al. 2018, algorithm 1).

for each round:
    for each task i, whose latent has mean m_i and deviation s_i:              # gather
        D_i     <- episodes of pi_theta(a | s, z), one z ~ N(m_i, s_i^2) in each
        m, s    <- (m_i, log s_i) - alpha * grad L_inner(m_i, log s_i, D_i)
        D'_i    <- episodes of pi_theta(a | s, z), one z ~ N(m, s^2) in each
    theta, all m_i, s_i, alpha <- TRPO step on                                 # update
        mean_i L(theta, m(m_i, s_i, alpha), s(...), D'_i) + w KL(N(m_i, s_i^2), N(0, I))

A new task starts from the prior, z ~ N(0, I); only the latent adapts. No expert is asked, unless
theta and all m_i start from imitation of their labels (`pretrain_steps`), as those of GMPS with a
latent do.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from gmps.core.adapt import inner_batch
from gmps.core.encoders import Identity
from gmps.core.losses import InnerBatch
from gmps.core.nets import GaussianPolicy, subset_mask
from gmps.core.policy import Policy
from gmps.core.surrogates import ratio_loss
from gmps.core.types import Demonstrations, Trajectories, env_steps, stack, task_count
from gmps.data.aggregate import start_aggregate
from gmps.deploy.adaptation import LOG_STD_RANGE
from gmps.methods.base import Gathered, Method, Metrics, Needs, mean_returns
from gmps.methods.deployed import Deployed
from gmps.methods.gmps_latent_settings import LatentSettings
from gmps.methods.inner_step import mean_step_size
from gmps.methods.latent import (
    Latent,
    LatentActor,
    LatentPolicy,
    given_noise,
    prior,
    prior_kl,
    with_held,
)
from gmps.methods.latent_imitation import LatentParams, imitate_own, start_latents
from gmps.methods.maesn_settings import MaesnConfig
from gmps.methods.normalisation import normalised_by_rollout
from gmps.methods.outer import trpo_step


class MaesnParams(NamedTuple):
    """What the outer loop learns."""

    #: The head of the policy, which acts on observations; `z` takes the place of its bias
    #: transformation.
    net: GaussianPolicy
    #: The latent of each training task before adaptation, leaves `(task, z)`.
    latents: Latent
    #: Step sizes of the latent's mean and log deviation, leaves `(z,)`, of all tasks.
    step_sizes: Latent


class MaesnState(NamedTuple):
    """Everything that training carries from round to round."""

    params: MaesnParams
    round: Int[Array, ""]


@dataclass(frozen=True, eq=False)
class Maesn(Method[MaesnConfig, MaesnState, LatentPolicy]):
    """MAESN on the training tasks of a world."""

    Settings: ClassVar[type] = MaesnConfig

    @classmethod
    def takes(cls, config: MaesnConfig) -> Needs:
        """The experts' labels, for the start; by default nothing."""
        return "demonstrations" if config.pretrain_steps else "nothing"

    def init(self, key: Key[Array, ""], demos: Demonstrations) -> MaesnState:
        """Latent deviations 1, and a random network and latent means; or, with `pretrain_steps`,
        those that imitate `demos`."""
        config = self.config
        start = self._imitated if config.pretrain_steps else self._random
        net_key, latent_key = jax.random.split(key)
        net, means = start(net_key, latent_key, demos)
        params = MaesnParams(
            net=net,
            latents=Latent(means, jnp.zeros_like(means)),
            step_sizes=jax.tree.map(
                lambda x: jnp.full_like(x, config.step_size), prior(config.latent)
            ),
        )
        return MaesnState(params, jnp.zeros((), jnp.int32))

    def _random(
        self, net_key: Key[Array, ""], latent_key: Key[Array, ""], demos: Demonstrations
    ) -> tuple[GaussianPolicy, Float[Array, "task z"]]:
        """A random network and random means of the latents."""
        del demos
        shape = (task_count(self.tasks), self.config.latent)
        return self.random_policy(net_key).head, jax.random.normal(latent_key, shape, jnp.float32)

    def _imitated(
        self, net_key: Key[Array, ""], latent_key: Key[Array, ""], demos: Demonstrations
    ) -> tuple[GaussianPolicy, Float[Array, "task z"]]:
        """A network and means of the latents that imitate `demos`.

        Imitation wants narrow latents too. They would leave the inner step nothing to find out, and
        a new task starts as wide as the prior: so does training.
        """
        config = self.config
        start = LatentParams(
            self.untrained(net_key, demos),
            start_latents(task_count(self.tasks), config.latent, latent_key),
            (),
        )
        imitation = LatentSettings(latent=config.latent, pretrain_steps=config.pretrain_steps)
        key = jax.random.fold_in(latent_key, 1)
        found = imitate_own(start, start_aggregate(demos, 0), key, imitation, None)
        return found.net.head, found.latents.mean

    def imitation_steps(self, rounds: int) -> int:
        """Those of the start."""
        del rounds
        return self.config.pretrain_steps

    def policy(self, state: MaesnState) -> LatentPolicy:
        """The policy before adaptation to a new task: its latent is the prior."""
        return LatentPolicy(Policy(Identity(), state.params.net), prior(self.config.latent))

    def adapt(self, state: MaesnState, policies: LatentPolicy, data: Trajectories) -> LatentPolicy:
        """One inner step of each task's latent on its own trajectories."""
        return _adapt(state.params.step_sizes, policies, self._batch(data))

    def deployed(self, state: MaesnState) -> Deployed:
        """A policy-gradient step of the latent's mean and log deviation."""
        policy, config = self.policy(state), self.config
        settings = {
            "kind": "latent-gradient",
            "discount": config.discount,
            "gae_lambda": config.gae_lambda,
        }
        sizes = state.params.step_sizes._asdict()
        arrays = {f"step_sizes/{name}": np.asarray(x) for name, x in sizes.items()}
        return Deployed(policy.net, settings, arrays, policy.latent)

    def actor(self, stochastic: bool = True) -> LatentActor:
        """Draws one `z` an episode; `stochastic=False` takes its mean, and that of the action."""
        return LatentActor(self.world.family.spec.act_size, self.config.latent, stochastic)

    def gather(self, state: MaesnState, key: Key[Array, ""]) -> tuple[MaesnState, Gathered]:
        """Episodes before the inner step and after it."""
        config, n = self.config, task_count(self.tasks)
        before_key, after_key, scale_key = jax.random.split(key, 3)
        spent = 0
        if config.normalise and not config.pretrain_steps and int(state.round) == 0:
            state, spent = self._scale(state, scale_key)
        actor, params = self.actor(), state.params
        policies = LatentPolicy(Policy(Identity(), stack(params.net, n)), params.latents)
        data: list[Trajectories] = []
        for roll_key in (before_key, after_key):
            if data:
                policies = self.adapt(state, policies, data[-1])
            roll = self.world.rollout(actor, policies, self.tasks, config.episodes, roll_key)
            data.append(roll.trajectories)
        before, after = data
        spent += env_steps(before) + env_steps(after)
        batches = self._batch(before), self._batch(after)
        return state, Gathered(batches, mean_returns(before, after), {"meta": spent})

    def _batch(self, data: Trajectories) -> InnerBatch:
        """Advantages by a baseline of observations alone; then the noise joins these."""
        config = self.config
        plain = inner_batch(data, discount=config.discount, gae_lambda=config.gae_lambda)
        return with_held(plain, data)

    def _scale(self, state: MaesnState, key: Key[Array, ""]) -> tuple[MaesnState, int]:
        # The network alone is the policy whose z is 0, the mean of the prior.
        policy = Policy(Identity(), state.params.net)
        policy, spent = normalised_by_rollout(
            self.world, self.tasks, policy, self.config.episodes, key
        )
        return state._replace(params=state.params._replace(net=policy.head)), spent

    def learn(
        self, state: MaesnState, batches: tuple[InnerBatch, InnerBatch], key: Key[Array, ""]
    ) -> tuple[MaesnState, Metrics]:
        """One outer step on episodes before the inner step and after it. Draws nothing from the
        key."""
        del key
        config, (before, after) = self.config, batches

        def kl(params: MaesnParams) -> Float[Array, ""]:
            return jax.vmap(prior_kl)(params.latents).mean()

        params, metrics = trpo_step(
            lambda p: adapted(p, before),
            state.params,
            learned(state.params, config),
            after,
            config.trust_region,
            lambda p: config.kl_weight * kl(p),
        )
        metrics |= {
            "latent/kl": kl(params),
            "latent/spread": jnp.sqrt(params.latents.mean.var(0).mean()),
            "latent/std": jnp.exp(params.latents.log_std).mean(),
            "policy/std": jnp.exp(params.net.log_std).mean(),
            "policy/step_size": mean_step_size(params.step_sizes),
        }
        return MaesnState(params, state.round + 1), metrics


def inner_step(
    net: GaussianPolicy, latent: Latent, step_sizes: Latent, batch: InnerBatch
) -> Latent:
    """One task's latent after a policy-gradient step on its own episodes; `net` stays."""
    gradient = jax.grad(lambda x: ratio_loss(given_noise(net, x), batch))(latent)
    mean, log_std = jax.tree.map(lambda x, a, g: x - a * g, latent, step_sizes, gradient)
    return Latent(mean, jnp.clip(log_std, *LOG_STD_RANGE))


@jax.jit
def _adapt(step_sizes: Latent, policies: LatentPolicy, batch: InnerBatch) -> LatentPolicy:
    step = jax.vmap(inner_step, (0, 0, None, 0))
    return LatentPolicy(policies.net, step(policies.net.head, policies.latent, step_sizes, batch))


def adapted(params: MaesnParams, before: InnerBatch) -> GaussianPolicy:
    """The policies of all tasks after the inner step on their own episodes.

    They act on `[observation, noise]` (`gmps.methods.latent.given_noise`).
    """

    def one_task(latent: Latent, batch: InnerBatch) -> GaussianPolicy:
        latent = inner_step(params.net, latent, params.step_sizes, batch)
        return given_noise(params.net, latent)

    return jax.vmap(one_task)(params.latents, before)


def learned(params: MaesnParams, config: MaesnConfig) -> PyTree[bool]:
    """Which leaves the outer loop changes."""
    net = subset_mask(params.net, "all" if config.learn_std else "mean")
    return MaesnParams(
        net=eqx.tree_at(lambda p: p.bias_transform, net, False),
        latents=jax.tree.map(lambda _: True, params.latents),
        step_sizes=jax.tree.map(lambda _: config.learn_step_sizes, params.step_sizes),
    )
