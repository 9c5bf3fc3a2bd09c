import json
import os
import re
from pathlib import Path

import h5py
import minari
import numpy as np
import pytest
from test_demos import FAMILY, arrays, refused, save

from gmps.data.demos import load_demos
from gmps.data.episodes import Ends, Episodes, each
from gmps.data.importing import import_demos
from gmps.data.info import info
from gmps.data.minari_io import dataset_id, write_episodes


@pytest.fixture
def path(tmp_path):
    return save(tmp_path, **arrays())


@pytest.mark.parametrize("rewards", [True, False])
def test_import_and_read_back(tmp_path, rewards, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "store"))
    content = arrays()
    content["actions"][0, 0, 0, 0] = 2.0
    if not rewards:
        del content["rewards"]
    path = save(tmp_path, **content)
    out = tmp_path / "sets" / "toy-v3"
    report = import_demos(path, FAMILY, out)
    assert str(report).endswith(
        f"  written: {out}, Minari id toy-v3\n"
        "  last observation of each episode: repeated, as the file has none"
    )
    direct = load_demos(path, FAMILY)
    for source in (out, out / "data"):
        back = load_demos(source, FAMILY)
        for a, b in zip(direct[:5], back[:5], strict=True):
            np.testing.assert_array_equal(a, b)
        assert back.report.kind == "Minari dataset"
        assert back.report.clipped == 0  # clipped at import
    assert info(out)["per_task"] == info(path)["per_task"]
    assert sorted(p.name for p in out.parent.iterdir()) == ["toy-v3"]
    assert not (tmp_path / "store").exists()
    assert os.environ["MINARI_DATASETS_PATH"] == str(tmp_path / "store")


def test_minari_itself_reads_the_dataset(tmp_path, monkeypatch):
    import_demos(save(tmp_path, **arrays()), FAMILY, tmp_path / "sets" / "toy-v3")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "sets"))
    dataset = minari.load_dataset("toy-v3")
    assert (dataset.total_episodes, dataset.total_steps) == (6, 24)
    episode = dataset[4]
    assert episode.observations.shape == (5, 3)
    np.testing.assert_array_equal(episode.observations[-1], episode.observations[-2])
    assert episode.truncations.tolist() == [False, False, False, True]
    options = next(iter(dataset.storage.get_episode_metadata([4])))["options"]
    np.testing.assert_array_equal(options["task"], arrays()["goals"][1])
    assert (options["task_index"], options["last_observation"]) == (1, "repeated")
    assert load_demos("toy-v3", FAMILY).report.episodes == 6  # by its id in Minari's store


def test_unequal_episodes_are_padded(tmp_path):
    content = arrays(2, 3, 4)
    alive = np.arange(4) < np.array([[4, 2, 0], [1, 3, 4]])[..., None]
    episodes = Episodes(
        content["observations"], content["actions"], content["rewards"], content["goals"], alive
    )
    write_episodes(tmp_path / "toy", each(episodes), "toy", "a test")
    demos = load_demos(tmp_path / "toy", FAMILY)
    np.testing.assert_array_equal(demos.alive, alive)
    np.testing.assert_array_equal(demos.obs, content["observations"] * alive[..., None])
    assert (demos.report.episodes, demos.report.steps, demos.report.longest) == (5, 14, 4)
    assert demos.demonstrations().valid.sum() == 14
    row = info(tmp_path / "toy")["per_task"][0]
    assert (row["episodes"], row["shortest"], row["longest"]) == (2, 2, 4)


def test_out_exists(tmp_path, path):
    out = tmp_path / "toy"
    out.mkdir()
    import_demos(path, FAMILY, out)  # an empty folder is fine
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    with pytest.raises(ValueError, match=f"^{out} already exists; choose another name with --out"):
        import_demos(path, FAMILY, out)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def test_nothing_is_left_of_a_failed_import(tmp_path):
    bad = arrays()
    bad["observations"][0] = np.nan
    path = save(tmp_path, **bad)
    with pytest.raises(ValueError, match="the value nan at index"):
        import_demos(path, FAMILY, tmp_path / "toy")
    assert [p.name for p in tmp_path.iterdir()] == ["demos.npz"]


@pytest.mark.parametrize(
    ("name", "expected"), [("a/ant-goal-v0", "ant-goal-v0"), ("push_2", "push_2-v0")]
)
def test_dataset_ids(name, expected):
    assert dataset_id(name) == expected


@pytest.mark.parametrize("name", ["demos.minari", "my demos", ""])
def test_names_that_minari_does_not_take(path, tmp_path, name):
    message = f"The name {name!r} of the dataset must consist of letters, digits, - and _, such as"
    with pytest.raises(ValueError, match=re.escape(message)):
        import_demos(path, FAMILY, Path(name))


def test_damaged_datasets(tmp_path, path):
    out = tmp_path / "toy"
    import_demos(path, FAMILY, out)
    data = out / "data" / "main_data.hdf5"
    whole = data.read_bytes()
    data.write_bytes(whole[: len(whole) // 2])
    assert refused(out).startswith("The Minari dataset FILE/data is damaged: ")
    (out / "data" / "metadata.json").write_text("{}")
    assert refused(out).startswith("The Minari dataset FILE/data is damaged: ")


def test_dataset_without_tasks(tmp_path, path):
    out = tmp_path / "toy"
    import_demos(path, FAMILY, out)
    with h5py.File(out / "data" / "main_data.hdf5", "a") as file:
        del file["episode_2"].attrs["options/task"]
    assert refused(out) == (
        "Episode 2 of the Minari dataset FILE/data does not say its task: its options lack `task`."
    )


def test_actions_are_scaled_from_the_bounds_of_the_action_space(tmp_path, path):
    """Torques in [-2, 2] Nm: 0.9 Nm are 0.45 of the family's [-1, 1]."""
    out = tmp_path / "toy"
    import_demos(path, FAMILY, out)
    about = out / "data" / "metadata.json"
    facts = json.loads(about.read_text())
    space = json.loads(facts["action_space"])
    space |= {"low": [-2, -2], "high": [2, 2]}
    about.write_text(json.dumps(facts | {"action_space": json.dumps(space)}))
    demos = load_demos(out, FAMILY)
    np.testing.assert_allclose(demos.act, arrays()["actions"] / 2, rtol=1e-6)
    assert "note: actions are scaled from the file's bounds, [-2] to [2], to [-1, 1]" in str(
        demos.report
    )
    # Bounds that are not around 0, of one joint only.
    space |= {"low": [-1, 0], "high": [1, 4]}
    about.write_text(json.dumps(facts | {"action_space": json.dumps(space)}))
    expected = arrays()["actions"] * [1, 0.5] - [0, 1]
    demos = load_demos(out, FAMILY)
    np.testing.assert_allclose(demos.act, np.clip(expected, -1, 1), rtol=1e-6)
    back = import_demos(out, FAMILY, tmp_path / "again", accept=True)
    np.testing.assert_array_equal(load_demos(tmp_path / "again", FAMILY).act, demos.act)
    assert back.clipped == demos.report.clipped > 0


def test_what_is_known_of_the_end_is_kept(tmp_path):
    content = arrays(2, 1, 4)
    episodes = Episodes(
        content["observations"],
        content["actions"],
        None,
        content["goals"],
        np.ones((2, 1, 4), bool),
    )
    last = content["observations"][:, :, -1] + 1
    ends = Ends(last, np.array([[True], [False]]), np.array([[True], [False]]))
    write_episodes(tmp_path / "toy", each(episodes, ends), "toy", "a test")
    dataset = minari.MinariDataset(str(tmp_path / "toy" / "data"))
    np.testing.assert_array_equal(dataset[1].observations[-1], last[1, 0])
    assert dataset[0].terminations.tolist() == [False, False, False, True]
    assert dataset[1].truncations.tolist() == [False, False, False, True]
    assert np.isnan(dataset[0].rewards).all()
    assert load_demos(tmp_path / "toy", FAMILY).success.tolist() == [[1], [0]]


def test_frames_are_kept_without_loss(tmp_path):
    content = arrays(1, 2, 3)
    frames = np.random.default_rng(0).integers(0, 255, (1, 2, 3, 5, 7, 3), np.uint8)
    alive = np.ones((1, 2, 3), bool)
    one = (content["observations"], content["actions"], None, content["goals"], alive, frames)
    write_episodes(tmp_path / "toy", each(Episodes(*one)), "toy", "a test")
    dataset = minari.MinariDataset(str(tmp_path / "toy" / "data"))
    np.testing.assert_array_equal(dataset[1].observations["frame"][:3, 0], frames[0, 1])
    np.testing.assert_array_equal(
        dataset[1].observations["state"][:3], content["observations"][0, 1]
    )
    assert dataset.action_space.shape == (2,)
    assert dataset.observation_space["frame"].shape == (1, 5, 7, 3)
