"""Rewards of demonstrations, computed from what they recorded."""

from dataclasses import replace

import numpy as np
import pytest

from gmps.data.demos import load_demos
from gmps.data.relabel import own_rewards, same_rewards
from gmps.data.rewards import known_rewards
from gmps.data.select import without_failures
from gmps.presets import preset
from gmps.tasks import make_family
from gmps.training.experiment import prepare
from places import DATA

GOALS = np.array([[0.0, 0.74], [0.05, 0.72]])


def pushes(path, rewards=5.0):
    """Two tasks with an episode of three steps each: the block goes straight to the goal."""
    obs = np.zeros((2, 1, 3, 6))
    obs[..., :3] = 0.0, 0.4, 0.05
    for i, goal in enumerate(GOALS):
        for t, share in enumerate((0.0, 0.5, 1.0)):
            obs[i, 0, t, 3:] = *((1 - share) * np.array([0, 0.52]) + share * goal), 0.02
    np.savez(
        path,
        observations=obs,
        actions=np.zeros((2, 1, 3, 3)),
        goals=GOALS,
        rewards=np.full((2, 1, 3), rewards),
    )
    return path


def test_sparse_rewards_by_hand(tmp_path):
    family = make_family("sawyer-push-sparse")
    rewards = own_rewards(load_demos(pushes(tmp_path / "a.npz"), family), family)
    # Task 0: 22 cm away, 11 cm away, there. The last observation stands for the one after it.
    np.testing.assert_allclose(rewards[0, 0], [0, 22, 22], atol=1e-4)
    start = 100 * np.hypot(0.05, 0.2)
    np.testing.assert_allclose(rewards[1, 0], [0, start, start], atol=1e-4)


def test_a_level_of_other_rewards_is_computed_anew_and_said(tmp_path):
    config = replace(preset("sawyer-push-sparse"), demos=str(pushes(tmp_path / "a.npz")))
    found = prepare(config)
    contexts, returns, whose = found.known_levels
    np.testing.assert_allclose(contexts, GOALS, rtol=1e-6)
    np.testing.assert_allclose(returns, [44, 200 * np.hypot(0.05, 0.2)], rtol=1e-5)
    assert whose == "demonstrators' recomputed"
    # (44 + 41.23) / 6 steps
    assert found.warnings == (
        f"The rewards in {tmp_path / 'a.npz'} are not those of sawyer-push-sparse: 5 a step in "
        "the mean, the family's 14.2; the demonstrators' level is computed from the observations.",
    )
    assert found.notes[0] == (
        "2 of 2 tasks used, 0 held out; 2 episodes; 0 % clipped; 3 to 3 steps; rewards recomputed"
    )


def test_rewards_of_failures_that_are_left_out_do_not_count(tmp_path):
    family = make_family("sawyer-push-sparse")
    once = load_demos(pushes(tmp_path / "a.npz"), family)
    twice = lambda x: np.repeat(x, 2, 1)  # noqa: E731
    reward = twice(own_rewards(once, family))
    demos = once._replace(
        obs=twice(once.obs),
        act=twice(once.act),
        reward=reward,
        alive=twice(once.alive),
        success=np.array([[1, 0], [0, 1]]),
    )
    kept, notes = without_failures(demos)
    assert len(notes) == 1
    known = known_rewards(kept, family)
    assert (known.words, known.warnings) == ("of the file", ())
    assert known.values is reward
    other = known_rewards(kept._replace(reward=reward + 5), family)
    assert other.recomputed and "are not those of sawyer-push-sparse" in other.warnings[0]


def test_observations_that_tell_no_state_have_no_rewards_of_their_own(tmp_path):
    family = make_family("point-goal")
    sizes = family.spec.obs_size, family.spec.act_size
    np.savez(
        tmp_path / "a.npz",
        observations=np.zeros((2, 1, 3, sizes[0])),
        actions=np.zeros((2, 1, 3, sizes[1])),
        goals=np.eye(2),
    )
    assert own_rewards(load_demos(tmp_path / "a.npz", family), family) is None


@pytest.mark.skipif(not DATA.exists(), reason="the authors' demonstrations are not here")
@pytest.mark.parametrize(
    ("name", "file"), [("ant-goal", "ant-goal"), ("sawyer-push", "sawyer-push-sac")]
)
def test_dense_rewards_are_those_of_the_authors(name, file):
    family = make_family(name)
    demos = load_demos(DATA / f"{file}-demos.npz", family)
    episodes = slice(0, 3)
    demos = demos._replace(
        obs=demos.obs[:, episodes],
        act=demos.act[:, episodes],
        reward=demos.reward[:, episodes],
        alive=demos.alive[:, episodes],
    )
    found = own_rewards(demos, family)
    assert same_rewards(demos.reward[demos.alive], found[demos.alive])
    assert np.abs(found - demos.reward)[:, :, :-1].max() < 0.02
    np.testing.assert_allclose(found.sum(-1).mean(), demos.reward.sum(-1).mean(), rtol=2e-3)
    sparse = make_family(f"{name}-sparse")
    other = own_rewards(demos, sparse)
    assert not same_rewards(demos.reward[demos.alive], other[demos.alive])
