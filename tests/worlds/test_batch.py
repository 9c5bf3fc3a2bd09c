"""Episodes that would all be the same."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmps.core.policy import PolicyActor, init_policy
from gmps.sim.episodes import draw_starts, normals
from gmps.tasks import make_family
from gmps.tasks.base import State
from gmps.tasks.point_goal import PointGoal
from gmps.worlds.batch import distinct
from gmps.worlds.factory import make_world


@pytest.mark.parametrize(
    ("family", "stochastic", "expected"),
    [
        ("sawyer-push", False, 1),
        ("sawyer-push", True, 4),
        ("point-goal", False, 4),
        ("ant-goal", False, 4),
    ],
)
def test_episodes_differ_where_start_or_actor_is_random(family, stochastic, expected):
    assert distinct(make_family(family), PolicyActor(3, stochastic), 4) == expected


def test_one_episode_is_as_good_as_several_where_none_differ():
    world = make_world(make_family("sawyer-push"), 1)
    tasks = world.family.tasks("train", 2)
    keys = jax.random.split(jax.random.key(0))
    policies = jax.vmap(lambda key: init_policy(key, 6, 3, hidden=(8,)))(keys)
    actor = PolicyActor(3, stochastic=False)
    returns = np.asarray(
        world.rollout(actor, policies, tasks, 3, jax.random.key(1)).trajectories.returns
    )
    np.testing.assert_array_equal(returns, returns[:, :1].repeat(3, 1))
    assert returns[0, 0] != returns[1, 0]


@pytest.mark.parametrize("shape", [(3, 2, 5), (50, 20, 7)])
def test_noise_is_that_of_jax_whatever_its_shape(shape):
    key = jax.random.key(3)
    np.testing.assert_array_equal(normals(key, shape), jax.random.normal(key, shape))


class AroundTheGoal(PointGoal):
    """Starts that depend on the task and on the key."""

    def reset(self, key, task):
        nothing = jnp.zeros(0, jnp.float32)
        return State(task + jax.random.normal(key, (2,), jnp.float32), nothing, nothing)


@pytest.mark.parametrize("episodes", [1, 40])
def test_starts_are_those_of_reset_whatever_their_number(episodes):
    family, key = AroundTheGoal(), jax.random.key(3)
    tasks = family.tasks("train", 2)
    starts = draw_starts(family, episodes, tasks, key)
    keys = jax.random.split(key, 2 * episodes)
    drawn = jax.vmap(lambda key: jax.random.normal(key, (2,), jnp.float32))(keys)
    np.testing.assert_allclose(starts, np.repeat(tasks, episodes, 0) + drawn, atol=1e-6)
