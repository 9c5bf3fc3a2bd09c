"""RL2 (Duan et al. 2016, arXiv:1611.02779; Wang et al. 2016): a recurrent policy adapts by itself.

for each round:
    for each task i, for each of its trials:                             # gather
        h <- 0
        for each episode of the trial, one after another:
            a_t, h <- pi_theta(s_t, a_{t-1}, r_{t-1}, end_{t-1}, h)
    theta <- PPO on the return of whole trials                           # update
at test: episodes one after another; what adapts is h alone

The memory is reset between trials, not between episodes, and the advantage of an action counts what
it earns in later episodes too, so exploring pays. The clipped outer steps and the baseline are
MAML's, on trials in place of episodes. Nothing is asked of an expert.
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, Key

from gmps.core.adapt import inner_batch
from gmps.core.losses import InnerBatch, living
from gmps.core.surrogates import ActionDistributions
from gmps.core.types import Demonstrations, Trajectories, env_steps, stack, task_count
from gmps.errors import GmpsError
from gmps.methods.adaptation import explore
from gmps.methods.base import Gathered, Method, Metrics
from gmps.methods.deployed import Deployed
from gmps.methods.normalisation import MIN_OBS_STD
from gmps.methods.outer import clipped_steps
from gmps.methods.recurrent import (
    RecurrentActor,
    RecurrentNet,
    RecurrentPolicy,
    Trial,
    in_a_row,
    init_net,
    no_memory,
    states_of,
)
from gmps.methods.rl2_settings import Rl2Config

#: Smallest scale of a reward, as of PEARL's.
MIN_REWARD_STD = 0.03


class Rl2State(NamedTuple):
    """Everything that training carries from round to round."""

    net: RecurrentNet
    opt_state: optax.OptState
    round: Int[Array, ""]


class Practised(NamedTuple):
    """What the outer steps learn from; leaves `(task, trial, t, ...)`."""

    trial: Trial
    batch: InnerBatch


@dataclass(frozen=True, eq=False)
class Rl2(Method[Rl2Config, Rl2State, RecurrentPolicy]):
    """RL2 on the training tasks of a world."""

    Settings: ClassVar[type] = Rl2Config
    sequential: ClassVar[bool] = True

    def init(self, key: Key[Array, ""], demos: Demonstrations) -> Rl2State:
        """A random network; `demos` are not used."""
        del demos
        net = init_net(key, self.config, self.world.family.spec)
        opt_state = optax.adam(self.config.ppo.learning_rate).init(net)  # pyright: ignore[reportArgumentType]
        return Rl2State(net, opt_state, jnp.zeros((), jnp.int32))

    def policy(self, state: Rl2State) -> RecurrentPolicy:
        """The policy at the start of a trial."""
        return RecurrentPolicy(state.net, no_memory(self.config, self.world.family.spec))

    def adapt(
        self, state: Rl2State, policies: RecurrentPolicy, data: Trajectories
    ) -> RecurrentPolicy:
        """The policies with these episodes in memory, in the order in which they are given."""
        return _remembered(state.net, policies, data)

    def actor(self, stochastic: bool = True) -> RecurrentActor:
        """Runs the policies."""
        return RecurrentActor(self.world.family.spec.act_size, stochastic)

    def deployed(self, state: Rl2State) -> Deployed:
        """None.

        Raises:
            GmpsError: always.
        """
        del state
        raise GmpsError(
            "A policy of rl2 cannot be exported: gmps.deploy has no recurrent network; take "
            "another method for a robot outside."
        )

    def gather(self, state: Rl2State, key: Key[Array, ""]) -> tuple[Rl2State, Gathered]:
        """Trials, their episodes one after another."""
        config, n = self.config, task_count(self.tasks)
        scale_key, trial_key = jax.random.split(key)
        spent = 0
        if config.normalise and int(state.round) == 0:
            policies = stack(self.policy(state), n)
            first = self.world.rollout(
                self.actor(), policies, self.tasks, config.episodes, scale_key
            ).trajectories
            state, spent = state._replace(net=_scaled(state.net, first)), env_steps(first)
        tasks = jax.tree.map(lambda x: jnp.repeat(x, config.trials, 0), self.tasks)
        policies = stack(self.policy(state), n * config.trials)
        data = explore(
            self.world, self, state, policies, tasks, episodes=config.episodes, key=trial_key
        )
        metrics = {
            "return/before": float(data.returns[:, 0].mean()),
            "return/after": float(data.returns[:, -1].mean()),
            "return/trial": float(data.returns.mean()),
        }
        practised = _practised(data, config.trials)
        batch = inner_batch(
            _as_episodes(practised), discount=config.discount, gae_lambda=config.gae_lambda
        )
        steps = {"meta": spent + env_steps(data)}
        return state, Gathered(Practised(practised, batch), metrics, steps)

    def learn(
        self, state: Rl2State, batches: Practised, key: Key[Array, ""]
    ) -> tuple[Rl2State, Metrics]:
        """Clipped steps on the same trials. Draws nothing from the key."""
        del key
        config, (trial, batch) = self.config, batches
        tasks, trials = batch.alive.shape[:2]
        rows = jax.tree.map(lambda x: x.reshape(tasks * trials, *x.shape[2:]), trial)
        start = stack(no_memory(config, self.world.family.spec), tasks * trials)

        def actions(net: RecurrentNet) -> ActionDistributions:
            states, _ = states_of(net, start, rows, config.window)
            seen = jnp.concatenate([living(rows.obs, rows.alive), states], -1)
            mean = net.head.means(seen)
            mean = mean.reshape(tasks, trials, *mean.shape[1:])
            log_std = net.head.floored_log_std
            return ActionDistributions(mean, jnp.broadcast_to(log_std, (tasks, *log_std.shape)))

        net, opt_state, metrics = clipped_steps(
            actions, state.net, _learned(state.net, config), batch, config.ppo, state.opt_state
        )
        metrics |= {"policy/std": jnp.exp(net.head.log_std).mean()}
        return Rl2State(net, opt_state, state.round + 1), metrics


@jax.jit
def _remembered(
    net: RecurrentNet, policies: RecurrentPolicy, data: Trajectories
) -> RecurrentPolicy:
    _, memory = states_of(net, policies.memory, in_a_row(data))
    return RecurrentPolicy(policies.net, memory)


@partial(jax.jit, static_argnames="trials")
def _practised(data: Trajectories, trials: int) -> Trial:
    """The trials of each task, which lie one after another along the task axis of `data`."""
    rows = in_a_row(data)
    return jax.tree.map(lambda x: x.reshape(-1, trials, *x.shape[1:]), rows)


def _as_episodes(trial: Trial) -> Trajectories:
    """Trials in place of episodes: nothing is earned behind the end of one."""
    return Trajectories(
        obs=trial.obs,
        act=trial.act,
        reward=trial.reward,
        log_prob=trial.log_prob,
        alive=trial.alive,
        last_obs=trial.obs[:, :, -1],
        terminated=jnp.ones(trial.reward.shape[:2], bool),
        held=jnp.zeros((*trial.reward.shape[:2], 0), jnp.float32),
    )


@jax.jit
def _scaled(net: RecurrentNet, data: Trajectories) -> RecurrentNet:
    """The network with observations and rewards shifted and scaled to these episodes."""
    weight = data.alive / data.alive.sum()

    def moments(x: Array) -> tuple[Array, Array]:
        x = living(x, data.alive)
        mean = jnp.sum(x * weight[..., None], (0, 1, 2))
        return mean, jnp.sqrt(jnp.sum((x - mean) ** 2 * weight[..., None], (0, 1, 2)))

    obs_mean, obs_std = moments(data.obs)
    reward_mean, reward_std = moments(data.reward[..., None])
    size, head = data.obs.shape[-1], net.head
    return eqx.tree_at(
        lambda net: (net.head.obs_mean, net.head.obs_std, net.reward_mean, net.reward_std),
        net,
        (
            head.obs_mean.at[:size].set(obs_mean),
            head.obs_std.at[:size].set(jnp.maximum(obs_std, MIN_OBS_STD)),
            reward_mean[0],
            jnp.maximum(reward_std[0], MIN_REWARD_STD),
        ),
    )


def _learned(net: RecurrentNet, config: Rl2Config) -> RecurrentNet:
    """Which leaves the outer steps change."""
    everything = jax.tree.map(lambda _: True, net)
    return eqx.tree_at(
        lambda net: (
            net.head.obs_mean,
            net.head.obs_std,
            net.reward_mean,
            net.reward_std,
            net.head.log_std,
        ),
        everything,
        (False, False, False, False, config.learn_std),
    )
