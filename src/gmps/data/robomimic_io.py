"""Demonstrations as robomimic's HDF5: a group `data/demo_N` for each episode."""

import json
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

from gmps.aside import aside
from gmps.data.episodes import Shown
from gmps.errors import GmpsError

#: How robomimic calls environments of Gymnasium.
_GYM_TYPE = 2


def write_robomimic(
    out: str | Path,
    episodes: Iterator[Shown],
    family: str,
    hz: float | None,
    parts: dict[str, slice] | None = None,
) -> None:
    """Write an HDF5 file; it appears under its name only when it is complete.

    An observation is `obs/state`, or one dataset for each named part, and `obs/frame` where there
    is a camera. `task_index`, `goal` and, if known, `success` are attributes of the episode.
    Without rewards they are 0, which the attribute `rewards` says.

    Args:
        out: the file; must not exist.
        episodes: at least one.
        family: name of the task family.
        hz: control steps a second, if known.
        parts: names of parts of an observation.

    Raises:
        GmpsError: `out` is taken.
    """
    if Path(out).is_dir():
        raise GmpsError(f"{out} is a folder; name a file, such as {Path(out).name}.hdf5.")
    with aside(out) as path, h5py.File(path, "w") as file:
        data = file.create_group("data", track_order=True)
        total = count = 0
        for shown in episodes:
            _write(data.create_group(f"demo_{count}"), shown, parts or {"state": slice(None)})
            count, total = count + 1, total + len(shown.act)
        if not count:
            raise GmpsError(f"There are no episodes to write to {out}.")
        rate = {} if hz is None else {"control_freq": hz}
        about = {"env_name": family, "type": _GYM_TYPE, "env_type": _GYM_TYPE, "env_kwargs": rate}
        data.attrs["total"] = total
        data.attrs["env_args"] = json.dumps(about)


def _write(demo: h5py.Group, shown: Shown, parts: dict[str, slice]) -> None:
    steps = len(shown.act)
    last = np.arange(steps) == steps - 1
    after = shown.obs[-1:] if shown.last_obs is None else shown.last_obs[None]
    following = np.concatenate([shown.obs[1:], after])
    for name, part in parts.items():
        demo.create_dataset(f"obs/{name}", data=shown.obs[:, part])
        demo.create_dataset(f"next_obs/{name}", data=following[:, part])
    if shown.frames is not None:
        following = np.concatenate([shown.frames[1:], shown.frames[-1:]])
        demo.create_dataset("obs/frame_image", data=shown.frames, compression="gzip")
        demo.create_dataset("next_obs/frame_image", data=following, compression="gzip")
    reward = np.zeros(steps, np.float32) if shown.reward is None else shown.reward
    demo.create_dataset("actions", data=shown.act)
    demo.create_dataset("rewards", data=reward)
    demo.create_dataset("dones", data=(last & shown.terminated).astype(np.int64))
    # robomimic resets simulators of its own to these; there are none to reset.
    demo.create_dataset("states", data=np.zeros((steps, 1)))
    demo.attrs["num_samples"] = steps
    demo.attrs["task_index"] = shown.task_index
    demo.attrs["goal"] = shown.task
    demo.attrs["rewards"] = shown.reward is not None
    if shown.success is not None:
        demo.attrs["success"] = shown.success
