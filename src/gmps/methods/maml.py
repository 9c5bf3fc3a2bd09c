"""Model-agnostic meta-learning for policies (Finn et al. 2017, algorithm 3).

for each round:
    for each task i:                                                     # gather
        D_i   <- episodes of pi_theta in task i
        phi_i <- theta - alpha * grad L_inner(theta, D_i)
        D'_i  <- episodes of pi_phi_i
    theta, alpha <- outer step on mean_i L(phi_i(theta, alpha), D'_i)    # update

The outer step is a trust-region step that limits the KL of the policies after the inner step
(TRPO), or some Adam steps on a clipped surrogate (ProMP, Rothfuss et al. 2019). No expert.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, PyTree

from gmps.core.adapt import adapt, init_step_sizes, inner_batch
from gmps.core.encoders import Identity
from gmps.core.losses import InnerBatch, policy_gradient_loss
from gmps.core.meta_gradient import MetaParams
from gmps.core.nets import GaussianPolicy, subset_mask
from gmps.core.optimise import over_tasks
from gmps.core.policy import Policy
from gmps.core.surrogates import action_distributions, mean_kl, ratio_loss
from gmps.core.types import Demonstrations, Trajectories, env_steps, stack, task_count
from gmps.deploy.adaptation import gradient_share
from gmps.methods.base import Gathered, Method, Metrics
from gmps.methods.deployed import Deployed, by_gradient
from gmps.methods.inner_step import adapt_step, mean_step_size
from gmps.methods.maml_settings import MamlConfig
from gmps.methods.normalisation import normalised_by_rollout
from gmps.methods.outer import ppo_steps, start_optimiser, trpo_step

#: How fast steps after those of training shrink. Its step sizes carry the policy as far as one step
#: can; the next gradient is as long, and a seventh of it leaps over the goal again. Chosen on
#: validation tasks of point-goal.
FURTHER = 27.0
#: The inner loss of each kind of sampling term.
_INNER_LOSS = {"ratio": ratio_loss, "none": policy_gradient_loss}


class MamlState(NamedTuple):
    """Everything that training carries from round to round."""

    #: The head of the policy, which acts on observations, and its step sizes.
    params: MetaParams
    opt_state: optax.OptState
    round: Int[Array, ""]


@dataclass(frozen=True, eq=False)
class Maml(Method[MamlConfig, MamlState, Policy]):
    """MAML on the training tasks of a world."""

    Settings: ClassVar[type] = MamlConfig

    def init(self, key: Key[Array, ""], demos: Demonstrations) -> MamlState:
        """Random parameters; `demos` are not used."""
        del demos
        config = self.config
        head = self.random_policy(key).head
        params = MetaParams(head, init_step_sizes(head, config.step_sizes, config.step_size))
        opt_state = start_optimiser(config.outer, config.ppo, params)
        return MamlState(params, opt_state, jnp.zeros((), jnp.int32))

    def policy(self, state: MamlState) -> Policy:
        """The policy before adaptation."""
        return Policy(Identity(), state.params.policy)

    def adapt(self, state: MamlState, policies: Policy, data: Trajectories) -> Policy:
        """One inner step of each task's policy on its own trajectories."""
        return adapt_step(state.params, policies, self._batch(data), self.config.subset)

    def share(self, step: int) -> float:
        """Whole steps as in training, then smaller ones."""
        return gradient_share(step, self.config.inner_steps, FURTHER)

    def deployed(self, state: MamlState) -> Deployed:
        """A policy-gradient step with the step sizes."""
        config = self.config
        return by_gradient(
            self.policy(state),
            state.params.step_sizes,
            subset=config.subset,
            whole=config.inner_steps,
            decay=FURTHER,
            discount=config.discount,
            gae_lambda=config.gae_lambda,
        )

    def gather(self, state: MamlState, key: Key[Array, ""]) -> tuple[MamlState, Gathered]:
        """Episodes before each inner step and after the last."""
        config, n = self.config, task_count(self.tasks)
        *inner_keys, last_key, scale_key = jax.random.split(key, config.inner_steps + 2)
        spent, returns, batches = 0, [], []
        if config.normalise and int(state.round) == 0:
            state, spent = self._scale(state, scale_key)
        actor = self.actor()
        policies = stack(self.policy(state), n)
        for inner_key in (*inner_keys, last_key):
            if batches:
                policies = adapt_step(state.params, policies, batches[-1], config.subset)
            roll = self.world.rollout(actor, policies, self.tasks, config.episodes, inner_key)
            batches.append(self._batch(roll.trajectories))
            returns.append(float(roll.trajectories.returns.mean()))
            spent += env_steps(roll.trajectories)
        metrics = {"return/before": returns[0], "return/after": returns[-1]}
        gathered = Gathered((tuple(batches[:-1]), batches[-1]), metrics, {"meta": spent})
        return state, gathered

    def _batch(self, data: Trajectories) -> InnerBatch:
        return inner_batch(data, discount=self.config.discount, gae_lambda=self.config.gae_lambda)

    def _scale(self, state: MamlState, key: Key[Array, ""]) -> tuple[MamlState, int]:
        policy, spent = normalised_by_rollout(
            self.world, self.tasks, self.policy(state), self.config.episodes, key
        )
        return state._replace(params=state.params._replace(policy=policy.head)), spent

    def learn(
        self,
        state: MamlState,
        batches: tuple[tuple[InnerBatch, ...], InnerBatch],
        key: Key[Array, ""],
    ) -> tuple[MamlState, Metrics]:
        """One outer step on episodes before the inner steps and after them, or some on the same
        episodes. Draws nothing from the key."""
        del key
        config, (before, after) = self.config, batches
        params, opt_state, round_ = state
        mask = learned(params, config)

        def policies(params: MetaParams) -> GaussianPolicy:
            return adapted(params, before, config)

        if config.outer == "trpo":
            params, metrics = trpo_step(policies, params, mask, after, config.trust_region)
        else:
            penalty = _penalty(params, before[0], config)
            params, opt_state, metrics = ppo_steps(
                policies, params, mask, after, config.ppo, opt_state, penalty
            )
        metrics |= {
            "policy/std": jnp.exp(params.policy.log_std).mean(),
            "policy/step_size": mean_step_size(params.step_sizes),
        }
        return MamlState(params, opt_state, round_ + 1), metrics


def adapted(
    params: MetaParams, batches: tuple[InnerBatch, ...], config: MamlConfig
) -> GaussianPolicy:
    """The policies of all tasks after the inner steps on their own `batches`.

    With `sampling="ratio"` the derivative with respect to the parameters includes how the
    distribution of the episodes moves with the policy; the value is the same either way where
    `params.policy` collected the episodes.
    """
    inner = partial(
        adapt,
        params.policy,
        params.step_sizes,
        subset=config.subset,
        first_order=config.first_order,
        loss=_INNER_LOSS[config.sampling],
    )
    return over_tasks(inner, batches)


def learned(params: MetaParams, config: MamlConfig) -> PyTree[bool]:
    """Which leaves the outer loop changes."""
    policy = subset_mask(params.policy, "all" if config.learn_std else "mean")
    return MetaParams(policy, jax.tree.map(lambda _: config.learn_step_sizes, params.step_sizes))


def _penalty(old: MetaParams, batch: InnerBatch, config: MamlConfig) -> Any:
    """Weighted KL of the policy before the update, from the collecting one (ProMP, eq. 8)."""
    outputs = jax.vmap(action_distributions, (None, 0, 0))
    before = outputs(old.policy, batch.obs, batch.alive)

    def penalty(params: MetaParams) -> Float[Array, ""]:
        now = outputs(params.policy, batch.obs, batch.alive)
        return config.ppo.kl_weight * jax.vmap(mean_kl)(before, now, batch.alive).mean()

    return penalty
