"""Episodes that would all be the same."""

import jax
import numpy as np
import pytest

from gmps.core.policy import PolicyActor, init_policy
from gmps.sim.episodes import normals
from gmps.tasks import make_family
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
