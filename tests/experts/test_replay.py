import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gmps.core.types import Trajectories
from gmps.experts.replay import add, sample, start_replay

T = 4


def episodes(lengths: list[list[int]], terminated: list[list[bool]], first: float = 0.0):
    """Episodes whose observation is a running number and whose reward is 1, 10, 100, 1000."""
    tasks, n = len(lengths), len(lengths[0])
    number = first + jnp.arange(tasks * n * (T + 1), dtype=jnp.float32).reshape(tasks, n, T + 1)
    alive = jnp.arange(T) < jnp.array(lengths)[..., None]
    return Trajectories(
        obs=number[:, :, :T, None],
        act=2.0 * jnp.ones((tasks, n, T, 1)),
        reward=jnp.where(alive, 10.0 ** jnp.arange(T), 0.0),
        log_prob=jnp.zeros((tasks, n, T)),
        alive=alive,
        last_obs=number[:, :, T, None],
        terminated=jnp.array(terminated),
        held=jnp.zeros((tasks, n, 0)),
    )


def filled(lengths, terminated, capacity=8):
    data = episodes(lengths, terminated)
    context = jnp.arange(len(lengths), dtype=jnp.float32)[:, None]
    return add(start_replay(capacity, T, 1, 1, 1), data, data.reward, context)


def draw(replay, n=400, steps=1, discount=0.5, seed=0):
    return sample(replay, jnp.cumsum(replay.length), n, steps, discount, jax.random.key(seed))


def test_every_stored_step_is_drawn_equally_often():
    replay = filled([[4, 2], [1, 3]], [[False, True], [True, False]])
    assert replay.length.tolist() == [4, 2, 1, 3, 0, 0, 0, 0]
    batch = draw(replay, n=20_000)
    drawn, counts = np.unique(np.asarray(batch.obs), return_counts=True)
    assert drawn.tolist() == [0, 1, 2, 3, 5, 6, 10, 15, 16, 17]
    assert counts == pytest.approx(2000, abs=5 * 2000**0.5)


def test_a_terminal_state_has_no_value_and_a_time_limit_has():
    replay = filled([[4], [2]], [[False], [True]])
    batch = draw(replay)
    by_obs = {int(o): float(d) for o, d in zip(batch.obs[:, 0], batch.discount, strict=True)}
    assert by_obs == {0: 0.5, 1: 0.5, 2: 0.5, 3: 0.5, 5: 0.5, 6: 0.0}
    # The state after the last step is the one that the episode ended in.
    last = batch.next_obs[batch.obs[:, 0] == 3]
    assert (last == 4).all()


def test_rewards_of_several_steps_by_hand():
    replay = filled([[4], [2]], [[False], [True]])
    batch = draw(replay, steps=3)
    row = {int(o): i for i, o in enumerate(batch.obs[:, 0])}
    expected = {
        0: (1 + 5 + 25, 3, 0.125),  # 1, 10 / 2, 100 / 4
        1: (10 + 50 + 250, 4, 0.125),
        2: (100 + 500, 4, 0.25),  # the time limit comes first
        3: (1000, 4, 0.5),
        5: (1 + 5, 7, 0.0),  # a terminal state
        6: (10, 7, 0.0),
    }
    for obs, (reward, after, discount) in expected.items():
        i = row[obs]
        assert batch.reward[i] == reward
        assert batch.next_obs[i, 0] == after
        assert batch.discount[i] == discount


def test_actions_are_clipped_and_contexts_belong_to_their_tasks():
    batch = draw(filled([[4], [2]], [[False], [True]]))
    assert (batch.act == 1.0).all()
    assert ((batch.obs >= 5) == (batch.context == 1)).all()


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=4), capacity=st.integers(1, 6))
def test_the_newest_episodes_replace_the_oldest(sizes, capacity):
    replay, stored = start_replay(capacity, T, 1, 1, 1), []
    for k, n in enumerate(sizes):
        data = episodes([[4] * n], [[False] * n], first=1000.0 * k)
        replay = add(replay, data, data.reward, jnp.zeros((1, 1)))
        stored += np.asarray(data.obs[0, :, 0, 0]).tolist()
    kept = np.asarray(replay.obs[:, 0, 0])[np.asarray(replay.length) > 0]
    assert sorted(kept.tolist()) == sorted(stored[-capacity:])
    assert int(replay.added) == len(stored)
