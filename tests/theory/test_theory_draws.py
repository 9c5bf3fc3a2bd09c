"""Rollouts from given states and noise: how the simulator is reset to visited states."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmps.experts.base import ExpertActor
from gmps.tasks import make_family
from gmps.tasks.base import State
from gmps.worlds.base import Draws
from gmps.worlds.factory import make_world


def expert_setup(name):
    family = make_family(name)
    actor = ExpertActor(family.expert, family.spec.act_size)
    return make_world(family), actor, family.tasks("heldout", 2)


@pytest.mark.parametrize(("name", "digits"), [("point-goal", 1e-6), ("sawyer-push", 1e-4)])
def test_an_episode_goes_on_from_any_of_its_states(name, digits):
    world, actor, tasks = expert_setup(name)
    quiet = jnp.zeros(2)
    whole = world.rollout(actor, quiet, tasks, 3, jax.random.key(0))
    spec = world.family.spec
    begin, steps = 7, spec.horizon - 7
    starts = jax.tree.map(lambda x: x[:, :, begin], whole.states)
    draws = Draws(starts, jnp.zeros((2, 3, steps, spec.act_size)))
    rest = world.rollout(actor, quiet, tasks, 3, draws)
    assert rest.trajectories.reward.shape == (2, 3, steps)
    for got, expected in zip(
        (rest.trajectories.reward, rest.trajectories.obs, rest.states.qpos),
        (
            whole.trajectories.reward[:, :, begin:],
            whole.trajectories.obs[:, :, begin:],
            whole.states.qpos[:, :, begin:],
        ),
        strict=True,
    ):
        np.testing.assert_allclose(got, expected, atol=digits, rtol=1e-3)


def test_given_noise_is_what_the_actor_gets():
    world, actor, tasks = expert_setup("point-goal")
    starts = State(jnp.zeros((2, 4, 2)), jnp.zeros((2, 4, 0)), jnp.zeros((2, 4, 0)))
    noise = jax.random.normal(jax.random.key(1), (2, 4, 5, 2))
    noise = noise.at[:, 1].set(noise[:, 0])
    out = world.rollout(actor, jnp.full(2, 0.5), tasks, 4, Draws(starts, noise)).trajectories
    mean = np.clip((np.asarray(tasks)[:, None, None] - np.asarray(out.obs)) / 0.1, -1, 1)
    np.testing.assert_allclose(out.act, mean + 0.5 * np.asarray(noise), atol=1e-5)
    assert np.array_equal(out.reward[:, 0], out.reward[:, 1])
    assert not np.array_equal(out.reward[:, 0], out.reward[:, 2])


def test_draws_of_another_shape_are_refused():
    world, actor, tasks = expert_setup("point-goal")
    starts = State(jnp.zeros((2, 1, 2)), jnp.zeros((2, 1, 0)), jnp.zeros((2, 1, 0)))
    with pytest.raises(ValueError, match=r"start states have shapes \[\(2, 1, 2\), .* 3 episodes"):
        world.rollout(actor, jnp.zeros(2), tasks, 3, Draws(starts, jnp.zeros((2, 3, 5, 2))))
    for shape in [(2, 1, 5, 3), (2, 1, 0, 2), (2, 5, 2)]:
        with pytest.raises(ValueError, match=r"noise has shape .* need \(2, 1, steps, 2\) with"):
            world.rollout(actor, jnp.zeros(2), tasks, 1, Draws(starts, jnp.zeros(shape)))
