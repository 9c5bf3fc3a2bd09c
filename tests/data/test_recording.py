"""Columns as they are laid down while a foreign file is read."""

import numpy as np
import pytest

from gmps.data.recording import Sink, open_recording
from gmps.errors import GmpsError


@pytest.mark.parametrize("first", [np.array([1, 2]), np.array([True, False]), np.float16([1, 2])])
def test_fractions_of_later_episodes_are_kept(first, tmp_path):
    sink = Sink(tmp_path, "a test")
    sink.add("one", {"x": first, "last": first}, {"x": first[-1:]})
    sink.add("two", {"x": np.array([0.123456, -3.5]), "last": first}, {"x": np.array([0.25])})
    sink.close()
    found = open_recording(tmp_path)
    wanted = [*first.astype(float), 0.123456, -3.5]
    np.testing.assert_allclose(found.columns["x"], wanted, rtol=1e-6)
    np.testing.assert_allclose(found.last["x"][1], [0.25])


def test_pictures_stay_bytes_and_are_bytes_in_every_episode(tmp_path):
    sink = Sink(tmp_path, "a test")
    pictures = np.full((2, 3, 4, 3), 255, np.uint8)
    sink.add("one", {"frame": pictures, "label": pictures[:, 0, 0]})
    with pytest.raises(GmpsError, match=r"^two of a test has frame of float32, and the first "):
        sink.add("two", {"frame": pictures.astype(np.float32) / 255, "label": pictures[:, 0, 0]})
    with pytest.raises(GmpsError, match=r"^The column label of a test holds complex128; numbers "):
        sink.add("three", {"frame": pictures, "label": 1j * pictures[:, 0, 0]})
    sink.close()
    found = open_recording(tmp_path).columns
    assert (found["frame"].dtype, found["label"].dtype) == (np.uint8, np.float64)
