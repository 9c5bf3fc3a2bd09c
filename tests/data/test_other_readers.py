"""LeRobot's and robomimic's own readers read what we write, and we what LeRobot writes.

Their packages take torch, 6 GB in all, and so a Python of their own: `GMPS_OTHER_READERS` names one
that has them, or an environment is made for the test.
"""

import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
from test_exporting import shown

from gmps.data.demos import load_demos
from gmps.data.episodes import each
from gmps.data.exporting import write_as
from gmps.data.importing import import_demos
from gmps.data.mapping import Mapping
from gmps.tasks import make_family
from places import ROOT

pytestmark = pytest.mark.slow
FAMILY = make_family("sawyer-push-vision")
#: Without what they require: robomimic asks for a renderer, LeRobot for drivers of robots.
BARE = ["lerobot==0.4.4", "robomimic==0.3.0", "accelerate", "draccus", "mergedeep", "psutil"]
BARE += ["safetensors", "six"]
WHOLE = ["torch==2.14.1", "torchvision==0.29.1", "h5py", "tqdm", "termcolor", "datasets<5", "av"]
WHOLE += ["huggingface_hub", "jsonlines", "packaging", "pyarrow", "einops", "deepdiff", "imageio"]
WHOLE += ["matplotlib"]


def other_python(folder: Path) -> str:
    """A Python that has both packages; making one downloads 3 GB."""
    if named := os.environ.get("GMPS_OTHER_READERS"):
        return named
    venv.create(folder, with_pip=True)
    python = str(folder / ("Scripts" if sys.platform == "win32" else "bin") / "python")
    for words in (WHOLE, ["--no-deps", *BARE]):
        subprocess.run([python, "-m", "pip", "install", "-q", *words], check=True)
    return python


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What we wrote, and what they say of it."""
    found = tmp_path_factory.mktemp("sets")
    episodes, ends = shown(frames=True)
    write_as("robomimic", found / "set.hdf5", each(episodes, ends), FAMILY, "a test")
    write_as("lerobot", found / "set", each(episodes, ends), FAMILY, "a test")
    python = other_python(tmp_path_factory.mktemp("other") / "env")
    script = ROOT / "tests" / "data" / "other_readers.py"
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(found / "cache")}
    offline.pop("PYTHONPATH", None)
    done = subprocess.run(
        [python, "-W", "ignore", str(script), str(found)],
        capture_output=True,
        text=True,
        check=False,
        env=offline,
    )
    assert done.returncode == 0, done.stderr
    print((found / "versions.json").read_text())
    return found


@pytest.fixture(scope="module")
def steps() -> dict[str, np.ndarray]:
    """All steps of what was written, episode after episode."""
    episodes, ends = shown(frames=True)
    assert episodes.frames is not None and episodes.reward is not None and ends.last_obs is not None
    places = [(t, e) for t in range(2) for e in range(2) if episodes.alive[t, e].any()]
    lengths = [int(episodes.alive[place].sum()) for place in places]

    def cut(array: np.ndarray) -> np.ndarray:
        return np.concatenate([array[p][:n] for p, n in zip(places, lengths, strict=True)])

    after = [
        np.concatenate([episodes.obs[place][1:n], ends.last_obs[place][None]])
        for place, n in zip(places, lengths, strict=True)
    ]
    return {
        "obs": cut(episodes.obs),
        "next_obs": np.concatenate(after),
        "act": cut(episodes.act),
        "reward": cut(episodes.reward),
        "frames": cut(episodes.frames),
        "episode": np.repeat(np.arange(3), lengths),
        "last": np.cumsum(lengths) - 1,
    }


def test_robomimics_reader_finds_every_transition(folder: Path, steps):
    found = np.load(folder / "robomimic.npz")
    assert (found["demos"], str(found["env"])) == (3, FAMILY.name)
    np.testing.assert_array_equal(found["actions"], steps["act"])
    np.testing.assert_array_equal(found["rewards"], steps["reward"])
    for key, name in (("obs", "obs"), ("next_obs", "next_obs")):
        both = np.concatenate([found[f"{key}/hand"], found[f"{key}/block"]], 1)
        np.testing.assert_array_equal(both, steps[name])
    np.testing.assert_array_equal(found["obs/frame_image"], steps["frames"])
    assert np.flatnonzero(found["dones"]).tolist() == [steps["last"][0]]  # the others were cut off


def test_lerobots_reader_finds_every_frame(folder: Path, steps):
    found = np.load(folder / "lerobot.npz")
    assert found["episodes"] == 3
    np.testing.assert_array_equal(found["observation.state"], steps["obs"])
    np.testing.assert_array_equal(found["action"], steps["act"])
    np.testing.assert_array_equal(found["next.reward"].ravel(), steps["reward"])
    np.testing.assert_array_equal(found["episode_index"], steps["episode"])
    np.testing.assert_array_equal(np.flatnonzero(found["next.done"].ravel()), steps["last"])
    # Pictures come as parts of 1, channels first.
    frames = steps["frames"].transpose(0, 3, 1, 2) / 255
    np.testing.assert_allclose(found["observation.images.frame"], frames, atol=1e-6)
    # A step ahead, as policies of several actions ask; the last of an episode is its own successor.
    following = np.minimum(np.arange(12) + 1, steps["last"][steps["episode"]])
    np.testing.assert_array_equal(found["next_action"], steps["act"][following])
    assert np.flatnonzero(found["padded"]).tolist() == steps["last"].tolist()
    np.testing.assert_allclose(found["mean"], steps["act"].mean(0), rtol=1e-4)
    assert str(found["task"][0]) == "sawyer-push-vision, goal 0.1 0.7"


def test_what_lerobots_writer_wrote_is_imported(folder: Path, tmp_path: Path):
    new, start = np.load(folder / "new.npz"), 0
    rows = [f"{words},{0.1 * i},0.7\n" for i, words in enumerate(new["words"])]
    (tmp_path / "tasks.csv").write_text("task,x,y\n" + "".join(rows))
    mapping = Mapping(tasks=str(tmp_path / "tasks.csv"))
    report = import_demos(folder / "new", FAMILY, tmp_path / "out", mapping)
    assert (report.kind, report.episodes) == ("LeRobot dataset v3.0", 3)
    demos = load_demos(tmp_path / "out", FAMILY)
    assert demos.frames is not None
    for (task, episode), n in zip([(0, 0), (1, 0), (0, 1)], new["lengths"], strict=True):
        part = slice(start, start + n)
        np.testing.assert_array_equal(demos.obs[task, episode, :n], new["state"][part])
        np.testing.assert_array_equal(demos.act[task, episode, :n], new["action"][part])
        np.testing.assert_array_equal(demos.frames[task, episode, :n], new["frames"][part])
        start += n
