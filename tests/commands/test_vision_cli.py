"""Learning from pictures as a user types it: train, look at the report, adapt, demonstrate."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from test_render import needs_gl

from gmps.commands.cli import main
from gmps.data.demos import load_demos
from gmps.data.episodes import Episodes, each
from gmps.data.minari_io import write_episodes
from gmps.evaluation.scores import read_scores
from gmps.runs.policy_file import load_policy
from gmps.runs.run import Run
from gmps.tasks import make_family

pytestmark = [needs_gl, pytest.mark.usefixtures("frozen_commit")]
QUICK = [
    "--rounds", "2", "--train-tasks", "2", "--expert-episodes", "1", "--threshold.episodes", "1",
    "--evaluation.episodes", "2", "--evaluation.repeats", "1", "--evaluation.tasks", "2",
    "--plain.steps", "3", "--plain.labels", "5", "--plain.step-sizes", "0.05",
    "--plain.episodes", "2",
]  # fmt: skip
SMALL = {
    "gmps": "--episodes 2 --hidden 8 --outer-steps 1 --labels 5 --pretrain-steps 3"
    " --pretrain-labels 5 --visit-episodes 1 --capacity 20",
    "gmps-latent": "--episodes 2 --hidden 8 --outer-steps 1 --labels 5 --pretrain-steps 3"
    " --latent 1 --own-episodes 1 --visit-episodes 1 --capacity 20",
}


def quick(method: str) -> list[str]:
    """Options of a run of seconds."""
    own = SMALL[method].replace("--", f"--{method}.")
    return ["--method", method, *own.split(), *QUICK]


@pytest.mark.parametrize("method", ["gmps", pytest.param("gmps-latent", marks=pytest.mark.slow)])
def test_train_report_and_adapt(method: str, tmp_path: Path):
    folder = tmp_path / "run"
    assert main(["train", "sawyer-push-vision", *quick(method), "--run", str(folder)]) == 0
    run = Run.open(folder)
    scores = read_scores(folder)
    assert scores is not None
    names = {"before", "after_1", "wrong_task", "plain", "expert"}
    assert names <= set(scores.heldout.deterministic.conditions)
    arrays = run.read_paths()
    assert arrays is not None
    for condition in ("before", "after_1"):
        assert arrays[f"frames/{condition}"].shape == (2, 5, 48, 64, 3)
        assert arrays[f"frames/{condition}"].dtype == np.uint8
        assert arrays[f"points/{condition}"].shape == (2, 5, 16, 2)
        assert np.abs(arrays[f"points/{condition}"]).max() <= 1
    page = (folder / "report.html").read_text()
    assert "What the policy sees" in page
    # Two tasks, two conditions, five frames each with sixteen points.
    assert page.count("data:image/png;base64,") == 20
    assert page.count("hsl(") == 320

    out = tmp_path / "policy.safetensors"
    adapt = ["adapt", str(folder), "--task", "0.05", "0.75", "--episodes", "2", "--out", str(out)]
    assert main(adapt) == 0
    policy, facts = load_policy(out)
    assert policy.encoder.needs_frames
    assert facts["family"] == "sawyer-push-vision"
    mean, _ = policy(jnp.zeros(3), arrays["frames/before"][0, 0])
    assert mean.shape == (3,)


def test_methods_of_states_say_that_they_do_not_learn_from_pictures(capsys):
    assert main(["train", "sawyer-push-vision", "--method", "maml"]) == 2
    text = capsys.readouterr().err
    assert "Maml learns from states, and sawyer-push-vision shows pictures" in text


def test_demonstrations_keep_their_frames(tmp_path: Path):
    family = make_family("sawyer-push-vision")
    rng = np.random.default_rng(0)
    shape = (2, 1, 3)
    frames = rng.integers(0, 256, (*shape, 48, 64, 3), dtype=np.uint8)
    episodes = Episodes(
        obs=rng.normal(size=(*shape, 6)).astype(np.float32),
        act=rng.uniform(-1, 1, (*shape, 3)).astype(np.float32),
        reward=None,
        tasks=np.asarray(family.tasks("train", 2)),
        alive=np.ones(shape, bool),
        frames=frames,
    )
    out = tmp_path / "push-pictures-v0"
    write_episodes(out, each(episodes), family.name, "a test")
    back = load_demos(out, family)
    assert back.frames is not None
    np.testing.assert_array_equal(back.frames, frames)
    np.testing.assert_array_equal(back.obs, episodes.obs)
    demos = back.select([1]).demonstrations()
    np.testing.assert_array_equal(demos.frames, frames[1])
    # A family without a camera takes the states and leaves the frames.
    assert load_demos(out, make_family("sawyer-push")).frames is None

    blind = episodes._replace(frames=None)
    write_episodes(tmp_path / "blind-v0", each(blind), family.name, "a test")
    with pytest.raises(ValueError, match="hold no frames, which sawyer-push-vision takes"):
        load_demos(tmp_path / "blind-v0", family)
