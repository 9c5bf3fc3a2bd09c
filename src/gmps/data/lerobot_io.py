"""Demonstrations as a LeRobot dataset, version 3.0. Takes the extra `data`."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from gmps.aside import aside
from gmps.data.episodes import Shown
from gmps.errors import GmpsError

_FILE = "chunk-000/file-000.parquet"
#: Episodes that are written at once.
_AT_ONCE = 100
#: The goals of the tasks, beside the dataset's own tables; `gmps demos import` reads it.
TASKS = "meta/tasks.csv"
CAMERA = "observation.images.frame"
#: Columns that every dataset has.
_INDICES = ("timestamp", "frame_index", "episode_index", "index", "task_index")


def write_lerobot(
    out: str | Path,
    episodes: Iterator[Shown],
    family: str,
    hz: float,
    names: list[str] | None = None,
) -> None:
    """Write a dataset folder; it appears under its name only when it is complete.

    Columns are `observation.state`, `action` and, where they are known, `next.reward` and
    `next.success`; `next.done` is where an episode ends. Frames are PNG pictures in the table, so
    that nothing is lost. A task is called by its goal; `meta/tasks.csv` holds the numbers.

    Args:
        out: folder to write; must not exist, or be empty.
        episodes: at least one; all with frames and rewards, or none.
        family: name of the task family.
        hz: control steps a second.
        names: of the numbers of an observation.

    Raises:
        GmpsError: `out` is taken.
    """
    with aside(out) as folder:
        for path in ("data/chunk-000", "meta/episodes/chunk-000"):
            (folder / path).mkdir(parents=True)
        rows: list[dict[str, Any]] = []
        tasks: dict[int, np.ndarray] = {}
        statistics = _Statistics()
        first, writer, start = None, None, 0
        try:
            for group in _grouped(episodes):
                first = first or group[0]
                tables = []
                for shown in group:
                    tasks.setdefault(shown.task_index, shown.task)
                    columns = _columns(shown, len(rows), start, hz)
                    own = statistics.add(columns)
                    rows.append(_row(shown, len(rows), start, family) | own)
                    start += len(shown.act)
                    tables.append(_table(columns, shown))
                table = pa.concat_tables(tables)
                if writer is None:
                    writer = pq.ParquetWriter(folder / "data" / _FILE, table.schema)
                writer.write_table(table)
        finally:
            if writer is not None:
                writer.close()
        if first is None:
            raise GmpsError(f"There are no episodes to write to {out}.")
        pq.write_table(pa.Table.from_pylist(rows), folder / "meta" / "episodes" / _FILE)
        _write_tasks(folder, tasks, family)
        info = _info(first, rows, tasks, hz, names)
        (folder / "meta" / "info.json").write_text(json.dumps(info, indent=4))
        (folder / "meta" / "stats.json").write_text(json.dumps(statistics.whole(), indent=4))


def _grouped(episodes: Iterator[Shown]) -> Iterator[list[Shown]]:
    group: list[Shown] = []
    for shown in episodes:
        group.append(shown)
        if len(group) == _AT_ONCE:
            yield group
            group = []
    if group:
        yield group


def _columns(shown: Shown, episode: int, start: int, hz: float) -> dict[str, np.ndarray]:
    """The columns of numbers of an episode."""
    steps = len(shown.act)
    last = np.arange(steps) == steps - 1
    columns = {
        "observation.state": np.asarray(shown.obs, np.float32),
        "action": np.asarray(shown.act, np.float32),
    }
    if shown.reward is not None:
        columns["next.reward"] = np.asarray(shown.reward, np.float32)
    columns["next.done"] = last
    if shown.success is not None:
        columns["next.success"] = last & shown.success
    return columns | {
        "timestamp": (np.arange(steps) / hz).astype(np.float32),
        "frame_index": np.arange(steps),
        "episode_index": np.full(steps, episode),
        "index": start + np.arange(steps),
        "task_index": np.full(steps, shown.task_index),
    }


def _table(columns: dict[str, np.ndarray], shown: Shown) -> Any:
    arrays: dict[str, Any] = {}
    for name, array in columns.items():
        flat = pa.array(array.ravel())
        # A list of one number is a number.
        lists = array.ndim == 2 and array.shape[1] > 1
        arrays[name] = pa.FixedSizeListArray.from_arrays(flat, array.shape[1]) if lists else flat
    if shown.frames is not None:
        pictures = [{"bytes": _png(frame), "path": None} for frame in shown.frames]
        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        arrays[CAMERA] = pa.array(pictures, kind)
    return pa.table(arrays)


def _png(frame: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(frame).save(data, "PNG")
    return data.getvalue()


def _row(shown: Shown, episode: int, start: int, family: str) -> dict[str, Any]:
    steps = len(shown.act)
    return {
        "episode_index": episode,
        "tasks": [_words(shown.task, family)],
        "length": steps,
        "data/chunk_index": 0,
        "data/file_index": 0,
        "dataset_from_index": start,
        "dataset_to_index": start + steps,
        "meta/episodes/chunk_index": 0,
        "meta/episodes/file_index": 0,
    }


def _words(task: np.ndarray, family: str) -> str:
    return f"{family}, goal {' '.join(f'{x:.6g}' for x in task)}"


class _Statistics:
    """Least, greatest, mean, deviation and count of each column, of an episode and of all."""

    def __init__(self):
        self._sums: dict[str, list[np.ndarray]] = {}

    def add(self, columns: dict[str, np.ndarray]) -> dict[str, Any]:
        """Take an episode; returns its own statistics under the names of LeRobot."""
        own: dict[str, Any] = {}
        for name, array in columns.items():
            rows = array.reshape(len(array), -1).astype(np.float64)
            sums = [rows.min(0), rows.max(0), rows.sum(0), (rows**2).sum(0), np.array([len(rows)])]
            old = self._sums.get(name)
            for key, value in _figures(sums).items():
                own[f"stats/{name}/{key}"] = value
            if old is not None:
                low, high = np.minimum(old[0], sums[0]), np.maximum(old[1], sums[1])
                sums = [low, high, *(a + b for a, b in zip(old[2:], sums[2:], strict=True))]
            self._sums[name] = sums
        return own

    def whole(self) -> dict[str, Any]:
        """The statistics of all episodes."""
        return {name: _figures(sums) for name, sums in self._sums.items()}


def _figures(sums: list[np.ndarray]) -> dict[str, list[float] | list[int]]:
    low, high, total, squares, count = sums
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return {
        "min": low.tolist(),
        "max": high.tolist(),
        "mean": mean.tolist(),
        "std": std.tolist(),
        "count": [int(count[0])],
    }


def _write_tasks(folder: Path, tasks: dict[int, np.ndarray], family: str) -> None:
    order = sorted(tasks)
    words = [_words(tasks[i], family) for i in order]
    table = pa.table({"task_index": order, "task": words})
    # Readers take the words for the index of pandas' table.
    about = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [
            {"name": "task_index", "field_name": "task_index", "pandas_type": "int64",
             "numpy_type": "int64", "metadata": None},
            {"name": "task", "field_name": "task", "pandas_type": "unicode",
             "numpy_type": "object", "metadata": None},
        ],
        "pandas_version": "2.2.0",
    }  # fmt: skip
    table = table.replace_schema_metadata({b"pandas": json.dumps(about).encode()})
    pq.write_table(table, folder / "meta" / "tasks.parquet")
    with (folder / TASKS).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["task", *(f"goal_{i}" for i in range(len(tasks[order[0]])))])
        writer.writerows(
            [name, *(float(x) for x in tasks[i])] for i, name in zip(order, words, strict=True)
        )


def _info(
    first: Shown,
    rows: list[dict[str, Any]],
    tasks: dict[int, np.ndarray],
    hz: float,
    names: list[str] | None,
) -> dict[str, Any]:
    columns = _columns(first, 0, 0, hz)
    features: dict[str, Any] = {}
    for name, array in columns.items():
        shape = [array.shape[1]] if array.ndim == 2 else [1]
        features[name] = {"dtype": str(array.dtype), "shape": shape, "names": None}
    features["observation.state"]["names"] = names
    if first.frames is not None:
        shape = list(first.frames.shape[1:])
        axes = ["height", "width", "channels"]
        features[CAMERA] = {"dtype": "image", "shape": shape, "names": axes}
    return {
        "codebase_version": "v3.0",
        "robot_type": None,
        "total_episodes": len(rows),
        "total_frames": rows[-1]["dataset_to_index"],
        "total_tasks": len(tasks),
        "chunks_size": 1000,
        "data_files_size_in_mb": 100,
        "video_files_size_in_mb": 200,
        # Readers want a whole number; nothing but seconds depends on it.
        "fps": round(hz) if hz >= 1 else hz,
        "splits": {"train": f"0:{len(rows)}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": None,
        "features": features,
    }
