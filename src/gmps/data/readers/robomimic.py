"""robomimic's HDF5: a group `data/demo_N` for each episode, filters in `mask`.

An episode has `actions`, `rewards`, `dones` and one dataset for each name in `obs`; the attribute
`num_samples` gives its steps. Columns are called as in the file: `obs/robot0_eef_pos`, `actions`.
"""

import json
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from gmps.data.readers import hdf5
from gmps.data.readers.options import EPISODE_BYTES, Wanted
from gmps.data.readers.pictures import resized
from gmps.data.recording import Sink
from gmps.errors import GmpsError


def is_robomimic(file: h5py.File) -> bool:
    """Whether an HDF5 file has episodes where robomimic keeps them."""
    data = file.get("data")
    return isinstance(data, h5py.Group) and any("demo_" in str(name) for name in data)


def read(path: Path, file: h5py.File, sink: Sink, wanted: Wanted) -> None:
    """Hand the episodes of an opened file to the sink.

    Raises:
        GmpsError: the file is damaged or not of this form.
    """
    data = hdf5.group(file, "data", path)
    sink.about |= {"kind": "robomimic file", "hz": _rate(data)}
    mask = file.get("mask")
    filters = sorted(map(str, mask)) if isinstance(mask, h5py.Group) else []
    if filters:
        sink.about["notes"].append(f"filters (--filter): {', '.join(filters)}")
    for name in _order(_chosen(path, mask, data, wanted.filter, filters)):
        sink.add(name, **_episode(path, hdf5.group(data, name, path), sink, wanted))
        if sink.count % 200 == 0:
            print(sink.count, len(data), flush=True)


def _episode(path: Path, demo: h5py.Group, sink: Sink, wanted: Wanted) -> dict:
    columns: dict[str, np.ndarray] = {}
    last: dict[str, np.ndarray] = {}
    steps: Any = demo.attrs.get("num_samples")
    for name, dataset in hdf5.leaves(hdf5.group(demo, "obs", path), path, "obs/").items():
        if len(dataset.shape) >= 3 and dataset.dtype == np.uint8:
            if not wanted.picture(name):
                sink.about["unread"][name] = list(dataset.shape[1:])
                continue
            columns[name] = resized(hdf5.numbers(dataset, path, EPISODE_BYTES), wanted)
            continue
        columns[name] = hdf5.numbers(dataset, path, EPISODE_BYTES)
        after = demo.get(f"next_{name}")
        if after is not None:
            last[name] = hdf5.numbers(after, path, EPISODE_BYTES)[-1]
    for name in ("actions", "rewards", "dones"):
        if name in demo:
            columns[name] = hdf5.numbers(demo[name], path, EPISODE_BYTES)
    if "actions" not in columns:
        raise GmpsError(f"{demo.name} of {path} has no actions.")
    if steps is not None and int(steps) != len(columns["actions"]):
        raise GmpsError(
            f"{demo.name} of {path} has {len(columns['actions'])} actions, but num_samples says "
            f"{int(steps)}."
        )
    said: dict[str, Any] = dict(demo.attrs)
    if said.get("rewards") is not None and not said["rewards"]:
        columns.pop("rewards", None)
    goal, success, task = said.get("goal"), said.get("success"), said.get("task_index")
    return {
        "columns": columns,
        "last": last,
        "task": None if task is None else int(task),
        "goal": None if goal is None else np.ravel(goal).tolist(),
        "terminated": bool(columns["dones"][-1]) if "dones" in columns else False,
        "success": None if success is None else bool(success),
    }


def _chosen(
    path: Path, mask: Any, data: h5py.Group, name: str | None, filters: list[str]
) -> list[str]:
    if name is None:
        return [str(demo) for demo in data if isinstance(data.get(demo), h5py.Group)]
    if name not in filters:
        raise GmpsError(
            f"{path} has no filter {name!r}; it has {', '.join(filters) or 'no filters'}."
        )
    listed = mask[name]
    if not isinstance(listed, h5py.Dataset) or (listed.size or 0) > 10 * len(data) + 10:
        raise GmpsError(f"The filter {name} of {path} is damaged.")
    return [str(hdf5.text(demo)) for demo in np.ravel(np.asarray(listed[()], object))]


def _order(demos: list[str]) -> list[str]:
    number = lambda name: int(m[0]) if (m := re.search(r"\d+", name)) else -1  # noqa: E731
    return sorted(demos, key=lambda name: (number(name), name))


def _rate(data: h5py.Group) -> float | None:
    """Control steps a second, from the environment's arguments."""
    try:
        rate = json.loads(hdf5.text(data.attrs.get("env_args")) or "{}")
        rate = rate["env_kwargs"]["control_freq"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return float(rate) if isinstance(rate, int | float) and rate > 0 else None
