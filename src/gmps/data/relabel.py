"""What demonstrations earn by the reward of a family, from the states that they tell."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from gmps.data.demos import DemoSet
from gmps.sim.episodes import reward_terms
from gmps.sim.native import NativeSimulator
from gmps.tasks.base import MujocoFamily, TaskFamily

#: Rewards that differ by more than this share of their mean size are different rewards.
SAME_REWARD = 0.05


def own_rewards(demos: DemoSet, family: TaskFamily) -> Float[np.ndarray, "task ep t"] | None:
    """The family's rewards of demonstrated steps, or None if its observations do not tell states.

    A file has no observation after the last step; the last one stands for it. Beyond an episode's
    end the rewards are 0.
    """
    if not isinstance(family, MujocoFamily) or family.edits_model:
        return None
    # As in an episode that ended, the last state is repeated.
    last = np.maximum(demos.alive.sum(-1) - 1, 0)
    source = np.minimum(np.arange(demos.obs.shape[2] + 1), last[..., None])
    obs = np.take_along_axis(demos.obs, source[..., None], 2)
    one = jnp.asarray(obs.reshape(-1, obs.shape[-1]))
    if family.recorded_state(one[0]) is None:
        return None
    states = jax.vmap(family.recorded_state)(one)
    assert states is not None
    simulator = NativeSimulator(family.model(), family.frame_skip)
    simulator.start(np.concatenate([states.qpos, states.qvel], 1, dtype=float))
    sensors = np.empty((len(one), simulator.model.nsensordata), np.float32)
    simulator.sense(sensors)
    states, sensed = jax.tree.map(
        lambda x: jnp.asarray(x).reshape(*obs.shape[:3], -1), (states, sensors)
    )
    act, alive = jnp.asarray(demos.act), jnp.asarray(demos.alive)
    terms = reward_terms(family, jnp.asarray(demos.tasks), states, sensed, act, alive)
    return np.sum(list(terms.values()), axis=0)


def same_rewards(one: Float[np.ndarray, " step"], two: Float[np.ndarray, " step"]) -> bool:
    """Whether both are the same reward of some steps, but for what other versions of a simulator
    change."""
    return bool(np.abs(one - two).mean() <= SAME_REWARD * np.abs(one).mean())
