"""Files of demonstrations that are refused, each in one sentence."""

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from test_demos import FAMILY, arrays, refused, save

from gmps.data.demos import load_demos


@pytest.fixture
def path(tmp_path):
    return save(tmp_path, **arrays())


def test_missing_file(tmp_path):
    assert refused(tmp_path / "none.npz") == "There is no file FILE."


def test_folder_without_dataset(tmp_path):
    assert refused(tmp_path) == (
        "The folder FILE holds no Minari dataset and no other: an .npz file, a Minari dataset, a "
        "robomimic HDF5 file, a LeRobot folder, or a folder of one .npz or .csv file an episode."
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty."),
        (b"x,y\n1,2\n", "it is no zip archive of arrays; save the arrays with numpy.savez."),
        (
            pickle.dumps({"observations": [1]}),
            "it looks like a pickle, which can run code and is never loaded; save the arrays with "
            "numpy.savez.",
        ),
        (b"PK\x03\x04 cut", "it is a zip archive that is damaged or cut short."),
    ],
)
def test_not_an_npz(tmp_path, content, message):
    path = tmp_path / "demos.npz"
    path.write_bytes(content)
    assert refused(path) == f"FILE is not an .npz file: {message}"


def test_single_array(tmp_path):
    np.save(tmp_path / "x.npy", np.ones(3))
    assert refused(tmp_path / "x.npy") == (
        "FILE is not an .npz file: it is a single .npy array; save the arrays together with "
        "numpy.savez."
    )


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["observations", "actions", "rewards", "goals"])
def test_objects_are_refused_and_never_unpickled(tmp_path, name):
    sprung = tmp_path / "sprung"
    trap = np.empty((1, 1, 1, 1), object)
    trap[...] = Trap(sprung)
    path = save(tmp_path, **(arrays() | {name: trap}))
    with np.load(path, allow_pickle=True) as file:
        _ = file[name]
    assert sprung.exists()  # the trap works
    sprung.unlink()
    assert refused(path) == (
        f"The array {name} of FILE holds Python objects, which are never loaded because that can "
        "run code; save plain arrays of numbers."
    )
    assert not sprung.exists()


@pytest.mark.parametrize("name", ["observations", "actions", "goals"])
def test_missing_array(tmp_path, name):
    content = arrays()
    del content[name]
    found = ", ".join(content)
    why = ""
    if name == "goals":
        why = (
            " A task is simulated and rewarded by its parameter, goals (task, d), of toy with 1 "
            "numbers: an index alone does not do."
        )
    assert refused(save(tmp_path, **content)) == (
        f"FILE lacks the array {name}; it holds {found}.{why}"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"actions": np.array([["a"]])},
            "The array actions of FILE has the type <U1; numbers are needed.",
        ),
        (
            {"observations": np.ones((2, 3, 4))},
            "The array observations of FILE has shape (2, 3, 4), but needs the axes "
            "(task, episode, t, obs).",
        ),
        (
            {"goals": np.ones(2)},
            "The array goals of FILE has shape (2,), but needs the axes (task, d).",
        ),
        (
            {"actions": np.ones((2, 3, 5, 2))},
            "The arrays of FILE do not match: observations have shape (2, 3, 4, 3) and actions "
            "(2, 3, 5, 2); the axes task, episode and t must be equal.",
        ),
        (
            {"rewards": np.ones((2, 2, 4))},
            "The arrays of FILE do not match: observations have shape (2, 3, 4, 3) and rewards "
            "(2, 2, 4); the axes task, episode and t must be equal.",
        ),
        (
            {"goals": np.ones((3, 1))},
            "The file FILE has 3 goals for 2 tasks; each task needs one.",
        ),
        (
            {"goals": np.ones((2, 2))},
            "The goals of FILE have 2 numbers, but toy takes 1.",
        ),
        (
            {"actions": np.ones((2, 3, 4, 7))},
            "The actions of FILE have 7 numbers, but toy takes 2.",
        ),
        (
            {"observations": np.ones((2, 3, 4, 9))},
            "The observations of FILE have 9 numbers, but toy takes 3.",
        ),
        (
            {"actions": np.ones((2, 3, 4, 0))},
            "The array actions of FILE is empty: (2, 3, 4, 0).",
        ),
    ],
)
def test_shapes_that_do_not_fit(tmp_path, change, message):
    assert refused(save(tmp_path, **(arrays() | change))) == message


def test_sizes_that_the_family_converts_are_mentioned(tmp_path):
    family: Any = SimpleNamespace(**vars(FAMILY), convert_observations=lambda obs: None)
    path = save(tmp_path, **(arrays() | {"observations": np.ones((2, 3, 4, 9))}))
    assert refused(path, family) == (
        "The observations of FILE have 9 numbers, but toy takes 3 or a layout that it converts."
    )


@pytest.mark.parametrize(
    ("sizes", "what"), [((0, 3, 4), "tasks"), ((2, 0, 4), "episodes"), ((2, 3, 0), "steps")]
)
def test_nothing_in_it(tmp_path, sizes, what):
    assert refused(save(tmp_path, **arrays(*sizes))) == (
        f"The demonstrations in FILE have no {what}: observations have shape {(*sizes, 3)}."
    )


@pytest.mark.parametrize(
    ("name", "index", "value", "shown"),
    [
        ("observations", (1, 0, 2, 1), np.nan, "nan"),
        ("actions", (0, 2, 3, 0), np.inf, "inf"),
        ("rewards", (1, 1, 1), -np.inf, "-inf"),
        ("goals", (1, 0), np.nan, "nan"),
        ("goals", (0, 0), 1e39, "1e+39"),  # finite, but not in float32
    ],
)
def test_numbers_that_are_not_finite(tmp_path, name, index, value, shown):
    content = {k: v.astype(np.float64) for k, v in arrays().items()}
    content[name][index] = value
    assert refused(save(tmp_path, **content)) == (
        f"The array {name} of FILE has the value {shown} at index {index}; all numbers must be "
        "finite."
    )


def test_truncated_at_any_place(path):
    whole = path.read_bytes()
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        assert refused(path).startswith("FILE is not an .npz file: it is ")


def test_header_that_promises_more_than_there_is(tmp_path):
    path = save(tmp_path, **arrays())
    data = path.read_bytes()
    assert data.count(b"(2, 3, 4, 2)") == 1
    path.write_bytes(data.replace(b"(2, 3, 4, 2), }   ", b"(2, 3, 40000, 2), }"[:18]))
    assert refused(path).startswith("The array actions of FILE is damaged: ")


@example([(1389, b"\n", False)])  # within the name of an array, in the archive's list
@settings(
    deadline=None, max_examples=700, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(st.integers(0, 2500), st.binary(min_size=1, max_size=6), st.booleans()),
        min_size=1,
        max_size=5,
    )
)
def test_damaged_bytes_are_refused_in_one_sentence_or_harmless(tmp_path, edits):
    path = save(tmp_path, **arrays())
    data = bytearray(path.read_bytes())
    for position, content, insert in edits:
        end = position if insert else position + len(content)
        data[position:end] = content
    path.write_bytes(data)
    try:
        demos = load_demos(path, FAMILY)
    except ValueError as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)
    else:
        assert demos.obs.shape == (2, 3, 4, 3)
        assert np.isfinite(demos.obs).all()
        assert np.abs(demos.act).max() <= 1


@settings(
    deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.fixed_dictionaries(
        {
            name: hnp.arrays(
                st.sampled_from([np.float32, np.float64, np.int16, np.uint8]),
                hnp.array_shapes(min_dims=max(1, n - 1), max_dims=n, min_side=0, max_side=3),
                elements={"allow_nan": True} if n else None,
            )
            for name, n in (("observations", 4), ("actions", 4), ("rewards", 3), ("goals", 2))
        }
    )
)
def test_any_arrays_are_refused_in_one_sentence_or_valid(tmp_path, content):
    path = save(tmp_path, **content)
    try:
        demos = load_demos(path, FAMILY)
    except ValueError as error:
        assert str(path) in str(error)
    else:
        assert demos.obs.shape[:3] == demos.act.shape[:3] == demos.alive.shape
        assert demos.obs.shape[3:] == (3,)
        assert len(demos.tasks) == len(demos.obs) > 0
