"""One policy for all tasks, without their parameter, by imitation of the experts.

before the first round: theta <- Adam on mean_i L_imitation(theta, D_i), D_i the experts' episodes
for each round:
    every `tune_every` rounds: exploration and alpha <- those with the best return      # gather
        after a plain step, on the training tasks
    theta <- more Adam steps on the same loss                                           # update
at test: theta - alpha * grad L_PG(theta, D)

The plain control of the evaluation (`gmps.methods.plain`) as a method of its own.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key

from gmps.core.adapt import inner_batch
from gmps.core.nets import GaussianPolicy, with_std
from gmps.core.optimise import descend
from gmps.core.types import Demonstrations, Task, Trajectories, env_steps, task_count
from gmps.data.aggregate import Aggregate, sample, start_aggregate
from gmps.methods.base import Gathered, stack
from gmps.methods.gaussian import GaussianMethod
from gmps.methods.imitation import blind_loss, imitate
from gmps.methods.multitask_bc_settings import MultitaskBcConfig
from gmps.methods.plain import plain_step, tune
from gmps.worlds.base import World


class MultitaskBcState(NamedTuple):
    """Everything that training carries from round to round."""

    policy: GaussianPolicy
    opt_state: optax.OptState
    data: Aggregate
    #: Step size of the fine-tuning; 0 before the first search.
    step_size: Float[Array, ""]
    round: Int[Array, ""]


@dataclass(frozen=True)
class MultitaskBc(GaussianMethod):
    """One imitator on the training tasks of a world."""

    config: MultitaskBcConfig
    world: World
    tasks: Task

    def init(self, key: Key[Array, ""], demos: Demonstrations) -> MultitaskBcState:
        """An imitator of `demos`."""
        config = self.config
        key_init, key_pretrain = jax.random.split(key)
        data = start_aggregate(demos, 0)
        policy, _ = imitate(
            self.untrained(key_init, demos),
            data,
            key_pretrain,
            steps=config.pretrain_steps,
            learning_rate=config.learning_rate,
            labels=config.labels,
            kind=config.imitation,
        )
        opt_state = optax.adam(config.learning_rate).init(policy)  # pyright: ignore[reportArgumentType]
        zero = jnp.zeros((), jnp.float32)
        return MultitaskBcState(policy, opt_state, data, zero, jnp.zeros((), jnp.int32))

    def labels(self, state: MultitaskBcState) -> Aggregate:
        """The experts' own trajectories."""
        return state.data

    def policy(self, state: MultitaskBcState) -> GaussianPolicy:
        """The policy before adaptation."""
        return state.policy

    def adapt(
        self, state: MultitaskBcState, policies: GaussianPolicy, data: Trajectories
    ) -> GaussianPolicy:
        """One plain policy-gradient step of each task's policy on its own trajectories."""
        return plain_step(policies, state.step_size, inner_batch(data))

    def gather(
        self, state: MultitaskBcState, key: Key[Array, ""]
    ) -> tuple[MultitaskBcState, Gathered]:
        """Sometimes a search for exploration and step size; then episodes that measure them."""
        config, n = self.config, task_count(self.tasks)
        own_key, after_key, *tune_keys = jax.random.split(key, 4)
        spent = 0
        if int(state.round) % config.tune_every == 0:
            found = tune(
                self.world,
                self.tasks,
                {std: with_std(state.policy, std) for std in config.stds},
                (tune_keys[0], tune_keys[1]),
                step_sizes=config.step_sizes,
                episodes=config.episodes,
                measure_episodes=config.measure_episodes,
            )
            state = state._replace(policy=found.policy, step_size=jnp.float32(found.step_size))
            spent = found.env_steps
        actor, policies = self.actor(), stack(state.policy, n)
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
        steps = {"meta": spent, "evaluation": env_steps(own) + env_steps(after)}
        return state, Gathered((), metrics, steps)

    def update(
        self, state: MultitaskBcState, gathered: Gathered, key: Key[Array, ""]
    ) -> tuple[MultitaskBcState, dict[str, Float[Array, ""]]]:
        """Further steps of imitation."""
        del gathered
        return _update(state, key, self.config)


@partial(jax.jit, static_argnames="config")
def _update(
    state: MultitaskBcState, key: Key[Array, ""], config: MultitaskBcConfig
) -> tuple[MultitaskBcState, dict[str, Float[Array, ""]]]:
    """Adam steps on the imitation loss; the standard deviation has no part in it but `nll`'s."""
    optimiser = optax.adam(config.learning_rate)

    def step(carry: tuple, key: Key[Array, ""]) -> tuple[tuple, Float[Array, ""]]:
        policy, opt_state = carry
        labels = sample(state.data, config.labels, key)
        loss, gradient = jax.value_and_grad(blind_loss)(policy, labels, config.imitation)
        return descend(optimiser, gradient, opt_state, policy), loss

    start = (state.policy, state.opt_state)
    (policy, opt_state), losses = jax.lax.scan(step, start, jax.random.split(key, config.steps))
    metrics = {
        "loss/imitation": losses.mean(),
        "policy/std": jnp.exp(policy.log_std).mean(),
        "policy/step_size": state.step_size,
    }
    return state._replace(policy=policy, opt_state=opt_state, round=state.round + 1), metrics
