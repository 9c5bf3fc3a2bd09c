"""Demonstrations as Minari datasets: written in its layout, and found again."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from gmps.aside import aside, refuse_taken
from gmps.data.episodes import Shown
from gmps.errors import GmpsError

#: The version of Minari whose layout this is.
_LAYOUT = "0.5.4"


def dataset_id(out: str | Path) -> str:
    """The Minari id of a dataset folder: its name, with `-v0` if it has no version.

    Raises:
        GmpsError: if the name has other characters than letters, digits, `-` and `_`.
    """
    name = Path(out).name
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise GmpsError(
            f"The name {name!r} of the dataset must consist of letters, digits, - and _, such as "
            "ant-goal-v0."
        )
    return name if re.search(r"-v\d+$", name) else f"{name}-v0"


def refuse_dataset(out: str | Path) -> None:
    """Raise GmpsError, in one sentence, where a new dataset cannot go."""
    dataset_id(out)
    refuse_taken(out)


def write_episodes(
    out: str | Path,
    episodes: Iterator[Shown],
    family: str,
    source: str,
    also: Callable[[Path], None] | None = None,
) -> None:
    """Write a dataset folder; it appears under its name only when it is complete.

    The options of each episode hold `task` (the task parameter), `task_index`, `rewards` (whether
    they are real; if not they are NaN), `last_observation` ("real", or "repeated" where it is not
    known) and, where it is known, `success`. Minari keeps one observation more than actions. With
    frames an observation is a dictionary of `state` and `frame (1, height, width, 3)`; the last
    frame is repeated.

    Args:
        out: folder to write; must not exist, or be empty.
        episodes: at least one; all with frames, or none.
        family: name of the task family, for the description.
        source: where the data come from, for the description.
        also: writes what else belongs into the folder.

    Raises:
        GmpsError: if `out` is taken or has no name that Minari takes.
    """
    name = dataset_id(out)
    with aside(out) as folder:
        data = folder / "data"
        data.mkdir(parents=True)
        first, count, steps = None, 0, 0
        with h5py.File(data / "main_data.hdf5", "w", track_order=True) as file:
            for shown in episodes:
                first = first or shown
                _write(file.create_group(f"episode_{count}"), count, shown)
                count, steps = count + 1, steps + len(shown.act)
        if first is None:
            raise GmpsError(f"There are no episodes to write to {out}.")
        about = _metadata(first) | {
            "total_episodes": count,
            "total_steps": steps,
            "dataset_id": name,
            "algorithm_name": "demonstrations",
            "description": f"Demonstrations of the task family {family}, from {source}.",
            "dataset_size": round((data / "main_data.hdf5").stat().st_size / 1e6, 1),
        }
        (data / "metadata.json").write_text(json.dumps(about))
        if also is not None:
            also(folder)


def _write(group: h5py.Group, number: int, shown: Shown) -> None:
    steps = len(shown.act)
    after = shown.obs[-1:] if shown.last_obs is None else shown.last_obs[None]
    observations = np.concatenate([shown.obs, after])
    if shown.frames is None:
        group.create_dataset("observations", data=observations)
    else:
        # Minari compresses what looks like a picture, with loss; one more axis does not.
        frames = np.concatenate([shown.frames, shown.frames[-1:]])[:, None]
        group.create_dataset("observations/state", data=observations)
        group.create_dataset("observations/frame", data=frames)
    no_reward = np.full(steps, np.nan, np.float32)
    last = np.arange(steps) == steps - 1
    arrays = {
        "actions": shown.act,
        "rewards": no_reward if shown.reward is None else shown.reward,
        "terminations": last & shown.terminated,
        "truncations": last & (not shown.terminated),
    }
    for key, array in arrays.items():
        group.create_dataset(key, data=array)
    group.create_group("infos")
    attributes: dict[str, Any] = {
        "id": number,
        "total_steps": steps,
        "options/task": shown.task,
        "options/task_index": shown.task_index,
        "options/rewards": shown.reward is not None,
        "options/last_observation": "repeated" if shown.last_obs is None else "real",
    }
    if shown.success is not None:
        attributes["options/success"] = shown.success
    for key, value in attributes.items():
        group.attrs[key] = value


def _metadata(first: Shown) -> dict[str, Any]:
    """What Minari must know of the spaces; in its JSON infinity has a name."""
    space = _box(-np.inf, np.inf, first.obs.shape[1:], "float32")
    if first.frames is not None:
        frame = _box(0, 255, (1, *first.frames.shape[1:]), "uint8")
        space = {"type": "Dict", "subspaces": {"frame": frame, "state": space}}
    return {
        "data_format": "hdf5",
        "jpeg_encoding": True,
        "observation_space": json.dumps(space),
        "action_space": json.dumps(_box(-1, 1, first.act.shape[1:], "float32")),
        "minari_version": _LAYOUT,
    }


def _box(low: float, high: float, shape: tuple[int, ...], dtype: str) -> dict[str, Any]:
    kind = np.dtype(dtype).type
    ends = {"low": np.full(shape, low, kind).tolist(), "high": np.full(shape, high, kind).tolist()}
    return {"type": "Box", "dtype": dtype, "shape": list(shape), **ends}
