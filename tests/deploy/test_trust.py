"""What `trust` makes of rewards that follow what was done, and of rewards that do not."""

from dataclasses import replace

import numpy as np
import pytest
from test_meta_policy import Slide, play, write

import gmps.deploy
from gmps.deploy.dependence import chance, gram


def test_a_gram_matrix_by_hand():
    """Three points in a row: squares 1, 1 and 4, so the width is 1."""
    near, far = np.exp(-1), np.exp(-4)
    kernel = np.array([[1, near, far], [near, 1, near], [far, near, 1]])
    middle = np.eye(3) - 1 / 3
    wanted = middle @ kernel @ middle
    got = gram(np.arange(3.0)[:, None])
    np.testing.assert_allclose(got, wanted / np.linalg.norm(wanted), atol=1e-12)
    np.testing.assert_array_equal(gram(np.full((3, 2), 0.1)), np.zeros((3, 3)))
    # A row and its mirror image are the same to the even part, as the outer two are here.
    np.testing.assert_allclose(*gram(np.arange(3.0)[:, None], even=True)[[0, 2]])
    # Where most are the same, the median distance says nothing.
    assert np.isfinite(gram(np.eye(5)[:, :1])).all()


def test_rewards_that_follow_are_told_from_chance():
    x = np.arange(10.0)[:, None]
    assert chance([x], x) == 0.005
    far = np.arange(20.0)[:, None]
    assert chance([far], (far - 9.5) ** 2) <= 0.01
    assert chance([x], np.ones_like(x)) == 1
    # Of two descriptions one is enough.
    noise = np.random.default_rng(0).normal(size=(10, 3))
    assert chance([noise, x], x) < 0.05 < chance([noise], x)


def test_chance_is_uniform_where_rewards_say_nothing():
    """Whatever the design: mirrored pairs, and rewards that are not normal."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(200):
        half = rng.normal(size=(4, 3))
        found.append(chance([np.concatenate([half, -half])], rng.exponential(size=(8, 2)) ** 3))
    for share in (0.1, 0.5, 0.9):
        assert np.mean(np.array(found) <= share) == pytest.approx(share, abs=0.08)


@pytest.mark.parametrize("goal", [(0.5, -0.3), (0.15, 0.1)])
def test_true_rewards_are_trusted_and_those_of_other_episodes_are_not(goal, tmp_path):
    """Also where the right step is short: the goal is near to where the policy goes by itself."""
    meta = gmps.deploy.load(write(tmp_path / "policy"))
    play(meta, tmp_path / "e", 20, Slide(goal))
    episodes = gmps.deploy.read_episodes(tmp_path / "e/step-1")
    meta.adapt(episodes)
    assert meta.trust is not None and meta.trust.trusted, meta.trust
    rng, doubted = np.random.default_rng(0), 0
    for _ in range(25):
        order = rng.permutation(len(episodes))
        again = gmps.deploy.load(tmp_path / "policy")
        again.adapt(
            [replace(e, reward=episodes[i].reward) for e, i in zip(episodes, order, strict=True)]
        )
        assert again.trust is not None and again.trust.chance is not None
        assert again.trust.trusted == (again.trust.chance <= 0.1)
        doubted += not again.trust.trusted
    assert doubted >= 19
    assert "the rewards may have nothing to do with what the robot did" in str(again.trust)


def test_few_episodes_cannot_tell(tmp_path):
    meta = gmps.deploy.load(write(tmp_path / "policy"))
    play(meta, tmp_path / "e", 4)
    meta.adapt()
    assert meta.trust is not None and meta.trust.chance is None
    assert "too few to tell whether rewards follow what was done" in str(meta.trust)


def test_episodes_of_unequal_length_say_nothing_by_their_length(tmp_path):
    """Rewards that are noise are no more trusted where some episodes end early."""
    meta = gmps.deploy.load(write(tmp_path / "policy"))
    play(meta, tmp_path / "e")
    episodes = gmps.deploy.read_episodes(tmp_path / "e/step-1")
    rng, doubted = np.random.default_rng(0), 0
    for _ in range(25):
        cut = []
        for i, e in enumerate(episodes):
            t = 10 if i % 2 else 5
            reward = 100 + rng.normal(size=t).astype(np.float32)
            cut.append(
                replace(e, obs=e.obs[:t], act=e.act[:t], reward=reward, log_prob=e.log_prob[:t])
            )
        again = gmps.deploy.load(tmp_path / "policy")
        again.adapt(cut)
        assert again.trust is not None
        doubted += not again.trust.trusted
    assert doubted >= 19
