"""One policy for all tasks, without their parameter, by reinforcement learning.

for each round:
    D_i  <- episodes of pi_theta in each task i                          # gather
    every `tune_every` rounds: alpha <- the step size with the best return after a plain step
    theta <- TRPO, or PPO, on mean_i L(theta, D_i)                       # update
at test: theta - alpha * grad L_PG(theta, D)

It maximises the mean return over tasks; nothing prepares it for its fine-tuning. No expert.
"""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from gmps.core.adapt import inner_batch
from gmps.core.losses import InnerBatch
from gmps.core.nets import subset_mask
from gmps.core.policy import Policy
from gmps.core.types import Demonstrations, env_steps, stack
from gmps.methods.base import Gathered, Metrics, mean_returns
from gmps.methods.fine_tuning import FineTuned, FineTunedState
from gmps.methods.multitask_settings import MultitaskConfig
from gmps.methods.normalisation import normalised_by_rollout
from gmps.methods.outer import ppo_steps, start_optimiser, trpo_step


@dataclass(frozen=True, eq=False)
class Multitask(FineTuned[MultitaskConfig]):
    """One policy on the training tasks of a world."""

    Settings: ClassVar[type] = MultitaskConfig

    def init(self, key: Key[Array, ""], demos: Demonstrations) -> FineTunedState:
        """A random policy; `demos` are not used."""
        del demos
        policy = self.random_policy(key)
        opt_state = start_optimiser(self.config.outer, self.config.ppo, policy)
        zero = jnp.zeros((), jnp.float32)
        return FineTunedState(policy, opt_state, zero, jnp.zeros((), jnp.int32))

    def explorers(self, policy: Policy) -> dict[float, Policy]:
        """The policy alone: its standard deviation is learned."""
        return {float(policy.action_std.mean()): policy}

    def gather(self, state: FineTunedState, key: Key[Array, ""]) -> tuple[FineTunedState, Gathered]:
        """Episodes in all tasks; sometimes a search for the step size."""
        config = self.config
        scale_key, own_key, after_key, *tune_keys = jax.random.split(key, 5)
        spent = 0
        if config.normalise and int(state.round) == 0:
            policy, spent = normalised_by_rollout(
                self.world, self.tasks, state.policy, config.episodes, scale_key
            )
            state = state._replace(policy=policy)
        state, searched = self.tuned(state, *tune_keys)
        own, after = self.measured(state, own_key, after_key)
        steps = {"meta": spent + searched + env_steps(own), "evaluation": env_steps(after)}
        batch = inner_batch(own, discount=config.discount, gae_lambda=config.gae_lambda)
        return state, Gathered(batch, mean_returns(own, after), steps)

    def learn(
        self, state: FineTunedState, batches: InnerBatch, key: Key[Array, ""]
    ) -> tuple[FineTunedState, Metrics]:
        """One trust-region step on the episodes of all tasks, or some clipped ones. Draws nothing
        from the key."""
        del key
        config, n = self.config, batches.alive.shape[0]
        policy, opt_state = state.policy, state.opt_state
        learned = Policy(policy.encoder, subset_mask(policy.head, "all"))

        def heads(policy: Policy):
            return stack(policy.head, n)

        if config.outer == "trpo":
            policy, metrics = trpo_step(heads, policy, learned, batches, config.trust_region)
        else:
            policy, opt_state, metrics = ppo_steps(
                heads, policy, learned, batches, config.ppo, opt_state
            )
        metrics |= {
            "policy/std": policy.action_std.mean(),
            "policy/step_size": state.step_size,
        }
        return state._replace(policy=policy, opt_state=opt_state, round=state.round + 1), metrics
