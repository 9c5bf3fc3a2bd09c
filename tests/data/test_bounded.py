"""Foreign files that are damaged, that lie, or that stall."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import published
import pytest
from test_demos import FAMILY, arrays, save

import gmps
from gmps.data import npz
from gmps.data.bounded import recorded
from gmps.data.demos import load_demos
from gmps.data.importing import import_demos
from gmps.data.readers.kinds import recognise


def read(source, **bounds):
    with recorded(*recognise(source), **bounds) as recording:
        return len(recording.facts.names), recording


def refused(source, **bounds):
    with pytest.raises(ValueError) as caught:
        read(source, **bounds)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    return message.replace(str(source), "SOURCE")


@pytest.fixture
def lift(tmp_path):
    published.robomimic(tmp_path / "lift.hdf5")
    return tmp_path / "lift.hdf5"


def test_progress_is_told_and_nothing_stays_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    content = arrays(2, 150, 2)
    import_demos(save(tmp_path, **content), FAMILY, tmp_path / "toy")
    seen = []
    with recorded("minari", tmp_path / "toy" / "data", progress=lambda *x: seen.append(x)) as found:
        assert isinstance(found.columns["observations"], np.memmap)
        np.testing.assert_array_equal(
            found.columns["observations"], content["observations"].reshape(-1, 3)
        )
    assert seen == [("read", 200, 300)]
    seen.clear()
    again = tmp_path / "again"
    import_demos(tmp_path / "toy", FAMILY, again, progress=lambda *x: seen.append(x))
    assert seen == [("read", 200, 300), ("written", 200, 300)]
    assert not list(tmp_path.glob("gmps-demos-*"))


def test_a_reader_that_stalls_is_stopped(lift):
    assert refused(lift, patience=0.01) == (
        "SOURCE is damaged or too slow: reading it showed no progress for 0 seconds."
    )


def test_a_reader_that_wants_more_memory_than_it_may_is_stopped(lift):
    message = refused(lift, memory=1 << 24)
    assert message.startswith("SOURCE is damaged: the process that read it ended with ")


def test_datasets_that_declare_more_than_they_store(tmp_path, lift):
    with h5py.File(lift, "a") as file:
        del file["data/demo_2/actions"]
        file["data/demo_2"].create_dataset("actions", (1 << 40, 7), "f8", chunks=(1024, 7))
    message = refused(lift)
    assert "/data/demo_2/actions declares 61572651155456 bytes and stores 0." in message


def test_datasets_in_other_files_are_never_opened(tmp_path, lift):
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(8 * 4 * 7))
    with h5py.File(lift, "a") as file:
        del file["data/demo_2/actions"]
        external = [(str(secret), 0, h5py.h5f.UNLIMITED)]
        file["data/demo_2"].create_dataset("actions", (4, 7), "f8", external=external)
    assert "lies in another file, which is never opened" in refused(lift)
    with h5py.File(tmp_path / "other.hdf5", "w") as file:
        file["x"] = np.zeros((4, 3))
    with h5py.File(lift, "a") as file:
        del file["data/demo_2/obs/robot0_eef_pos"]
        file["data/demo_2/obs/robot0_eef_pos"] = h5py.ExternalLink("other.hdf5", "x")
    assert "lies in another file" in refused(lift)


def test_one_flipped_bit_in_a_length(tmp_path):
    """A bit of the number of observations: they would be 2^44 bytes."""
    out = tmp_path / "toy"
    import_demos(save(tmp_path, **arrays()), FAMILY, out)
    data = out / "data" / "main_data.hdf5"
    whole = data.read_bytes()
    shape = np.array([5, 3], "<u8").tobytes()
    assert whole.count(shape) == 12  # sizes and largest sizes of 6 episodes
    longer = np.array([5 + (1 << 40), 3], "<u8").tobytes()
    data.write_bytes(whole.replace(shape, longer, 2))
    with pytest.raises(ValueError, match=r"^The Minari dataset .* is damaged: "):
        load_demos(out, FAMILY)


def test_archives_that_unpack_to_more_than_memory_holds(tmp_path, monkeypatch):
    path = save(tmp_path, **arrays(50, 50, 50))
    with (
        zipfile.ZipFile(path) as packed,
        zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for name in packed.namelist():
            bomb.writestr(name, packed.read(name))
    monkeypatch.setattr(npz, "usable_memory", lambda: 1_000_000)
    with pytest.raises(ValueError, match=r"bomb\.npz unpacks to 0\.0025 GB, and this machine has"):
        load_demos(tmp_path / "bomb.npz", FAMILY)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="mutations are read in forked processes")
@pytest.mark.parametrize("kind", ["hdf5", "minari", "lerobot", "pictures", "folder"])
def test_mutations(tmp_path, kind):
    """Every damaged file is refused in a sentence, or read."""
    source = tmp_path / kind
    if kind == "hdf5":
        published.robomimic(source, images=True)
    elif kind == "minari":
        import_demos(save(tmp_path, **arrays()), FAMILY, source)
        source = source / "data"
    elif kind in ("lerobot", "pictures"):
        published.lerobot(source, "v3.0", "video" if kind == "pictures" else None)
        kind = "lerobot"
    else:
        source.mkdir()
        np.savez(source / "a.npz", observations=np.ones((3, 2)), actions=np.ones((3, 1)))
        np.savez(source / "b.npz", observations=np.ones((2, 2)), actions=np.ones((2, 1)))
    root = str(Path(gmps.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("mutations.py"), kind, source, "60", "7"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": root, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert sum(counts.values()) == 60
    assert counts["refused"] > 0
    assert counts["stopped"] <= 3, counts
