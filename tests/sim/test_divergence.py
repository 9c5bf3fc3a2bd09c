"""Numbers that are not finite end an episode, or are named."""

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from test_sim import Cart, ConstantActor, line_rollout

from gmps.errors import NotFiniteError
from gmps.worlds.factory import make_world


def test_divergence_ends_an_episode_where_the_family_says_so():
    steps = line_rollout([0.5, 0.1], [0.0, 0.0], blow_up=True).trajectories
    assert np.array_equal(steps.alive[:, 0], [[1, 1, 1, 0], [1, 1, 1, 1]])
    assert np.array_equal(steps.obs[0, 0, :, 0], [0, 0.5, 1, 1])
    assert steps.last_obs[0, 0, 0] == 1
    assert np.array_equal(steps.terminated[:, 0], [True, False])
    assert np.isfinite(steps.reward).all()


def test_divergence_elsewhere_names_family_task_and_step():
    text = (
        "line: the state became non-finite, and this family has no such end (task 1, episode 0, "
        "step 2); look for NaN or huge numbers in the policy's parameters."
    )
    with pytest.raises(FloatingPointError) as error:
        line_rollout([0.1, 0.5], [0.0, 0.0], blow_up=True, ends=False)
    assert str(error.value) == text


def test_an_action_of_nan_is_an_error_in_both_kinds_of_world():
    text = "the actor's action is not finite (task 1, episode 0, step 0)"
    with pytest.raises(FloatingPointError, match=r"line: .* \(task 1, episode 0, step 0\)"):
        line_rollout([0.1, np.nan], [0.0, 0.0], ends=False)
    with pytest.raises(FloatingPointError) as error:
        make_world(Cart()).rollout(
            ConstantActor(),
            jnp.array([[0.0, 0.0], [np.nan, 0.0]]),
            Cart().tasks("train"),
            2,
            jax.random.key(0),
        )
    assert text in str(error.value)


@pytest.fixture
def explosive(tmp_path, monkeypatch):
    """Makes the cart's motor strong enough to blow up; MuJoCo would write a log where we stand."""
    monkeypatch.chdir(tmp_path)

    def run(ends):
        family = Cart(gear=1e12, ends=ends)
        params = jnp.array([[0.0, 0.1], [1.0, 0.1]])
        return make_world(family).rollout(
            ConstantActor(), params, family.tasks("train"), 2, jax.random.key(0)
        )

    return run


def test_diverging_physics_ends_the_episode_and_leaves_the_others_alone(explosive):
    steps = explosive(ends=True).trajectories
    assert np.array_equal(steps.alive.sum(-1), [[6, 6], [1, 1]])
    assert np.array_equal(steps.terminated, [[False] * 2, [True] * 2])
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(steps))
    assert np.array_equal(steps.last_obs[1, :, :15], steps.obs[1, :, 0, :15])


def test_diverging_physics_is_an_error_in_a_family_without_such_an_end(explosive):
    with pytest.raises(NotFiniteError, match=r"^cart: the state became .*task 1, episode 0, s"):
        explosive(ends=False)


def test_diverging_physics_leaves_no_log_and_no_handler_of_warnings(explosive, tmp_path, capfd):
    own = lambda text: None  # noqa: E731
    mujoco.set_mju_user_warning(own)
    try:
        explosive(ends=True)
        assert mujoco.get_mju_user_warning() is own
    finally:
        mujoco.set_mju_user_warning(None)
    explosive(ends=True)
    assert mujoco.get_mju_user_warning() is None
    assert not list(tmp_path.iterdir())
    assert "WARNING" not in capfd.readouterr().err
