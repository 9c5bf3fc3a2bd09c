"""A method of your own in one file: Reptile (Nichol et al. 2018, arXiv:1803.02999) for policies.

for each round:
    for each task i: phi_i <- theta                                      # gather
        `steps` times: D <- episodes of phi_i; phi_i <- phi_i - alpha * grad L_PG(phi_i, D)
    theta <- theta + rate * mean_i(phi_i - theta)                        # learn

The name of the class is the prefix of its settings. Try:

    gmps train point-goal --method examples/own_method.py:Reptile --reptile.rate 0.5
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key

from gmps.core.adapt import inner_batch
from gmps.core.policy import Policy
from gmps.core.types import Demonstrations, Trajectories, env_steps, stack, task_count
from gmps.methods.base import Gathered, Method, Metrics, mean_returns
from gmps.methods.fine_tuning import plain_step
from gmps.methods.normalisation import normalised_by_rollout
from gmps.settings import Settings, setting


@dataclass(frozen=True)
class ReptileConfig(Settings):
    """Settings of Reptile."""

    episodes: int = setting(10, at_least=1)
    """Episodes of each task for one inner step."""
    steps: int = setting(3, at_least=1)
    """Inner policy-gradient steps, each from episodes of its own."""
    step_size: float = setting(0.1, at_least=0)
    """Size of an inner step."""
    rate: float = setting(0.5, above=0, at_most=1)
    """How far the policy moves towards the mean of the adapted ones."""
    hidden: tuple[int, ...] = setting((64, 64), at_least=1, not_empty="layer")
    """Hidden layers of the policy."""
    bias_size: int = setting(4, at_least=0)
    """Size of the bias transformation; 0 switches it off."""
    std: float = setting(0.5, above=0, at_most=100)
    """Standard deviation of the actions."""
    normalise: bool = True
    """Shift and scale observations by the mean and std of the first round's own episodes."""


class ReptileState(NamedTuple):
    """Everything that training carries from round to round: arrays alone."""

    policy: Policy
    round: Int[Array, ""]


@dataclass(frozen=True, eq=False)
class Reptile(Method[ReptileConfig, ReptileState, Policy]):
    """Reptile on the training tasks of a world; `gmps.methods.base.Method` says what must be."""

    Settings: ClassVar[type] = ReptileConfig

    def init(self, key: Key[Array, ""], demos: Demonstrations) -> ReptileState:
        """A random policy; experts are not asked (`needs` is "nothing")."""
        return ReptileState(self.random_policy(key), jnp.zeros((), jnp.int32))

    def policy(self, state: ReptileState) -> Policy:
        """The policy before adaptation."""
        return state.policy

    def adapt(self, state: ReptileState, policies: Policy, data: Trajectories) -> Policy:
        """One plain policy-gradient step of each task's policy on its own trajectories."""
        return plain_step(policies, jnp.float32(self.config.step_size), inner_batch(data))

    def gather(self, state: ReptileState, key: Key[Array, ""]) -> tuple[ReptileState, Gathered]:
        """Adapt to each task, some steps; what is learned from are the adapted policies."""
        config, policy, spent = self.config, state.policy, 0
        scale_key, *keys = jax.random.split(key, config.steps + 2)
        if config.normalise and int(state.round) == 0:
            policy, spent = normalised_by_rollout(
                self.world, self.tasks, policy, config.episodes, scale_key
            )
        policies, episodes = stack(policy, task_count(self.tasks)), []
        for step_key in keys:
            if episodes:
                policies = self.adapt(state, policies, episodes[-1])
            roll = self.world.rollout(self.actor(), policies, self.tasks, config.episodes, step_key)
            episodes.append(roll.trajectories)
            spent += env_steps(roll.trajectories)
        metrics = mean_returns(episodes[0], episodes[1])
        return state._replace(policy=policy), Gathered(policies, metrics, {"meta": spent})

    def learn(
        self, state: ReptileState, batches: Policy, key: Key[Array, ""]
    ) -> tuple[ReptileState, Metrics]:
        """Move towards the mean of the adapted policies. Compiled once, for all rounds."""
        mean = jax.tree.map(lambda x: x.mean(0), batches)
        policy = jax.tree.map(lambda a, b: a + self.config.rate * (b - a), state.policy, mean)
        gaps = jax.tree.map(lambda a, b: jnp.sum((b - a) ** 2), state.policy, batches)
        far = jnp.sqrt(sum(jax.tree.leaves(gaps)) / task_count(self.tasks))
        return ReptileState(policy, state.round + 1), {"loss/distance": far}
