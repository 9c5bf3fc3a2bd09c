import os
import re
from pathlib import Path

import numpy as np
import pytest
from test_demos import FAMILY, arrays, refused, save

from gmps.data.demos import import_npz, info, load_demos
from gmps.data.minari_io import Episodes, dataset_id, write_dataset


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
    report = import_npz(path, FAMILY, out)
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
    import minari

    import_npz(save(tmp_path, **arrays()), FAMILY, tmp_path / "sets" / "toy-v3")
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
    write_dataset(tmp_path / "toy", episodes, "toy", "a test")
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
    import_npz(path, FAMILY, out)  # an empty folder is fine
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    with pytest.raises(ValueError, match=f"^{out} already exists; choose another name with --out"):
        import_npz(path, FAMILY, out)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def test_nothing_is_left_of_a_failed_import(tmp_path):
    bad = arrays()
    bad["observations"][0] = np.nan
    path = save(tmp_path, **bad)
    with pytest.raises(ValueError, match="the value nan at index"):
        import_npz(path, FAMILY, tmp_path / "toy")
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
        import_npz(path, FAMILY, Path(name))


def test_damaged_datasets(tmp_path, path):
    out = tmp_path / "toy"
    import_npz(path, FAMILY, out)
    data = out / "data" / "main_data.hdf5"
    whole = data.read_bytes()
    data.write_bytes(whole[: len(whole) // 2])
    assert refused(out).startswith("The Minari dataset FILE/data is damaged: ")
    (out / "data" / "metadata.json").write_text("{}")
    assert refused(out).startswith("The Minari dataset FILE/data is damaged: ")


def test_dataset_without_tasks(tmp_path, path):
    import h5py

    out = tmp_path / "toy"
    import_npz(path, FAMILY, out)
    with h5py.File(out / "data" / "main_data.hdf5", "a") as file:
        del file["episode_2"].attrs["options/task"]
    assert refused(out) == (
        "Episode 2 of the Minari dataset FILE/data does not say its task: its options lack `task`."
    )
