import jax
import jax.numpy as jnp
import numpy as np

from gmps.core.encoders import Identity
from gmps.core.policy import encoded
from gmps.core.types import Demonstrations
from gmps.data.aggregate import sample, start_aggregate
from gmps.data.augmentation import NOISE, moved, task_moments, task_spread

KEY = jax.random.key(0)


def test_the_spread_by_hand():
    # Two tasks, one episode each, at (0, 0) and (2, 0), then at (1, 5) and (1, 9): they differ by
    # 2 in the first number, then by 4 in the second, so by a deviation of 1 and of 2.
    obs = np.array([[[[0.0, 0.0], [1.0, 5.0]]], [[[2.0, 0.0], [1.0, 9.0]]]])
    spread = task_spread(obs, np.ones((2, 1, 2), bool), 1.0)
    covariance = np.einsum("trd,tre->tde", spread.axes, spread.axes)
    np.testing.assert_allclose(covariance, [[[1, 0], [0, 0]], [[0, 0], [0, 4]]], atol=1e-6)
    assert spread.moment.tolist() == [[0, 1], [0, 1]]
    # Over all four steps the first number is 0, 1, 2, 1 and the second 0, 5, 0, 9.
    np.testing.assert_allclose(spread.noise, NOISE * np.std([[0, 0], [1, 5], [2, 0], [1, 9]], 0))
    double = task_spread(obs, np.ones((2, 1, 2), bool), 2.0)
    np.testing.assert_allclose(np.abs(double.axes), 2 * np.abs(spread.axes), rtol=1e-6)


def test_padding_has_no_effect_and_the_last_mean_stays():
    # The second task's only episode ends after a step, with whatever behind it; it counts as 4.
    obs = np.array([[[[0.0], [2.0]]], [[[4.0], [np.nan]]]])
    alive = np.array([[[True, True]], [[True, False]]])
    spread = task_spread(obs, alive, 1.0)
    # 0 and 4, then 2 and 4: deviations 2 and 1.
    np.testing.assert_allclose(np.abs(spread.axes[:, 0, 0]), [2, 1], rtol=1e-6)
    np.testing.assert_allclose(spread.noise, [NOISE * np.std([0, 2, 4])], rtol=1e-6)


def test_episodes_of_a_task_count_by_their_mean():
    # Tasks whose episodes are -1 and 1 around the same mean do not differ.
    obs = np.array([-1.0, 1.0, 1.0, -1.0]).reshape(2, 2, 1, 1)
    assert np.abs(task_spread(obs, np.ones((2, 2, 1), bool), 1.0).axes).max() < 1e-6


def test_what_varies_within_tasks_moves_less():
    # Means 0 and 4: 8 between tasks. Episodes at a distance of 1 from them: 2 within tasks, which
    # leave 2 / 2 of the 8 to chance. So 7 of 9 parts are between tasks, of a deviation of 2.
    obs = np.array([-1.0, 1.0, 3.0, 5.0]).reshape(2, 2, 1, 1)
    alive = np.ones((2, 2, 1), bool)
    np.testing.assert_allclose(
        np.abs(task_spread(obs, alive, 1.0).axes), [[[2 * 7 / 9]]], rtol=1e-6
    )
    # With one episode left of each task, the variance within tasks is that of the moment before.
    obs, alive = np.repeat(obs, 2, 2), np.repeat(alive, 2, 2)
    obs[:, 0, 1], alive[:, 1, 1] = [[0.0], [4.0]], False
    # Of the 8 between tasks chance leaves 2 now, and 6 of 8 parts remain.
    found = np.abs(task_spread(obs, alive, 1.0).axes[1, 0])
    np.testing.assert_allclose(found, [2 * 6 / 8], rtol=1e-6)


def test_moves_have_the_covariance_between_tasks():
    rng = np.random.default_rng(0)
    demos = rng.normal(size=(4, 1, 2, 3)) * [1.0, 0.1, 3.0]
    spread = task_spread(demos, np.ones((4, 1, 2), bool), 1.0)
    zero = jnp.zeros((4, 20_000, 3))
    moment = jnp.ones((4, 20_000), jnp.int32)
    drawn = np.asarray(moved(zero, moment, spread, KEY)).reshape(-1, 3)
    wanted = np.cov(demos[:, 0, 1].T, bias=True) + np.diag(np.asarray(spread.noise) ** 2)
    size = np.sqrt(np.outer(np.diag(wanted), np.diag(wanted)))
    np.testing.assert_allclose(np.cov(drawn.T) / size, wanted / size, atol=0.02)


def labelled() -> tuple[Demonstrations, np.ndarray]:
    """Two tasks whose paths lie 2 apart; the action is the number of the task."""
    obs = np.zeros((2, 1, 5, 1), np.float32)
    obs[1] = 2
    alive = np.ones((2, 1, 5), bool)
    alive[1, 0, 3:] = False
    act = jnp.asarray([[[0.0]] * 5, [[1.0]] * 5])
    flat = alive.reshape(2, 5)
    return Demonstrations(jnp.asarray(obs[:, 0]), act, jnp.asarray(flat)), alive


def test_sampled_states_no_longer_tell_the_task_and_keep_their_action():
    demos, alive = labelled()
    still = sample(start_aggregate(demos, 0), 500, KEY)
    assert sorted(set(np.asarray(still.obs[0, :, 0]).tolist())) == [0]
    spread = task_spread(np.asarray(demos.obs)[:, None], alive, 1.0)
    drawn = sample(start_aggregate(demos._replace(spread=spread), 0), 500, KEY)
    np.testing.assert_array_equal(drawn.act, still.act)
    assert drawn.spread is None
    # Deviation 1 around 0 and 2: a threshold at 1 tells 84 %, where it told all.
    told = np.mean([np.mean(drawn.obs[0] < 1), np.mean(drawn.obs[1] > 1)])
    assert 0.8 < told < 0.88
    np.testing.assert_array_equal(
        drawn.obs, sample(start_aggregate(demos._replace(spread=spread), 0), 500, KEY).obs
    )


def test_moments_follow_their_rows():
    # Valid rows come first: the moment of the row with observation 30 is still 2.
    obs = jnp.asarray([[[10.0], [20.0], [30.0]]])
    demos = Demonstrations(obs, obs, jnp.asarray([[False, True, True]]))
    spread = task_spread(np.asarray(obs)[:, None], np.array([[[False, True, True]]]), 1.0)
    data = start_aggregate(demos._replace(spread=spread), 0)
    assert data.spread is not None
    assert data.spread.moment[0, :2].tolist() == [1, 2]
    assert data.obs[0, :2, 0].tolist() == [20, 30]


def numbered(alive: np.ndarray, scale: float) -> Demonstrations:
    """Labels with a picture each; observation and action are `(100 task + 10 episode + step)`."""
    n, episodes, steps = alive.shape
    number = 100 * np.arange(n)[:, None, None] + 10 * np.arange(episodes)[:, None]
    flat = (number + np.arange(steps)).reshape(n, -1, 1).astype(np.float32)
    frames = np.zeros((n, episodes * steps, 1, 1, 3), np.uint8)
    valid = jnp.asarray(alive.reshape(n, -1))
    labelled = Demonstrations(jnp.asarray(flat), jnp.asarray(flat), valid, frames)
    return labelled._replace(spread=task_moments(alive, scale))


def test_pictures_are_sampled_at_the_same_moments():
    alive = np.ones((3, 2, 4), bool)
    alive[0, 1, 1:] = alive[1, :, 2:] = False  # task 1 ends after two steps, task 0 goes on alone
    data = start_aggregate(numbered(alive, 1.0), 0)
    drawn = sample(data, 2_000, KEY)
    obs, valid = np.asarray(drawn.obs)[..., 0].astype(int), np.asarray(drawn.valid)
    moment, episode = obs % 10, obs // 10 % 10
    assert (obs // 100 == np.arange(3)[:, None]).all()
    assert (moment[0] == moment[2]).all() and valid[[0, 2]].all()
    assert (valid[1] == (moment[2] < 2)).all()
    assert (moment[1] == np.minimum(moment[2], 1)).all()
    assert (episode[0] <= (moment[0] < 1)).all()
    assert [set(episode[2][moment[2] == t]) for t in range(4)] == [{0, 1}] * 4
    np.testing.assert_allclose(np.bincount(moment[2]) / 2_000, 0.25, atol=0.04)


def test_features_of_pictures_move_as_tasks_differ_at_their_moment():
    # Two tasks at 0 and 100, as far from their mean as 50: the deviation between them.
    labelled = numbered(np.ones((2, 1, 3), bool), 2.0)
    drawn = sample(start_aggregate(labelled, 0), 20_000, KEY)
    off = np.asarray(encoded(Identity(), drawn).obs - drawn.obs)
    np.testing.assert_allclose(off.mean(1), 0, atol=3)
    np.testing.assert_allclose(off.std(1), 100, rtol=0.03)
    # The encoder cannot learn to have its features moved less.
    slope = jax.grad(lambda obs: encoded(Identity(), drawn._replace(obs=obs)).obs.sum())(drawn.obs)
    np.testing.assert_array_equal(slope, 1)
    still = sample(start_aggregate(numbered(np.ones((2, 1, 3), bool), 0.0), 0), 10, KEY)
    np.testing.assert_array_equal(encoded(Identity(), still).obs, still.obs)
