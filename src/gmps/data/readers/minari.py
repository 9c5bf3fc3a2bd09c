"""Minari's HDF5: a group `episode_N` for each episode, spaces and counts in `metadata.json`.

Columns are called as in the file: `observations` or, of a dictionary, `observations/state`;
`actions`, `rewards`. Observations have one row more than actions: the last one stands apart.
"""

import json
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from gmps.data.readers import hdf5
from gmps.data.readers.options import EPISODE_BYTES, Wanted
from gmps.data.readers.pictures import decoded, resized
from gmps.data.recording import Sink
from gmps.errors import GmpsError


def read(folder: Path, sink: Sink, wanted: Wanted) -> None:
    """Hand the episodes of a dataset's data folder to the sink.

    Raises:
        GmpsError: the dataset is damaged or not of this form.
    """
    try:
        about = json.loads((folder / "metadata.json").read_bytes())
        layout = about["data_format"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise GmpsError(f"its metadata.json cannot be read: {hdf5.one_line(repr(error))}") from None
    if layout != "hdf5":
        raise GmpsError(
            f"its format is {str(layout)[:20]!r}; convert it with Minari to hdf5, which is read"
        )
    sink.about |= {"kind": "Minari dataset", "action_bounds": _bounds(about)}
    path = folder / "main_data.hdf5"
    with hdf5.opened(path) as file:
        names = [name for name in map(str, file) if re.fullmatch(r"episode_\d+", name)]
        names.sort(key=lambda name: int(name[8:]))
        if not names:
            raise GmpsError(f"The Minari dataset {folder} has no episodes.")
        said = about.get("total_episodes")
        if said is not None and said != len(names):
            raise GmpsError(f"metadata.json counts {said} episodes, and there are {len(names)}")
        for name in names:
            episode = hdf5.group(file, name, path)
            sink.add(f"Episode {name[8:]}", **_episode(path, name, episode, sink, wanted))
            if sink.count % 200 == 0:
                print(sink.count, len(names), flush=True)


def _episode(path: Path, name: str, episode: h5py.Group, sink: Sink, wanted: Wanted) -> dict:
    attributes: dict[str, Any] = dict(episode.attrs)
    columns: dict[str, np.ndarray] = {}
    last: dict[str, np.ndarray] = {}
    number = lambda key: hdf5.numbers(hdf5.own(episode, key, path), path, EPISODE_BYTES)  # noqa: E731
    actions = number("actions") if "actions" in episode else None
    if actions is None or actions.ndim != 2:
        raise GmpsError(f"{name} has actions that are no array (step, number); flatten them first")
    steps = len(actions)
    for column, dataset in _observations(path, episode).items():
        pictures = _pictures(dataset)
        if pictures and not wanted.picture(column):
            sink.about["unread"][column] = list(dataset.shape[1:])
            continue
        if pictures:
            array = _frames(path, dataset, wanted)
        else:
            array = hdf5.numbers(dataset, path, EPISODE_BYTES)
        if len(array) not in (steps, steps + 1):
            raise GmpsError(f"{name} has {len(array)} {column} for {steps} actions")
        columns[column] = array[:steps]
        if len(array) > steps and not pictures:
            last[column] = array[steps]
    columns["actions"] = actions
    if bool(attributes.get("options/rewards", True)) and "rewards" in episode:
        columns["rewards"] = number("rewards")
    ends = number("terminations") if "terminations" in episode else np.zeros(1, bool)
    goal, task = attributes.get("options/task"), attributes.get("options/task_index")
    if attributes.get("options/last_observation") == "repeated":
        last = {}
    return {
        "columns": columns,
        "last": last,
        "task": None if task is None else int(task),
        "goal": None if goal is None else np.ravel(goal).astype(float).tolist(),
        "terminated": bool(ends[-1]) if len(ends) else False,
        "success": _success(path, episode, attributes),
    }


def _observations(path: Path, episode: h5py.Group) -> dict[str, Any]:
    found = hdf5.own(episode, "observations", path)
    if isinstance(found, h5py.Group):
        return hdf5.leaves(found, path, "observations/")
    if found is None:
        raise GmpsError(f"{episode.name} has no observations")
    return {"observations": found}


def _pictures(dataset: Any) -> bool:
    """Whether a dataset holds pictures, as they are or as JPEG."""
    packed = h5py.check_vlen_dtype(dataset.dtype) is not None
    return packed or (dataset.dtype == np.uint8 and dataset.ndim >= 4)


def _frames(path: Path, dataset: Any, wanted: Wanted) -> np.ndarray:
    if h5py.check_vlen_dtype(dataset.dtype) is None:
        return resized(hdf5.numbers(dataset, path, EPISODE_BYTES), wanted)
    return np.stack([decoded(np.asarray(x, np.uint8).tobytes(), wanted) for x in dataset])


def _success(path: Path, episode: h5py.Group, attributes: dict) -> bool | None:
    said = attributes.get("options/success")
    if said is not None:
        return bool(said)
    found = episode.get("infos/success")
    if not isinstance(found, h5py.Dataset) or found.dtype.kind not in "fiub":
        return None
    return bool(np.any(hdf5.numbers(found, path, EPISODE_BYTES) > 0))


def _bounds(about: dict) -> tuple[list[float], list[float]] | None:
    """The finite bounds of the action space, if it is a box."""
    try:
        space = json.loads(about["action_space"])
        low, high = (np.ravel(space[key]).astype(float) for key in ("low", "high"))
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    if low.shape != high.shape or not (np.isfinite(low).all() and np.isfinite(high).all()):
        return None
    return (low.tolist(), high.tolist()) if (high > low).all() else None
