"""Explore, record, adapt, act: the loop on a robot's computer, in numpy."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import gmps.deploy
import gmps.deploy.adapted
from gmps.deploy import MetaPolicy, RecordedEpisode
from gmps.deploy.adaptation import (
    Acting,
    LatentStep,
    PolicyGradient,
    part_of_the_way,
    slope_at_mean,
)
from gmps.deploy.exploration import spread_evenly

Z, STEPS = 2, 10


class Slide:
    """A point on a plane; the reward is minus the distance to a hidden goal."""

    def __init__(self, goal: tuple[float, float] = (0.5, -0.3), steps: int = STEPS):
        self.goal, self.steps = np.array(goal), steps

    def reset(self) -> np.ndarray:
        self.x, self.t = np.zeros(2, np.float32), 0
        return self.x

    def step(self, act: np.ndarray) -> tuple[np.ndarray, float, bool]:
        self.x = (self.x + 0.1 * np.asarray(act)).astype(np.float32)
        self.t += 1
        reward = -float(np.linalg.norm(self.x - self.goal))
        return self.x, reward, self.t == self.steps


def write(folder: Path, bias: float = 0.0, **changes) -> Path:
    """A linear policy that goes to its latent: a = z - x, so z is the goal."""
    arrays = {
        "policy/weights/0": np.concatenate([-np.eye(2), np.eye(2)]),
        "policy/biases/0": np.full(2, bias),
        "policy/bias_transform": np.zeros(2),
        "policy/log_std": np.full(2, np.log(0.05)),
        "policy/obs_mean": np.zeros(2),
        "policy/obs_std": np.ones(2),
        "latent/mean": np.zeros(Z),
        "latent/log_std": np.zeros(Z),
        "scale/mean": np.zeros(5),
        "scale/std": np.ones(5),
        "scale/return_std": np.array(3.0),
        "advantage/log_sharpness": np.array(0.5),
        "advantage/weight": np.full((5, Z), 1.0),
        "advantage/hidden": np.zeros((5, 3)),
        "advantage/bias": np.zeros(3),
        "advantage/out": np.zeros((3, Z)),
        "training/obs_mean": np.zeros(2),
        "training/obs_std": np.ones(2),
    }
    meta = {
        "method": "gmps-latent",
        "horizon": STEPS,
        "episodes": 10,
        "spaces": {
            "observation": {"size": 2},
            "action": {"size": 2, "low": [-1.0, -1.0], "high": [1.0, 1.0]},
            "frame": None,
        },
        "policy": {"activation": "relu", "latent": True},
        "exploration": {"spread": True},
        "adaptation": {
            "kind": "latent-step",
            "advantage": "learned",
            "segments": 5,
            "narrowing": 0.5,
        },
        **changes,
    }
    return gmps.deploy.save(
        folder, meta, {k: np.asarray(x, np.float32) for k, x in arrays.items()}, "# card\n"
    )


@pytest.fixture
def policy(tmp_path) -> Path:
    return write(tmp_path / "policy")


def play(meta: MetaPolicy, folder: Path, episodes: int = 10, robot: Slide | None = None) -> None:
    robot = robot or Slide()
    for episode in meta.explore(episodes, folder):
        obs, done = robot.reset(), False
        while not done:
            obs, reward, done = robot.step(episode.act(obs))
            episode.record(reward, obs)


def test_the_loop_finds_a_hidden_goal(policy, tmp_path):
    meta, robot = gmps.deploy.load(policy), Slide()
    play(meta, tmp_path / "episodes")
    adapted = meta.adapt()
    assert meta.trust is not None and meta.trust.trusted, meta.trust
    assert "10 episodes with returns from" in str(meta.trust)
    obs, done = robot.reset(), False
    start = np.linalg.norm(robot.goal)
    while not done:
        obs, _, done = robot.step(adapted(obs))
    assert np.linalg.norm(obs - robot.goal) < 0.8 * start
    # The second step goes on from the first and explores more narrowly.
    play(meta, tmp_path / "episodes")
    meta.adapt()
    assert meta.step == 2
    assert sorted(p.name for p in (tmp_path / "episodes").iterdir()) == ["step-1", "step-2"]


@pytest.mark.parametrize(
    ("kind", "settings", "least"),
    [
        ("latent-step", {"advantage": "learned", "segments": 5, "narrowing": 0.5}, 2),
        ("latent-gradient", {"discount": 0.99, "gae_lambda": 1.0}, 1),
    ],
)
def test_how_many_episodes_a_step_needs_is_its_own_matter(kind, settings, least, tmp_path):
    """Both have a latent; the second (MAESN's) does not compare episodes."""
    meta = gmps.deploy.load(write(tmp_path / "policy", adaptation={"kind": kind, **settings}))
    assert meta.least == least
    assert next(meta.explore(least, tmp_path / "episodes")) is not None


def test_the_best_episodes_may_weigh_most(tmp_path):
    """A single number stays one in the folder."""
    adaptation = {"kind": "latent-step", "advantage": "softmax", "segments": 5, "narrowing": 0.5}
    meta = gmps.deploy.load(write(tmp_path / "policy", adaptation=adaptation))
    assert meta.arrays["advantage/log_sharpness"].shape == ()
    play(meta, tmp_path / "episodes")
    meta.adapt()
    # Towards the goal, (0.5, -0.3).
    assert meta.acting.latent is not None
    assert (np.sign(meta.acting.latent[0]) == [1, -1]).all()


def test_a_crash_loses_the_running_episode_alone(policy, tmp_path):
    whole, robot = gmps.deploy.load(policy), Slide()
    play(whole, tmp_path / "whole", 6)
    wanted = whole.adapt().network
    meta = gmps.deploy.load(policy)
    with pytest.raises(RuntimeError, match="the robot fell"):
        for i, episode in enumerate(meta.explore(6, tmp_path / "crashed")):
            obs, done = robot.reset(), False
            while not done:
                if i == 3:
                    raise RuntimeError("the robot fell")
                obs, reward, done = robot.step(episode.act(obs))
                episode.record(reward, obs)
    assert len(list((tmp_path / "crashed/step-1").iterdir())) == 3
    again = gmps.deploy.load(policy)
    play(again, tmp_path / "crashed", 6)
    got = again.adapt().network
    np.testing.assert_array_equal(got.bias_transform, wanted.bias_transform)


def test_episodes_end_early_and_late_and_are_given_up(policy, tmp_path):
    meta = gmps.deploy.load(policy)
    played = 0
    for episode in meta.explore(4, tmp_path / "e"):
        robot = Slide(steps=(3, 30)[played % 2])
        obs, done = robot.reset(), False
        while not done:
            obs, reward, done = robot.step(episode.act(obs))
            episode.record(reward)
        played += 1
        if played == 2:
            episode.discard()
    assert played == 5
    lengths = [len(e) for e in gmps.deploy.read_episodes(tmp_path / "e/step-1")]
    assert lengths == [3, 3, 30, 3]
    meta.adapt()


def test_a_missing_last_reward_cuts_the_episode(policy, tmp_path):
    meta = gmps.deploy.load(policy)
    for episode in meta.explore(2, tmp_path / "e"):
        for reward in (1.0, 2.0):
            episode.act(np.zeros(2))
            episode.record(reward, np.full(2, 9.0))
        episode.act(np.ones(2))
    first = gmps.deploy.read_episodes(tmp_path / "e/step-1")[0]
    assert len(first) == 2
    np.testing.assert_array_equal(first.last_obs, np.ones(2))


def test_adapting_from_files_is_adapting_from_memory(policy, tmp_path):
    meta = gmps.deploy.load(policy)
    play(meta, tmp_path / "e", 6)
    wanted = meta.adapt().network
    for source in (tmp_path / "e/step-1", gmps.deploy.read_episodes(tmp_path / "e/step-1")):
        got = gmps.deploy.load(policy).adapt(source).network
        np.testing.assert_array_equal(got.bias_transform, wanted.bias_transform)
    episodes = gmps.deploy.read_episodes(tmp_path / "e/step-1")
    np.savez(
        tmp_path / "all.npz",
        observations=np.stack([e.obs for e in episodes]),
        actions=np.stack([e.act for e in episodes]),
        rewards=np.stack([e.reward for e in episodes]),
        held=np.stack([e.held for e in episodes]),
    )
    got = gmps.deploy.load(policy).adapt(tmp_path / "all.npz").network
    np.testing.assert_array_equal(got.bias_transform, wanted.bias_transform)


def test_actions_come_in_the_robots_units(tmp_path):
    spaces = {
        "observation": {"size": 2},
        "action": {"size": 2, "low": [0.0, -20.0], "high": [10.0, 20.0]},
        "frame": None,
    }
    meta = gmps.deploy.load(write(tmp_path / "p", spaces=spaces))
    for episode in meta.explore(2, tmp_path / "e"):
        act = episode.act(np.array([50.0, -50.0]))
        np.testing.assert_allclose(act, [0.0, 20.0])
        episode.record(1.0)
    assert meta.adapt()(np.array([-50.0, 50.0])) == pytest.approx([10.0, -20.0])


def test_further_gradient_steps_shrink():
    inner = PolicyGradient({}, "all", 0.99, 1.0, "time")
    assert [inner.share(step) for step in (1, 2, 3)] == [1, 1 / 7, 1 / 13]
    twice = replace(inner, whole=2)
    assert [twice.share(step) for step in (1, 2, 3)] == [1, 1, 1 / 7]
    steep = replace(inner, decay=27.0)
    assert [steep.share(step) for step in (1, 2, 3)] == [1, 1 / 28, 1 / 55]
    assert LatentStep({}, "learned", 5, 0.5).share(3) == 1
    network = gmps.deploy.adapted.GaussianNetwork(
        (np.ones((3, 1), np.float32),), (np.zeros(1, np.float32),),
        *(np.zeros(n, np.float32) for n in (1, 1, 2, 2)), "relu",
    )  # fmt: skip
    moved = replace(network, biases=(np.full(1, 3.0, np.float32),))
    before, proposed = Acting(network), Acting(moved)
    assert part_of_the_way(before, proposed, 1) is proposed
    third = part_of_the_way(before, proposed, 1 / 3)
    assert third.network.biases[0] == pytest.approx(1.0)
    assert third.network.weights[0].dtype == np.float32


def test_latents_are_spread_in_pairs(policy):
    held = gmps.deploy.load(policy)._held(10, 0)
    np.testing.assert_allclose(held[0::2], -held[1::2])
    np.testing.assert_allclose(held.T @ held / 10, np.eye(Z), atol=1e-6)


def test_one_may_stop_after_every_so_many_episodes():
    """Every `2 size` draws are white, and the rest together; fewer are orthogonal, as long."""
    held = spread_evenly(np.random.default_rng(0), 20, 4)
    for part in (held[:8], held[8:], held):
        np.testing.assert_allclose(part.T @ part / len(part), np.eye(4), atol=1e-6)
    few = spread_evenly(np.random.default_rng(0), 5, 4)
    np.testing.assert_allclose(few[0::2] @ few[0::2].T, 4 * np.eye(3), atol=1e-6)
    np.testing.assert_allclose(few[1], -few[0])


def test_an_early_stop_does_not_overshoot():
    """Advantages rise by (1, 2, 0, 0); of four directions two were tried, and are known exactly."""
    held = spread_evenly(np.random.default_rng(0), 4, 4).astype(np.float64)
    wanted = np.array([1.0, 2.0, 0.0, 0.0])
    advantage = (held @ wanted)[:, None]
    tried = held[::2].T @ held[::2] / 4
    np.testing.assert_allclose(slope_at_mean(held, advantage), tried @ wanted, atol=1e-6)
    np.testing.assert_allclose((held * advantage).mean(0), 2 * tried @ wanted, atol=1e-6)
    white = spread_evenly(np.random.default_rng(0), 8, 4).astype(np.float64)
    got = slope_at_mean(white, (white @ wanted)[:, None] + 7)
    np.testing.assert_allclose(got, wanted, atol=1e-6)


def constant(reward: float, episodes: int = 4) -> list[RecordedEpisode]:
    rng = np.random.default_rng(0)
    rows = lambda *shape: rng.normal(size=shape).astype(np.float32)  # noqa: E731
    return [
        RecordedEpisode(
            rows(5, 2),
            rows(5, 2),
            np.full(5, reward, np.float32),
            np.zeros(5, np.float32),
            rows(Z),
            rows(2),
            False,
        )
        for _ in range(episodes)
    ]


@pytest.mark.parametrize(
    ("reward", "sentence"),
    [(0.0, "all rewards are zero"), (3.0, "all rewards are 3"), (None, "deviations from training")],
)
def test_doubts_are_said(policy, reward, sentence):
    meta = gmps.deploy.load(policy)
    episodes = constant(1.0 if reward is None else reward)
    if reward is None:
        episodes = [
            replace(e, obs=e.obs + np.float32([0, 1000]), reward=e.obs[:, 0]) for e in episodes
        ]
    meta.adapt(episodes)
    assert meta.trust is not None and not meta.trust.trusted
    assert sentence in str(meta.trust)


def test_numpy_and_safetensors_are_all_that_is_imported():
    code = """
import sys
allowed = {"numpy", "safetensors", "gmps"} | sys.stdlib_module_names
class Others:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in allowed:
            raise ImportError(f"{name} is not there")
sys.meta_path.insert(0, Others())
import gmps.deploy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
