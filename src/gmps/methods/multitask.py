"""One policy for all tasks, without their parameter, by reinforcement learning.

for each round:
    D_i  <- episodes of pi_theta in each task i                          # gather
    every `tune_every` rounds: alpha <- the step size with the best return after a plain step
    theta <- TRPO, or PPO, on mean_i L(theta, D_i)                       # update
at test: theta - alpha * grad L_PG(theta, D)

It maximises the mean return over tasks; nothing prepares it for its fine-tuning. No expert.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from gmps.core.adapt import inner_batch
from gmps.core.losses import InnerBatch
from gmps.core.nets import GaussianPolicy, subset_mask
from gmps.core.types import Demonstrations, Task, Trajectories, env_steps, task_count
from gmps.methods.base import Gathered, stack
from gmps.methods.gaussian import GaussianMethod, fresh_policy
from gmps.methods.multitask_settings import MultitaskConfig
from gmps.methods.outer import Metrics, ppo_steps, start_optimiser, trpo_step
from gmps.methods.own_scale import scaled_to
from gmps.methods.plain import plain_step, tune
from gmps.worlds.base import World


class MultitaskState(NamedTuple):
    """Everything that training carries from round to round."""

    policy: GaussianPolicy
    opt_state: optax.OptState
    #: Step size of the fine-tuning; 0 before the first search.
    step_size: Float[Array, ""]
    round: Int[Array, ""]


@dataclass(frozen=True)
class Multitask(GaussianMethod):
    """One policy on the training tasks of a world."""

    config: MultitaskConfig
    world: World
    tasks: Task

    def init(self, key: Key[Array, ""], demos: Demonstrations) -> MultitaskState:
        """A random policy; `demos` are not used."""
        del demos
        policy = fresh_policy(self.config, self.world.family.spec, key)
        opt_state = start_optimiser(self.config.outer, self.config.ppo, policy)
        zero = jnp.zeros((), jnp.float32)
        return MultitaskState(policy, opt_state, zero, jnp.zeros((), jnp.int32))

    def labels(self, state: MultitaskState) -> None:
        """None: no expert is asked."""
        del state

    def policy(self, state: MultitaskState) -> GaussianPolicy:
        """The policy before adaptation."""
        return state.policy

    def adapt(
        self, state: MultitaskState, policies: GaussianPolicy, data: Trajectories
    ) -> GaussianPolicy:
        """One plain policy-gradient step of each task's policy on its own trajectories."""
        return plain_step(policies, state.step_size, inner_batch(data))

    def gather(self, state: MultitaskState, key: Key[Array, ""]) -> tuple[MultitaskState, Gathered]:
        """Episodes in all tasks; sometimes a search for the step size."""
        config, n = self.config, task_count(self.tasks)
        scale_key, own_key, after_key, *tune_keys = jax.random.split(key, 5)
        spent, policy = 0, state.policy
        if config.normalise and int(state.round) == 0:
            policy, spent = scaled_to(self.world, self.tasks, policy, config.episodes, scale_key)
            state = state._replace(policy=policy)
        if int(state.round) % config.tune_every == 0:
            found = tune(
                self.world,
                self.tasks,
                {float(jnp.exp(policy.log_std).mean()): policy},
                (tune_keys[0], tune_keys[1]),
                step_sizes=config.step_sizes,
                episodes=config.episodes,
                measure_episodes=config.measure_episodes,
            )
            state = state._replace(step_size=jnp.float32(found.step_size))
            spent += found.env_steps
        actor, policies = self.actor(), stack(policy, n)
        own = self.world.rollout(actor, policies, self.tasks, config.episodes, own_key).trajectories
        after = self.world.rollout(
            actor,
            self.adapt(state, policies, own),
            self.tasks,
            config.measure_episodes,
            after_key,
        ).trajectories
        metrics = {
            "return/before": float(own.returns.mean()),
            "return/after": float(after.returns.mean()),
        }
        steps = {"meta": spent + env_steps(own), "evaluation": env_steps(after)}
        batch = inner_batch(own, discount=config.discount, gae_lambda=config.gae_lambda)
        return state, Gathered(batch, metrics, steps)

    def update(
        self, state: MultitaskState, gathered: Gathered, key: Key[Array, ""]
    ) -> tuple[MultitaskState, Metrics]:
        """One trust-region step, or some clipped ones. Draws nothing from the key."""
        del key
        return _update(state, gathered.batches, self.config)


@partial(jax.jit, static_argnames="config")
def _update(
    state: MultitaskState, batch: InnerBatch, config: MultitaskConfig
) -> tuple[MultitaskState, Metrics]:
    """The policy after its steps on the episodes of all tasks."""
    policy, opt_state, step_size, round_ = state
    policies = lambda p: stack(p, batch.alive.shape[0])  # noqa: E731
    mask = subset_mask(policy, "all")
    if config.outer == "trpo":
        policy, metrics = trpo_step(policies, policy, mask, batch, config.trust_region)
    else:
        policy, opt_state, metrics = ppo_steps(policies, policy, mask, batch, config.ppo, opt_state)
    metrics |= {"policy/std": jnp.exp(policy.log_std).mean(), "policy/step_size": step_size}
    return MultitaskState(policy, opt_state, step_size, round_ + 1), metrics
