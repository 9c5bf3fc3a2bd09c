"""Samples for the bound from a simulator: visited states, and what each action is worth there.

The expert of the theorem is stochastic: Gaussian around the controller's action, with the policy's
own standard deviation. Its cost-to-go is measured by putting the simulator back into states that
the policy visited. All actions of one state go on with the same noise, so that their difference is
theirs and not the noise's.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from gmps.core.actors import Actor
from gmps.core.policy import Policy, PolicyActor
from gmps.core.types import Params, Rollout, Task, env_steps
from gmps.experts.base import Controller, ExpertActor
from gmps.theory.divergence import clipped_gaussian_kl, executed_tv
from gmps.theory.estimate import Samples
from gmps.theory.settings import SamplingConfig
from gmps.worlds.base import Draws, World

#: Rollouts from visited states have one of so many lengths: each is compiled once.
_LENGTHS = 4


@dataclass(frozen=True)
class DetourActor(Actor):
    """The noisy expert, but for steps whose action is given.

    Its noise is `[normal numbers (act), given action (act), 1 if it is taken else 0]`; `params` the
    standard deviation. So a rollout's `Draws` say where it leaves the expert.
    """

    controller: Controller
    act_size: int

    @property
    def noise_size(self) -> int:
        """See the class."""
        return 2 * self.act_size + 1

    def __call__(
        self, params: Params, task: Task, obs: Float[Array, " obs"], noise: Float[Array, " noise"]
    ) -> tuple[Float[Array, " act"], Float[Array, ""]]:
        """The action; its density is never used: 0."""
        normal, given = noise[: self.act_size], noise[self.act_size : -1]
        act = jnp.where(noise[-1] > 0.5, given, self.controller(task, obs) + params * normal)
        return act, jnp.zeros((), act.dtype)


class Answers(NamedTuple):
    """Policy and expert in every visited state, `(unit, ep, t)`; 0 distance after the end."""

    policy: Float[Array, "unit ep t act"]
    expert: Float[Array, "unit ep t act"]
    kl: Float[Array, "unit ep t"]
    tv: Float[Array, "unit ep t"]


def collect(
    world: World,
    controller: Controller,
    policies: Policy,
    tasks: Task,
    std: Float[Array, " act"],
    config: SamplingConfig,
    key: Key[Array, ""],
) -> tuple[Samples, int]:
    """Everything that the estimate needs, and the environment steps that it took.

    Args:
        world: runs the tasks.
        controller: the expert's mean action.
        policies: adapted policies of all units, `repeats` for each task, task by task.
        tasks: the task of each unit.
        std: standard deviations with which both act.
        config: how much is simulated.
        key: of everything random.
    """
    key_policy, key_expert, key_values = jax.random.split(key, 3)
    size = world.family.spec.act_size
    policies = policies.with_std(std)
    visited = world.rollout(PolicyActor(size), policies, tasks, config.episodes, key_policy)
    units = visited.trajectories.reward.shape[0]
    stds = jnp.broadcast_to(std, (units, size))
    shown = world.rollout(
        ExpertActor(controller, size), stds, tasks, config.episodes, key_expert
    ).trajectories
    found = answers(controller, policies, tasks, std, visited)
    spent = env_steps(visited.trajectories) + env_steps(shown)
    tvs, worth = [], []
    for stratum, one in enumerate(jax.random.split(key_values, config.states)):
        tv, value, steps = _compare(
            world, controller, tasks, std, config, stratum, visited, found, one
        )
        tvs.append(tv)
        worth.append(value)
        spent += steps
    shape = (units // config.repeats, config.repeats)

    def units_apart(x):
        return np.asarray(x, np.float64).reshape(*shape, *x.shape[1:])

    q = units_apart(jnp.stack(worth, 1))
    samples = Samples(
        policy_return=units_apart(visited.trajectories.returns.mean(-1)),
        expert_return=units_apart(shown.returns.mean(-1)),
        kl=units_apart(found.kl),
        tv=units_apart(jnp.stack(tvs, 1)),
        q_policy=q[..., : config.pairs],
        q_expert=q[..., config.pairs :],
    )
    return samples, spent


@partial(jax.jit, static_argnums=0)
def answers(
    controller: Controller,
    policies: Policy,
    tasks: Task,
    std: Float[Array, " act"],
    visited: Rollout,
) -> Answers:
    """What policy and expert would do in every visited state, and how far apart they are."""
    obs, alive = visited.trajectories.obs, visited.trajectories.alive

    def one(policy, task, obs):
        mean, expert = policy(obs)[0], controller(task, obs)
        return Answers(
            mean, expert, clipped_gaussian_kl(mean, expert, std), executed_tv(mean, expert, std)
        )

    every = one
    for axes in ((None, None, 0), (None, None, 0), (0, 0, 0)):
        every = jax.vmap(every, axes)
    found = every(policies, tasks, obs)
    return found._replace(kl=jnp.where(alive, found.kl, 0), tv=jnp.where(alive, found.tv, 0))


def _compare(
    world: World,
    controller: Controller,
    tasks: Task,
    std: Float[Array, " act"],
    config: SamplingConfig,
    stratum: int,
    visited: Rollout,
    found: Answers,
    key: Key[Array, ""],
) -> tuple[Float[Array, " unit"], Float[Array, "unit n"], int]:
    """One visited state of each unit: total variation, worth of the actions, steps taken.

    Its step is uniform in the `stratum`-th of `config.states` equal parts of the horizon. After the
    end of an episode all actions are worth 0.
    """
    horizon, size = world.family.spec.horizon, world.family.spec.act_size
    units, episodes, _ = found.tv.shape
    u, ep, pushes, normal = _random(config, units, episodes, horizon, size, key)
    first = (stratum * _LENGTHS // config.states) * horizon // _LENGTHS
    t = jnp.floor((stratum + u) * horizon / config.states).astype(jnp.int32)
    t = jnp.clip(t, first, horizon - 1)
    at = (jnp.arange(units), ep, t)
    noise = std * pushes
    acts = jnp.concatenate(
        [found.policy[at][:, None] + noise, found.expert[at][:, None] + noise], 1
    )
    steps, count, more = horizon - first, 2 * config.pairs, config.continuations
    # All actions share the noise of what follows.
    normal = jnp.broadcast_to(normal[:, None, :, :steps], (units, count, more, steps, size))
    given = jnp.broadcast_to(acts[:, :, None, None], normal.shape)
    taken = jnp.broadcast_to((jnp.arange(steps) == 0)[:, None], (*normal.shape[:-1], 1))
    rows = jnp.concatenate([normal, given, taken], -1).reshape(units, count * more, steps, -1)
    starts = jax.tree.map(
        lambda x: jnp.broadcast_to(x[at][:, None], (units, count * more, x.shape[-1])),
        visited.states,
    )
    actor = DetourActor(controller, size)
    stds = jnp.broadcast_to(std, (units, size))
    data = world.rollout(actor, stds, tasks, count * more, Draws(starts, rows)).trajectories
    left = jnp.arange(steps) < (horizon - t)[:, None, None]
    value = jnp.where(left, data.reward, 0).sum(-1).reshape(units, count, more).mean(-1)
    value = jnp.where(visited.trajectories.alive[at][:, None], value, 0)
    return found.tv[at], value, env_steps(data)


@partial(jax.jit, static_argnums=(0, 1, 2, 3, 4))
def _random(
    config: SamplingConfig,
    units: int,
    episodes: int,
    horizon: int,
    size: int,
    key: Key[Array, ""],
) -> tuple[
    Float[Array, " unit"],
    Int[Array, " unit"],
    Float[Array, "unit pair act"],
    Float[Array, "unit more t act"],
]:
    """Of one visited state: its place in its part of the horizon in [0, 1), its episode, normal
    numbers of the compared actions and of what follows them."""
    key_t, key_ep, key_act, key_noise = jax.random.split(key, 4)
    return (
        jax.random.uniform(key_t, (units,)),
        jax.random.randint(key_ep, (units,), 0, episodes),
        jax.random.normal(key_act, (units, config.pairs, size)),
        jax.random.normal(key_noise, (units, config.continuations, horizon, size)),
    )
