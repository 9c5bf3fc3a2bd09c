"""From a run to a robot and back: export, explore, adapt from recorded episodes."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest
from test_meta_policy import write as write_policy

import gmps
import gmps.deploy
from gmps.commands.cli import main
from gmps.core.types import stack
from gmps.deploy import RecordedEpisode, write_episode
from gmps.runs.policy_file import load_policy
from gmps.runs.run import Run
from gmps.training.config import TrainConfig
from gmps.training.experiment import load_experiment
from gmps.training.train import restore

TASK = "0.7 0.7"
ENV = """
from gmps.tasks import make_family
from gmps.worlds.as_gymnasium import as_gymnasium
from gmps.worlds.factory import make_world
import jax.numpy as jnp

def make_env():
    return as_gymnasium(make_world(make_family("point-goal")), jnp.array([0.7, 0.7]))

def nothing():
    return None
"""
STILL = """
import gymnasium
import numpy as np

class Still(gymnasium.Env):
    observation_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        return np.zeros(2, np.float32), {}

    def step(self, act):
        return np.zeros(2, np.float32), 1.0, False, False, {}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("deploy") / "run"
    options = (
        "train point-goal --method gmps-latent --rounds 2 --threads 1 --gmps-latent.pretrain-steps "
        "300 --gmps-latent.outer-steps 5 --gmps-latent.hidden 16 --evaluation.steps 1 "
        "--evaluation.repeats 1 --evaluation.tasks 3 --evaluation.evaluation-episodes 1 "
        f"--plain.steps 20 --plain.stds 0.3 --plain.step-sizes 0.1 --run {folder}"
    )
    assert main(options.split()) == 0
    return folder


@pytest.fixture(scope="module")
def recording(run, tmp_path_factory) -> Path:
    """The episodes that `gmps adapt` simulates with seed 0, as files."""
    folder = tmp_path_factory.mktemp("recorded")
    opened = Run.open(run)
    config = opened.load_config(TrainConfig)
    experiment = load_experiment(opened, config)
    state, _ = restore(opened, config, experiment)
    method, world = experiment.method, experiment.world
    key = jax.random.split(jax.random.key(0), 2)[0]
    tasks = jnp.asarray([[0.7, 0.7]], jnp.float32)
    policies = stack(method.policy(state), 1)
    data = world.rollout(method.actor(), policies, tasks, 20, key).trajectories
    for e in range(20):
        row = lambda x, e=e: np.asarray(x[0, e])  # noqa: E731
        episode = RecordedEpisode(
            *(row(x) for x in (data.obs, data.act, data.reward, data.log_prob, data.held)),
            row(data.last_obs),
            bool(data.terminated[0, e]),
        )
        write_episode(folder / f"episode-{e:03d}.npz", episode)
    return folder


def test_recorded_episodes_give_the_policy_of_the_simulation_bit_for_bit(run, recording, tmp_path):
    there, here = tmp_path / "there.safetensors", tmp_path / "here.safetensors"
    assert main(f"adapt {run} --task {TASK} --out {there}".split()) == 0
    assert main(f"adapt {run} --episodes {recording} --out {here}".split()) == 0
    leaves = [jax.tree.leaves(load_policy(path)[0]) for path in (there, here)]
    for a, b in zip(*leaves, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_exported_policy_adapts_alike_in_numpy(run, recording, tmp_path, capsys):
    policy, here = tmp_path / "policy", tmp_path / "here.safetensors"
    assert main(f"export {run} --out {policy}".split()) == 0
    assert main(f"adapt {run} --episodes {recording} --out {here}".split()) == 0
    assert main(f"adapt {policy} --episodes {recording}".split()) == 0
    assert "20 episodes with returns from" in capsys.readouterr().out
    jax_policy = load_policy(here)[0]
    numpy_policy = gmps.deploy.load(policy).adapt(recording)
    for obs in np.random.default_rng(0).uniform(-1, 1, (20, 2)).astype(np.float32):
        wanted = np.clip(jax_policy(obs)[0], -1, 1)
        np.testing.assert_allclose(numpy_policy(obs), wanted, atol=1e-5)
    meta = json.loads((policy / "meta.json").read_text())
    assert meta["spaces"]["observation"] == {"size": 2, "names": ["x (m)", "y (m)"]}
    assert len(meta["training_tasks"]) == 16
    assert set(meta["scores"]) >= {"before", "after_1", "wrong_task", "plain", "expert"}
    assert "| after 1 |" in (policy / "README.md").read_text()


def test_other_forms_of_a_run_and_of_an_adapted_policy(run, recording, tmp_path, capsys):
    policy, session = tmp_path / "policy", onnxruntime.InferenceSession
    assert main(f"export {run} --out {policy} --forms onnx stablehlo".split()) == 0
    assert (policy / "base.stablehlo").is_file()
    obs = np.random.default_rng(0).uniform(-1, 1, (1000, 2)).astype(np.float32)
    wanted = np.clip(jax.vmap(gmps.load(run).policy)(obs)[0], -1, 1)
    got = session(policy / "base.onnx").run(None, {"observation": obs})[0]
    np.testing.assert_allclose(got, wanted, atol=1e-5)
    # Both who adapt write the same kind of file, which JAX, numpy and ONNX read.
    for source in (run, policy):
        file = tmp_path / f"{source.name}.safetensors"
        assert main(f"adapt {source} --episodes {recording} --out {file}".split()) == 0
        assert main(f"export {file} --forms onnx".split()) == 0
        wanted = np.clip(jax.vmap(gmps.load(file).policy)(obs)[0], -1, 1)
        got = session(file.with_suffix(".onnx")).run(None, {"observation": obs})[0]
        np.testing.assert_allclose(got, wanted, atol=1e-5)
        numpy = gmps.deploy.load_policy(file)
        np.testing.assert_allclose([numpy(o) for o in obs[:20]], wanted[:20], atol=1e-5)
    for words, sentence in (
        (f"export {file}", "say in which form to write it"),
        (f"export {file} --forms onnx", "policy.onnx already exists"),
        (f"export {policy}/meta.json --forms onnx", "is damaged or cut short"),
    ):
        assert main(words.split()) == 2
        assert sentence in capsys.readouterr().err


def test_explore_plays_any_gymnasium_environment(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "robot.py").write_text(ENV)
    assert main(f"export {run} --out policy".split()) == 0
    command = "explore policy --env robot.py:make_env --episodes 4"
    assert main(f"{command} --dry-run".split()) == 0
    assert "4 episodes of at most 20 steps would be played" in capsys.readouterr().out
    assert not (tmp_path / "episodes").exists()
    assert main(command.split()) == 0
    episodes = gmps.deploy.read_episodes("episodes/step-1")
    assert [len(e) for e in episodes] == [20] * 4
    assert main(["adapt", "policy", "--episodes", "episodes/step-1"]) == 0
    assert main(["explore", "policy", "--env", "robot.py:nothing"]) == 2
    assert "not a gymnasium.Env" in capsys.readouterr().err


def test_a_trial_looks_at_nothing_that_is_recorded(tmp_path, monkeypatch, capsys):
    """Once all is recorded it still acts, with the first draw of its seed, and records nothing."""
    monkeypatch.chdir(tmp_path)
    write_policy(tmp_path / "policy")
    (tmp_path / "still.py").write_text(STILL)
    command = "explore policy --env still.py:Still --episodes 4 --folder own"
    assert main(command.split()) == 0
    before = sorted(tmp_path.rglob("*.npz"))
    capsys.readouterr()
    for seed in (0, 1):
        assert main(f"{command} --dry-run --seed {seed}".split()) == 0
        first = next(gmps.deploy.load("policy").explore(4, tmp_path / "none", seed))
        act = first.act(np.zeros(2)).round(4).tolist()
        assert f"action {act}, reward 1\n" in capsys.readouterr().out
    assert sorted(tmp_path.rglob("*.npz")) == before


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("adapt {run} --episodes nowhere", "There is no file or folder nowhere"),
        ("adapt {run} --episodes {recording} --task 1 1", "recorded in a task of their own"),
        ("adapt {run} --episodes {recording} --out {run}/config.json", "already exists"),
        ("export {run} --out {run}", "already exists"),
        ("explore {run} --env x.py:f", "is no meta-policy"),
    ],
)
def test_what_cannot_work_is_one_sentence(command, sentence, run, recording, capsys):
    assert main(command.format(run=run, recording=recording).split()) == 2
    assert sentence in capsys.readouterr().err
