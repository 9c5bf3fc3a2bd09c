"""A further step never undoes what earlier ones reached."""

from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from test_methods_contract import SETTINGS

from gmps.deploy.adaptation import gradient_share
from gmps.methods.adaptation import adaptation, part_of_the_way
from gmps.methods.registry import METHODS, make_method
from gmps.tasks import make_family
from gmps.worlds.factory import make_world


class Leaps:
    """Steps of length 1 towards the goal at 0.7, as standardised advantages take them."""

    def __init__(self, share):
        self.share = share

    sequential = False

    def actor(self):
        return None

    def adapt(self, state, policies, data):
        return policies + jnp.sign(0.7 - policies)


@pytest.mark.parametrize(
    ("share", "reached"),
    [(lambda step: 1.0, [1, 0, 1]), (gradient_share, [1, 6 / 7, 6 / 7 - 1 / 13])],
)
def test_whole_steps_leap_over_the_goal_and_smaller_ones_approach_it(share, reached):
    world: Any = SimpleNamespace(rollout=lambda *_: SimpleNamespace(trajectories=None))
    method: Any = Leaps(share)
    steps = adaptation(world, method, None, jnp.zeros(1), None, episodes=1, keys=range(3))  # pyright: ignore
    np.testing.assert_allclose([float(s.policies[0]) for s in steps], reached, rtol=1e-6)


def test_the_steps_of_training_stay_whole():
    assert [gradient_share(s, whole=2) for s in (1, 2, 3, 4)] == [1, 1, 1 / 7, 1 / 13]
    before, after = {"a": jnp.zeros(2)}, {"a": jnp.full(2, 3.0)}
    assert part_of_the_way(before, after, 1.0) is after
    np.testing.assert_allclose(part_of_the_way(before, after, 1 / 3)["a"], 1.0)


@pytest.mark.parametrize("name", METHODS)
def test_steps_along_the_gradient_of_all_parameters_shrink(name):
    world = make_world(make_family("point-goal"))
    method = make_method(name, SETTINGS[name][0], world, world.family.tasks("train", 2))
    whole = name in ("gmps-latent", "in-context", "rl2", "maesn", "pearl")
    shrunk = 1 / 55 if name == "maml" else 1 / 13
    assert [method.share(s) for s in (1, 3)] == [1, 1 if whole else shrunk]
