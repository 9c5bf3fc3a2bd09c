"""A method exported adapts in numpy as it does in JAX, from the same episodes."""

import sys

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest
from test_methods_contract import SETTINGS
from test_render import needs_gl

import gmps.deploy
from gmps.core.policy import init_policy
from gmps.core.types import Trajectories, stack, tree_index
from gmps.deploy import RecordedEpisode
from gmps.errors import GmpsError
from gmps.experts.base import ExpertActor, label
from gmps.methods.adaptation import part_of_the_way
from gmps.methods.registry import METHODS, make_method
from gmps.runs.forms import require_forms, write_forms
from gmps.runs.policy_file import save_policy
from gmps.tasks import make_family
from gmps.training.export import export
from gmps.worlds.factory import make_world

FACTS = {
    "family": "point-goal", "method": "any", "seed": 0, "round": 0, "episodes": 10, "return": -8.0,
    "scores": {"before": {"normalised": 0.2}, "after_1": {"normalised": 0.9, "success": 1.0}},
    "versions": {"gmps": "0"},
}  # fmt: skip


def recorded(data: Trajectories, shown: int) -> list[RecordedEpisode]:
    """One task's episodes as a robot would have recorded them, each to its own end."""
    episodes = []
    for e in range(data.alive.shape[1]):
        steps = int(data.alive[0, e].sum())
        row = lambda x: np.asarray(x[0, e])  # noqa: B023, E731
        episodes.append(
            RecordedEpisode(
                row(data.obs)[:steps, :shown],
                row(data.act)[:steps],
                row(data.reward)[:steps],
                row(data.log_prob)[:steps],
                row(data.held),
                row(data.last_obs)[:shown],
                bool(data.terminated[0, e]),
                None if data.frames is None else row(data.frames)[:steps],
            )
        )
    return episodes


def both_adapt(name, settings, family_name, folder):
    """The adapted policies of JAX and of numpy, from one task's episodes."""
    family = make_family(family_name)
    world, tasks = make_world(family, 1), family.tasks("train", 3)
    assert family.expert is not None
    actor = ExpertActor(family.expert, family.spec.act_size)
    visits = world.rollout(actor, jnp.full(3, 0.3), tasks, 2, jax.random.key(0)).trajectories
    demos = label(family.expert, tasks, visits)
    method = make_method(name, settings, world, tasks, family.expert)
    state = method.init(jax.random.key(1), demos)
    if hasattr(state, "step_size"):  # 0 before the first search, which would test nothing
        state = state._replace(step_size=jnp.float32(0.1))
    found = export(method, state, tasks, demos, {**FACTS, "family": family_name})
    gmps.deploy.save(folder, *found)
    one = jax.tree.map(lambda x: x[:1], tasks)
    policies = stack(method.policy(state), 1)
    data = world.rollout(method.actor(), policies, one, 10, jax.random.key(2)).trajectories
    meta = gmps.deploy.load(folder)
    episodes = recorded(data, meta.spaces.obs_size)
    for step in (1, 2):  # the second from the same episodes, which is as good for this
        proposed = method.adapt(state, policies, data)
        policies = part_of_the_way(policies, proposed, method.share(step))
        got = meta.adapt(episodes)
    return tree_index(policies, 0).export(), got, data


#: Methods whose policies are none that `gmps.deploy` runs.
STAY = ("in-context", "pearl", "rl2")


@pytest.mark.parametrize("name", [n for n in METHODS if n not in STAY])
def test_numpy_adapts_as_jax_does(name, tmp_path):
    wanted, got, data = both_adapt(name, SETTINGS[name][0], "point-goal", tmp_path / "policy")
    obs = np.asarray(data.obs[0, 0])
    acts = [np.clip(wanted(o)[0], -1, 1) for o in obs]
    np.testing.assert_allclose([got(o) for o in obs], acts, atol=1e-5)
    text = (tmp_path / "policy/README.md").read_text()
    assert "| after 1 | 0.9 | 1 |" in text and "x (m), y (m)" in text


@needs_gl
def test_a_policy_of_pictures(tmp_path):
    settings = SETTINGS["gmps-latent"][0]
    wanted, got, data = both_adapt(
        "gmps-latent", settings, "sawyer-push-vision", tmp_path / "policy"
    )
    assert data.frames is not None
    for t in range(0, 50, 10):
        obs, frame = np.asarray(data.obs[0, 0, t, :3]), data.frames[0, 0, t]
        act = np.clip(wanted(obs, frame)[0], -1, 1)
        np.testing.assert_allclose(got(obs, frame), act, atol=1e-4)
    with pytest.raises(GmpsError, match=r"frame has shape None; this policy's is \(48, 64, 3\)"):
        got(np.zeros(3))


def in_other_forms(folder, policy, spaces, *shown):
    """What ONNX and StableHLO do in many observations."""
    paths = list(write_forms(folder / "base", policy, spaces, ("onnx", "stablehlo")))
    assert [p.name for p in paths] == ["base.onnx", "base.stablehlo"]
    session = onnxruntime.InferenceSession(paths[0])
    names = [x.name for x in session.get_inputs()]
    hlo = jax.export.deserialize(bytearray(paths[1].read_bytes()))
    return session.run(None, dict(zip(names, shown, strict=True)))[0], hlo.call(*shown)


@pytest.mark.parametrize("camera", [False, True])
def test_other_forms_act_as_jax_does(camera, tmp_path):
    """In a thousand observations, with and without pictures."""
    policy = init_policy(
        jax.random.key(3),
        4,
        2,
        camera=camera,
        bias_init=0.3,
        activation="relu" if camera else "tanh",
    )
    spaces = {
        "observation": {"size": 4},
        "action": {"size": 2, "low": [0.0, -20.0], "high": [10.0, 20.0]},
        "frame": {"shape": [20, 27, 3], "strides": [3, 3, 1]} if camera else None,
    }
    rng = np.random.default_rng(0)
    n = 1000
    shown = [4 * rng.normal(size=(n, 4)).astype(np.float32)]
    if camera:
        shown.append(rng.integers(0, 256, (n, 20, 27, 3)).astype(np.uint8))
    mean = jax.vmap(policy)(*shown)[0]
    wanted = np.array([5.0, 0.0]) + np.array([5.0, 20.0]) * np.clip(mean, -1, 1)
    assert np.abs(mean).max() > 1 and np.std(wanted, 0).min() > 0.01
    for got in in_other_forms(tmp_path, policy, spaces, *shown):
        np.testing.assert_allclose(got, wanted, atol=1e-4)
    save_policy(tmp_path / "one.safetensors", policy, {"spaces": spaces})
    numpy = gmps.deploy.load_policy(tmp_path / "one.safetensors")
    got = [numpy(*x) for x in zip(*(x[:20] for x in shown), strict=True)]
    np.testing.assert_allclose(got, wanted[:20], atol=1e-4)


def test_onnx_says_what_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(GmpsError, match=r'which is not installed: pip install "gmps\[onnx\]"'):
        require_forms(["onnx"])


@pytest.mark.parametrize("name", STAY)
def test_others_say_why_not(name, tmp_path):
    with pytest.raises(GmpsError, match=f"{name} cannot be exported"):
        both_adapt(name, SETTINGS[name][0], "point-goal", tmp_path / "policy")
