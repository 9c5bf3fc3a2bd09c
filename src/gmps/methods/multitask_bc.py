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
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from gmps.core.choices import Baseline
from gmps.core.optimise import descend
from gmps.core.policy import Policy
from gmps.core.returns import check_without_state
from gmps.core.types import Demonstrations, env_steps
from gmps.data.aggregate import Aggregate, sample, start_aggregate
from gmps.methods.base import Gathered, Metrics, Needs, mean_returns
from gmps.methods.fine_tuning import FineTuned, FineTunedState
from gmps.methods.imitation import bc_loss, imitate
from gmps.methods.multitask_bc_settings import MultitaskBcConfig
from gmps.methods.normalisation import renormalised
from gmps.tasks.base import TaskFamily

#: Labels of each task whose features set the scale of the head's inputs, where these are learned.
SCALE_LABELS = 100


@dataclass(frozen=True, eq=False)
class MultitaskBc(FineTuned[MultitaskBcConfig]):
    """One imitator on the training tasks of a world."""

    Settings: ClassVar[type] = MultitaskBcConfig
    needs: ClassVar[Needs] = "demonstrations"
    pictures: ClassVar[bool] = True

    @classmethod
    def require_fit(cls, config: MultitaskBcConfig, family: TaskFamily) -> None:
        """That no baseline reads the state where the learner is shown pictures."""
        if family.has_camera:
            check_without_state(config.baseline)

    @property
    def baseline(self) -> Baseline:
        """What the plain step subtracts from returns."""
        return self.config.baseline

    def init(self, key: Key[Array, ""], demos: Demonstrations) -> FineTunedState:
        """An imitator of `demos`."""
        key_init, key_imitate = jax.random.split(key)
        return self.start(self.untrained(key_init, demos), start_aggregate(demos, 0), key_imitate)

    def start(self, untrained: Policy, data: Aggregate, key: Key[Array, ""]) -> FineTunedState:
        """An imitator of `data` that was never tuned."""
        config = self.config
        policy, _ = imitate(
            untrained,
            data,
            key,
            steps=config.pretrain_steps,
            learning_rate=config.learning_rate,
            batch_size=config.labels,
            kind=config.imitation,
        )
        policy = renormalised(policy, sample(data, SCALE_LABELS, jax.random.fold_in(key, 1)))
        opt_state = optax.adam(config.learning_rate).init(policy)  # pyright: ignore[reportArgumentType]
        zero = jnp.zeros((), jnp.float32)
        return FineTunedState(policy, opt_state, zero, jnp.zeros((), jnp.int32), data)

    def explorers(self, policy: Policy) -> dict[float, Policy]:
        """The policy with each standard deviation that is tried: imitation says nothing of it."""
        return {std: policy.with_std(std) for std in self.config.stds}

    def imitation_steps(self, rounds: int) -> int:
        """Before the first round, and in each."""
        return self.config.pretrain_steps + rounds * self.config.steps

    def aggregate(self, state: FineTunedState) -> Aggregate | None:
        """The experts' own trajectories."""
        return state.data

    def gather(self, state: FineTunedState, key: Key[Array, ""]) -> tuple[FineTunedState, Gathered]:
        """Sometimes a search for exploration and step size; then episodes that measure them."""
        own_key, after_key, *tune_keys = jax.random.split(key, 4)
        state, searched = self.tuned(state, *tune_keys)
        own, after = self.measured(state, own_key, after_key)
        steps = {"meta": searched, "evaluation": env_steps(own) + env_steps(after)}
        return state, Gathered((), mean_returns(own, after), steps)

    def learn(
        self, state: FineTunedState, batches: tuple[()], key: Key[Array, ""]
    ) -> tuple[FineTunedState, Metrics]:
        """Adam steps on the imitation loss; the standard deviation has a part in `nll` alone."""
        del batches
        config, data = self.config, state.data
        assert data is not None
        optimiser = optax.adam(config.learning_rate)

        def step(carry: tuple, key: Key[Array, ""]) -> tuple[tuple, Float[Array, ""]]:
            policy, opt_state = carry
            labelled = sample(data, config.labels, key)
            loss, gradient = jax.value_and_grad(bc_loss)(policy, labelled, config.imitation)
            return descend(optimiser, gradient, opt_state, policy), loss

        start: Any = (state.policy, state.opt_state)
        (policy, opt_state), losses = jax.lax.scan(step, start, jax.random.split(key, config.steps))
        metrics = {
            "loss/imitation": losses.mean(),
            "policy/std": policy.action_std.mean(),
            "policy/step_size": state.step_size,
        }
        return state._replace(policy=policy, opt_state=opt_state, round=state.round + 1), metrics
