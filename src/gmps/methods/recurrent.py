"""Policies that remember a trial, the actor that runs them, and a trial as one sequence."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from gmps.core.actors import RememberingActor
from gmps.core.dist import gaussian_log_prob
from gmps.core.nets import GaussianPolicy, init_head
from gmps.core.policy import Policy
from gmps.core.recurrent import Gru, init_gru, unroll
from gmps.core.types import Trajectories
from gmps.errors import GmpsError
from gmps.methods.rl2_settings import Rl2Config
from gmps.tasks.base import Spec


class Memory(NamedTuple):
    """What a policy remembers of its trial."""

    state: Float[Array, "*b state"]
    #: The last action, clipped; 0 before the first.
    act: Float[Array, "*b act"]
    #: The last reward; 0 before the first.
    reward: Float[Array, "*b"]
    #: 1 where the last step ended its episode.
    over: Float[Array, "*b"]
    #: 1 after the first step of the trial.
    begun: Float[Array, "*b"]


class RecurrentNet(eqx.Module):
    """A GRU, and a Gaussian head of `[observation, state]`."""

    gru: Gru
    head: GaussianPolicy
    #: Constants that shift and scale rewards; observations have those of the head.
    reward_mean: Float[Array, ""]
    reward_std: Float[Array, ""]

    def inputs(self, obs: Float[Array, "*b obs"], last: Memory) -> Float[Array, "*b in"]:
        """What the GRU is given with an observation: the observation, the last action and reward,
        and whether that ended an episode."""
        head, size = self.head, obs.shape[-1]
        shift, scale, mean, std = jax.lax.stop_gradient(
            (head.obs_mean[:size], head.obs_std[:size], self.reward_mean, self.reward_std)
        )
        reward = last.begun * (last.reward - mean) / std
        numbers = jnp.stack([reward, last.over], -1)
        return jnp.concatenate([(obs - shift) / scale, last.act, numbers], -1)


class RecurrentPolicy(eqx.Module):
    """A network and what it remembers before its next episode."""

    net: RecurrentNet
    memory: Memory

    @property
    def action_std(self) -> Float[Array, "*task act"]:
        """The standard deviation of the actions."""
        return jnp.exp(self.net.head.log_std)

    def with_std(self, std: Float[Array, " act"]) -> Self:
        """The same, acting with this standard deviation."""
        return replace(self, net=replace(self.net, head=self.net.head.with_std(std)))

    def export(self) -> Policy:
        """None is handed on.

        Raises:
            GmpsError: always.
        """
        raise GmpsError(
            "A policy of rl2 acts on all that its trial has brought, not on one observation, so it "
            "is neither written nor certified; use `gmps eval` or `gmps render`."
        )


@dataclass(frozen=True)
class RecurrentActor(RememberingActor):
    """Runs a `RecurrentPolicy`; `stochastic=False` takes the mean."""

    act_size: int
    stochastic: bool = True

    @property
    def noise_size(self) -> int:
        """One normal number for each action dimension."""
        return self.act_size

    def begin(self, params: RecurrentPolicy) -> Memory:
        """The memory that the policy brings."""
        return params.memory

    def step(
        self,
        params: RecurrentPolicy,
        memory: Memory,
        obs: Float[Array, " obs"],
        noise: Float[Array, " noise"],
    ) -> tuple[Memory, Float[Array, " act"], Float[Array, ""]]:
        """One step of the GRU, then of the head."""
        net = params.net
        state = net.gru.step(memory.state, net.gru.prepare(net.inputs(obs, memory)))
        mean, log_std = net.head(jnp.concatenate([obs, state]))
        act = mean + jnp.exp(log_std) * noise if self.stochastic else mean
        return memory._replace(state=state), act, gaussian_log_prob(act, mean, log_std)

    def told(self, memory: Memory, act: Float[Array, " act"], reward: Float[Array, ""]) -> Memory:
        """The action and its reward, in an episode that goes on."""
        one = jnp.ones_like(reward)
        return Memory(memory.state, jnp.clip(act, -1, 1), reward, 0 * one, one)


def init_net(key: Key[Array, ""], config: Rl2Config, spec: Spec) -> RecurrentNet:
    """A network before its first step; nothing is shifted or scaled."""
    gru_key, head_key = jax.random.split(key)
    head = init_head(
        head_key,
        spec.obs_size + config.memory,
        spec.act_size,
        hidden=config.hidden,
        bias_size=0,
        std=config.std,
        activation="tanh",
    )
    gru = init_gru(gru_key, spec.obs_size + spec.act_size + 2, config.memory)
    return RecurrentNet(gru, head, jnp.zeros(()), jnp.ones(()))


def no_memory(config: Rl2Config, spec: Spec) -> Memory:
    """Before the first step of a trial."""
    zero = jnp.zeros((), jnp.float32)
    return Memory(jnp.zeros(config.memory), jnp.zeros(spec.act_size), zero, zero, zero)


class Trial(NamedTuple):
    """The living steps of consecutive episodes, one after another; padding comes last."""

    obs: Float[Array, "b t obs"]
    act: Float[Array, "b t act"]
    reward: Float[Array, "b t"]
    log_prob: Float[Array, "b t"]
    alive: Bool[Array, "b t"]
    #: 1 at the last step of each episode.
    over: Float[Array, "b t"]


def in_a_row(data: Trajectories) -> Trial:
    """Each task's episodes as one sequence, in the order in which they are given."""
    following = jnp.concatenate([data.alive[..., 1:], jnp.zeros_like(data.alive[..., :1])], -1)
    steps = Trial(
        data.obs,
        data.act,
        data.reward,
        data.log_prob,
        data.alive,
        (data.alive & ~following).astype(jnp.float32),
    )
    flat = jax.tree.map(lambda x: x.reshape(x.shape[0], -1, *x.shape[3:]), steps)
    order = jnp.argsort(~flat.alive, 1, stable=True)
    return jax.tree.map(lambda x: jax.vmap(lambda x, i: x[i])(x, order), flat)


def states_of(
    net: RecurrentNet, start: Memory, trial: Trial, window: int | None = None
) -> tuple[Float[Array, "b t state"], Memory]:
    """The state of the GRU at each step of each trial, and the memory behind the last.

    Args:
        net: one network.
        start: the memories before the first step, leaves `(b, ...)`.
        trial: the steps.
        window: how far derivatives reach: see `gmps.core.recurrent.unroll`.
    """
    told = Memory(
        # The states are what is computed here; a place for them keeps the tuples alike.
        jnp.zeros((*trial.reward.shape, 0)),
        jnp.clip(trial.act, -1, 1),
        trial.reward,
        trial.over,
        jnp.ones_like(trial.reward),
    )
    before = jax.tree.map(
        lambda first, x: jnp.concatenate([first[:, None], x[:, :-1]], 1),
        start._replace(state=start.state[:, :0]),
        told,
    )
    inputs = net.inputs(trial.obs, before)
    states, last = unroll(net.gru, start.state, inputs, trial.alive, window)
    end = jnp.maximum(trial.alive.sum(1) - 1, 0)
    after: Any = jax.tree.map(lambda x: jax.vmap(lambda x, i: x[i])(x, end), told)
    return states, after._replace(state=last)
