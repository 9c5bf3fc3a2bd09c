"""What is written in other formats is read back as it was, and by their own conventions."""

import json

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from gmps.data import bounded, importing
from gmps.data.demos import load_demos
from gmps.data.episodes import Ends, Episodes, each
from gmps.data.exporting import export_demos, write_as
from gmps.data.importing import import_demos
from gmps.data.mapping import Mapping
from gmps.data.readers import child
from gmps.tasks import make_family

PUSH = make_family("sawyer-push")


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """Read within this process, and ask no questions."""
    read = lambda kind, source, place, wanted, *_: child.read(kind, source, place, wanted)  # noqa: E731
    monkeypatch.setattr(bounded, "_read", read)
    monkeypatch.setattr(importing, "own_ranges", lambda _: None)


def shown(frames=False, reward=True):
    """Three episodes of two tasks, of unequal lengths, and how they end."""
    rng = np.random.default_rng(0)
    alive = np.arange(5) < np.array([[5, 3], [4, 0]])[..., None]
    obs = rng.normal(size=(2, 2, 5, 6)).astype(np.float32)
    episodes = Episodes(
        obs * alive[..., None],
        rng.uniform(-1, 1, (2, 2, 5, 3)).astype(np.float32) * alive[..., None],
        rng.normal(size=(2, 2, 5)).astype(np.float32) * alive if reward else None,
        np.array([[0.1, 0.7], [-0.1, 0.8]], np.float32),
        alive,
        rng.integers(0, 255, (2, 2, 5, 48, 64, 3), np.uint8) if frames else None,
    )
    last = rng.normal(size=(2, 2, 6)).astype(np.float32)
    ends = Ends(last, np.array([[True, False], [False, False]]), np.array([[1, 0], [1, 0]]) > 0)
    return episodes, ends


@pytest.mark.parametrize("reward", [True, False])
@pytest.mark.parametrize("kind", ["minari", "robomimic", "lerobot"])
def test_there_and_back(tmp_path, kind, reward):
    episodes, ends = shown(reward=reward)
    name = "set.hdf5" if kind == "robomimic" else "set"
    write_as(kind, tmp_path / "new" / name, each(episodes, ends), PUSH, "a test")
    assert [p.name for p in (tmp_path / "new").iterdir()] == [name]
    import_demos(tmp_path / "new" / name, PUSH, tmp_path / "back", Mapping(failures="keep"))
    demos = load_demos(tmp_path / "back", PUSH)
    for a, b in zip(demos[:5], episodes[:5], strict=True):
        assert (a is None) == (b is None)
        if b is not None:
            np.testing.assert_array_equal(a, b)
    assert demos.success.tolist() == [[1, 0], [1, -1]]
    # And by the command from there to the third format.
    other = {"minari": "lerobot", "robomimic": "minari", "lerobot": "robomimic"}[kind]
    out = tmp_path / ("out.hdf5" if other == "robomimic" else "out")
    assert export_demos(tmp_path / "new" / name, PUSH, out, other) == (2, 3, 12)


@pytest.mark.parametrize("kind", ["minari", "robomimic", "lerobot"])
def test_frames_there_and_back(tmp_path, kind):
    family = make_family("sawyer-push-vision")
    episodes, _ = shown(frames=True)
    out = tmp_path / ("set.hdf5" if kind == "robomimic" else "set")
    write_as(kind, out, each(episodes), family, "a test")
    import_demos(out, family, tmp_path / "back")
    back = load_demos(tmp_path / "back", family)
    np.testing.assert_array_equal(back.frames[0, 1, :3], episodes.frames[0, 1, :3])
    np.testing.assert_array_equal(back.frames[1, 0, :4], episodes.frames[1, 0, :4])


def test_the_layout_of_robomimic(tmp_path):
    episodes, ends = shown()
    write_as("robomimic", tmp_path / "set.hdf5", each(episodes, ends), PUSH, "a test")
    with h5py.File(tmp_path / "set.hdf5") as file:
        data = file["data"]
        assert list(data) == ["demo_0", "demo_1", "demo_2"]
        assert data.attrs["total"] == 12
        about = json.loads(data.attrs["env_args"])
        assert about["env_name"] == "sawyer-push"
        assert about["type"] == 2
        assert about["env_kwargs"]["control_freq"] == pytest.approx(20)
        demo = data["demo_1"]
        assert demo.attrs["num_samples"] == 3
        shapes = {name: demo[name].shape for name in ("actions", "rewards", "dones", "states")}
        assert shapes == {"actions": (3, 3), "rewards": (3,), "dones": (3,), "states": (3, 1)}
        assert set(demo["obs"]) == set(demo["next_obs"]) == {"hand", "block"}
        np.testing.assert_array_equal(demo["obs/block"], episodes.obs[0, 1, :3, 3:])
        np.testing.assert_array_equal(demo["next_obs/block"][:-1], demo["obs/block"][1:])
        np.testing.assert_array_equal(demo["next_obs/hand"][-1], ends.last_obs[0, 1, :3])
        assert data["demo_0/dones"][:].tolist() == [0, 0, 0, 0, 1]


def test_the_layout_of_lerobot(tmp_path):
    episodes, ends = shown()
    write_as("lerobot", tmp_path / "set", each(episodes, ends), PUSH, "a test")
    meta = tmp_path / "set" / "meta"
    info = json.loads((meta / "info.json").read_text())
    assert (info["codebase_version"], info["fps"]) == ("v3.0", 20)
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"]) == (3, 12, 2)
    state = info["features"]["observation.state"]
    assert state["shape"] == [6]
    assert state["names"] == ["hand_0", "hand_1", "hand_2", "block_0", "block_1", "block_2"]
    path = info["data_path"].format(chunk_index=0, file_index=0)
    table = pq.read_table(tmp_path / "set" / path)
    assert set(table.column_names) == set(info["features"])
    assert table["index"].to_pylist() == list(range(12))
    assert table["episode_index"].to_pylist() == [0] * 5 + [1] * 3 + [2] * 4
    assert table["task_index"].to_pylist() == [0] * 8 + [1] * 4
    np.testing.assert_allclose(table["timestamp"][4].as_py(), 0.2, rtol=1e-6)
    rows = pq.read_table(meta / "episodes" / "chunk-000" / "file-000.parquet").to_pylist()
    ends = [(row["dataset_from_index"], row["dataset_to_index"]) for row in rows]
    assert ends == [(0, 5), (5, 8), (8, 12)]
    low = episodes.obs[0, 1, :3].min(0)
    np.testing.assert_allclose(rows[1]["stats/observation.state/min"], low, rtol=1e-6)
    stats = json.loads((meta / "stats.json").read_text())["action"]
    real = episodes.act[episodes.alive]
    np.testing.assert_allclose(stats["mean"], real.mean(0), rtol=1e-4)
    np.testing.assert_allclose(stats["std"], real.std(0), rtol=1e-4)
    assert stats["count"] == [12]
    tasks = pq.read_table(meta / "tasks.parquet").to_pylist()
    assert tasks[1] == {"task_index": 1, "task": "sawyer-push, goal -0.1 0.8"}
    assert rows[2]["tasks"] == ["sawyer-push, goal -0.1 0.8"]


def test_nothing_is_left_where_writing_fails(tmp_path):
    def broken():
        yield next(each(*shown()))
        raise ZeroDivisionError

    for kind in ("minari", "robomimic", "lerobot"):
        with pytest.raises(ZeroDivisionError):
            write_as(kind, tmp_path / "new" / "set", broken(), PUSH, "a test")
        assert list(tmp_path.iterdir()) == []


def test_out_is_refused(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(ValueError, match=r"taken is a folder; name a file, such as taken\.hdf5\."):
        write_as("robomimic", tmp_path / "taken", each(*shown()), PUSH, "a test")
    (tmp_path / "taken" / "x").touch()
    for kind in ("minari", "lerobot"):
        with pytest.raises(ValueError, match="already exists; choose another name with --out"):
            write_as(kind, tmp_path / "taken", each(*shown()), PUSH, "a test")
