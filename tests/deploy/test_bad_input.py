"""What cannot work on a robot is one sentence, and nothing is lost by it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_meta_policy import Slide, constant, play, write

import gmps.deploy
from gmps.errors import GmpsError

#: Of a policy without a latent.
STEP = {
    "kind": "policy-gradient",
    "subset": "bias",
    "discount": 1.0,
    "gae_lambda": 1.0,
    "baseline": "zero",
}


@pytest.fixture
def policy(tmp_path) -> Path:
    return write(tmp_path / "policy")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"reward": np.array([1, np.nan, 1], np.float32)}, "the reward of step 1 is not finite"),
        (
            {"obs": np.zeros((3, 4), np.float32)},
            "have 4 numbers; this policy's have 2",
        ),
        ({"act": np.zeros((3, 1), np.float32)}, "actions have 1 numbers; this policy's have 2"),
        ({"held": np.zeros(0, np.float32)}, "holds a latent of 0 numbers, and this policy's has 2"),
        (
            {"frames": np.zeros((3, 2, 2, 3), np.uint8)},
            "has frames, and this policy acts",
        ),
    ],
)
def test_episodes_that_do_not_fit_are_refused(policy, change, sentence):
    good = [replace(e, obs=e.obs[:3], act=e.act[:3], reward=e.reward[:3]) for e in constant(1.0)]
    with pytest.raises(GmpsError, match="episode 2.*" + sentence):
        gmps.deploy.load(policy).adapt([*good[:2], replace(good[2], **change)])


def test_misuse_is_one_sentence(policy, tmp_path):
    meta = gmps.deploy.load(policy)
    with pytest.raises(GmpsError, match=r"episodes is 1; .* needs at least 2"):
        next(meta.explore(1, tmp_path / "e"))
    with pytest.raises(GmpsError, match="There are 0 recorded episodes"):
        meta.adapt()
    episode = next(meta.explore(2, tmp_path / "e"))
    with pytest.raises(GmpsError, match="call act before record"):
        episode.record(1.0)
    with pytest.raises(GmpsError, match=r"shape \(3,\); this policy's is \(2,\)"):
        episode.act(np.zeros(3))
    with pytest.raises(GmpsError, match="not finite"):
        episode.act(np.array([0.0, np.nan]))
    with pytest.raises(GmpsError, match="acts on states, and is given a frame"):
        episode.act(np.zeros(2), np.zeros((2, 2, 3), np.uint8))
    episode.act(np.zeros(2))
    with pytest.raises(GmpsError, match="call record before act"):
        episode.act(np.zeros(2))
    with pytest.raises(GmpsError, match="reward is inf"):
        episode.record(float("inf"))


def test_another_seed_in_the_same_folder_is_refused(policy, tmp_path):
    meta = gmps.deploy.load(policy)
    play(meta, tmp_path / "e", 2)
    with pytest.raises(GmpsError, match="another seed, number of episodes or policy"):
        list(meta.explore(4, tmp_path / "e", seed=1))


@pytest.mark.parametrize("latent", [True, False])
def test_episodes_of_another_policy_or_seed_are_not_reused(latent, tmp_path):
    settings = (
        {} if latent else {"policy": {"activation": "relu", "latent": False}, "adaptation": STEP}
    )
    one, other = (
        gmps.deploy.load(write(tmp_path / f"{bias}", bias, **settings)) for bias in (0.0, 0.1)
    )
    play(one, tmp_path / "e", 2)
    with pytest.raises(GmpsError, match=r"episode-000\.npz was recorded by another policy"):
        next(other.explore(2, tmp_path / "e"))
    with pytest.raises(GmpsError, match="another seed, number of episodes or policy"):
        next(one.explore(2, tmp_path / "e", seed=1))
    assert list(one.explore(2, tmp_path / "e")) == []
    # Earlier versions said the policy and no seed, or nothing.
    for path in (tmp_path / "e/step-1").iterdir():
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files if name != "seed"}
        assert arrays["policy"].shape == ()
        np.savez(path, **arrays)
    assert list(one.explore(2, tmp_path / "e")) == []


def test_damaged_folders_are_refused(policy, tmp_path):
    with pytest.raises(GmpsError, match="is no meta-policy"):
        gmps.deploy.load(tmp_path)
    weights = policy / "policy.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(GmpsError, match="its digest differs"):
        gmps.deploy.load(policy)
    meta = json.loads((policy / "meta.json").read_text())
    (policy / "meta.json").write_text(json.dumps({**meta, "format": 99}))
    with pytest.raises(GmpsError, match="has format 99"):
        gmps.deploy.load(policy)
    (policy / "meta.json").write_text("{")
    with pytest.raises(GmpsError, match="is damaged"):
        gmps.deploy.load(policy)
    with pytest.raises(GmpsError, match="already exists"):
        write(policy)


def test_damaged_episodes_are_refused(policy, tmp_path):
    for name, content in {
        "text.npz": b"not a zip",
        "object.npz": None,
        "short.npz": {"observations": np.zeros((3, 2)), "actions": np.zeros((3, 2))},
        "shape.npz": {
            "observations": np.zeros((1, 2)),
            "actions": np.zeros((3, 2)),
            "rewards": np.zeros(3),
        },
    }.items():
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif content is None:
            np.savez(path, observations=np.array([{}], object), actions=1, rewards=1)
        else:
            np.savez(path, **content)
        with pytest.raises(GmpsError, match=name):
            gmps.deploy.load(policy).adapt(path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"obs": 100.0}, "observation 0 lies .* check its unit and sign"),
        ({"reward": 100.0}, "as large as in training: check their unit"),
        ({"act": 100.0}, r"deviations from those that this policy meant: record them as drawn"),
    ],
)
def test_units_that_are_off_by_a_hundred_are_said(change, sentence, tmp_path):
    meta = gmps.deploy.load(write(tmp_path / "p", reward={"scale": 0.5}))
    play(meta, tmp_path / "e")
    good = gmps.deploy.read_episodes(tmp_path / "e/step-1")
    meta.adapt(good)
    assert meta.trust is not None and meta.trust.trusted, meta.trust
    (name, factor), *_ = change.items()
    off = [replace(e, **{name: getattr(e, name) * np.float32(factor)}) for e in good]
    again = gmps.deploy.load(tmp_path / "p")
    again.adapt(off)
    assert again.trust is not None and not again.trust.trusted
    assert re.search(sentence, str(again.trust))


def test_nothing_is_lost_by_what_is_refused(policy, tmp_path):
    whole = gmps.deploy.load(policy)
    play(whole, tmp_path / "whole", 4)
    wanted = whole.adapt().network.bias_transform
    meta, robot = gmps.deploy.load(policy), Slide()
    for episode in meta.explore(4, tmp_path / "e"):
        obs, done = robot.reset(), False
        while not done:
            obs, reward, done = robot.step(episode.act(obs))
            for bad, sentence in (
                ((float("nan"), obs), "reward is nan; it must be a finite number"),
                ((None, obs), "reward is None; it must be"),
                ((reward, np.zeros(3)), r"shape \(3,\); this policy's is \(2,\)"),
                ((reward, "here"), "is no vector of numbers"),
            ):
                with pytest.raises(GmpsError, match=sentence):
                    episode.record(*bad)
            episode.record(reward, obs)
    bad = [replace(e, act=e.act[:, :1]) for e in constant(1.0)]
    with pytest.raises(GmpsError, match="actions have 1 numbers"):
        meta.adapt(bad)
    assert meta.step == 0
    np.testing.assert_array_equal(meta.adapt().network.bias_transform, wanted)


def test_a_damaged_recording_is_named_and_played_again_once_it_is_away(policy, tmp_path):
    play(gmps.deploy.load(policy), tmp_path / "e", 4)
    broken = tmp_path / "e/step-1/episode-002.npz"
    content = broken.read_bytes()
    broken.write_bytes(content[: len(content) // 2])
    meta = gmps.deploy.load(policy)
    with pytest.raises(GmpsError, match=r"not a readable .* Move .*episode-002\.npz away"):
        play(meta, tmp_path / "e", 4)
    broken.rename(tmp_path / "damaged.npz")
    play(meta, tmp_path / "e", 4)
    assert broken.read_bytes() == content


def test_a_folder_of_another_version_is_refused(tmp_path):
    known = {"kind": "latent-step", "advantage": "learned", "segments": 5, "narrowing": 0.5}
    for i, (adaptation, sentence) in enumerate(
        (
            ({"kind": "leap"}, "adapts by 'leap', which this version of gmps does not know"),
            ({**known, "momentum": 0.9}, "of another version of gmps: .*momentum"),
        )
    ):
        with pytest.raises(GmpsError, match=sentence):
            gmps.deploy.load(write(tmp_path / str(i), adaptation=adaptation))


def test_damaged_policies_are_refused(policy, tmp_path):
    meta = gmps.deploy.load(policy)
    file = tmp_path / "adapted.safetensors"
    meta.adapt(constant(1.0)).save(file)
    assert gmps.deploy.load_policy(file)(np.zeros(2)).shape == (2,)
    with pytest.raises(GmpsError, match="already exists"):
        gmps.deploy.load(policy).adapt(constant(1.0)).save(file)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    (tmp_path / "flipped").write_bytes(content)
    (tmp_path / "short").write_bytes(content[:100])
    for name, sentence in (
        ("flipped", "do not match its digest"),
        ("short", "is damaged or cut short"),
        ("policy/policy.safetensors", "is not a checkpoint of gmps"),
        ("nothing", "There is no"),
    ):
        with pytest.raises(GmpsError, match=sentence):
            gmps.deploy.load_policy(tmp_path / name)
