"""What every method offers to the training driver and to the evaluator."""

from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from gmps.core.actors import Actor
from gmps.core.nets import GaussianPolicy
from gmps.core.types import Demonstrations, Trajectories
from gmps.core.vision import VisionPolicy
from gmps.data.aggregate import Aggregate

#: A method's training state: a named tuple of arrays. Its field `round` counts finished rounds.
MethodState = Any
#: A policy of a method, one task's or with a leading `task` axis: any pytree of arrays.
Policy = Any


class Gathered(NamedTuple):
    """What one round's simulation yields."""

    #: Input of `update`.
    batches: Any
    #: Figures for the log.
    metrics: dict[str, float]
    #: Environment steps by column: `meta`, `expert`, `demonstration`, `evaluation`.
    steps: dict[str, int]


class Method(Protocol):
    """A meta-learner. `gather` simulates; everything else is pure.

    The metrics of `gather` hold `return/before` and `return/after`: mean returns of the training
    episodes before and after one adaptation step. The latter chooses the best checkpoint.
    """

    def init(self, key: Key[Array, ""], demos: Demonstrations) -> MethodState:
        """The state before the first round. Only methods that learn from experts use `demos`."""
        ...

    def untrained(
        self, key: Key[Array, ""], demos: Demonstrations
    ) -> GaussianPolicy | VisionPolicy:
        """A policy that has learned nothing: the zero of the normalised score, and the start of the
        plain control. Its inputs may be scaled to `demos`, whatever the method itself sees."""
        ...

    def labels(self, state: MethodState) -> Aggregate | None:
        """The expert labels that training has gathered; None where it gathers none."""
        ...

    def policy(self, state: MethodState) -> Policy:
        """The policy before adaptation."""
        ...

    def adapt(self, state: MethodState, policies: Policy, data: Trajectories) -> Policy:
        """One adaptation step of each task's policy on that task's trajectories, which that policy
        collected."""
        ...

    def actor(self, stochastic: bool = True) -> Actor:
        """What runs the method's policies. `stochastic=False` takes means, of latents too."""
        ...

    def action_std(self, policy: Policy) -> Float[Array, " act"]:
        """The standard deviation of a policy's actions, for others who are to act as noisily."""
        ...

    def with_noise_of(self, policies: Policy, policy: Policy) -> Policy:
        """The stacked policies, their actions as noisy as those of `policy`: so no update looks
        good by acting with less noise."""
        ...

    def export(self, policy: Policy) -> GaussianPolicy | VisionPolicy:
        """One adapted policy as it is handed on: it needs nothing but observations.

        Raises:
            GmpsError: this method's policies are of no such form.
        """
        ...

    def gather(self, state: MethodState, key: Key[Array, ""]) -> tuple[MethodState, Gathered]:
        """Collect the experience of one round."""
        ...

    def update(
        self, state: MethodState, gathered: Gathered, key: Key[Array, ""]
    ) -> tuple[MethodState, dict[str, Float[Array, ""]]]:
        """Learn from it; returns figures for the log."""
        ...


def stack(policy: Any, n: int) -> Any:
    """`n` copies of a policy along a leading `task` axis."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (n, *x.shape)), policy)
