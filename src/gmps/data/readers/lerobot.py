"""LeRobot datasets, versions 2.0 to 3: parquet tables, JSON about them, videos.

`meta/info.json` names the columns (`observation.state`, `action`, `next.reward`, ...); rows carry
`episode_index`, `frame_index`, `task_index` and `timestamp`. Version 3 keeps many episodes in one
file, version 2 one. What a task is called stands in `meta/tasks.parquet` or `meta/tasks.jsonl`.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gmps.data.readers.hdf5 import one_line
from gmps.data.readers.options import Wanted
from gmps.data.readers.pictures import decoded, video_frames
from gmps.data.recording import Sink
from gmps.errors import GmpsError

#: Columns that say where a row belongs, and are no data.
_INDICES = ("episode_index", "frame_index", "index", "task_index", "timestamp")
_BATCH = 8192
#: What a table may unpack to, of a byte on the disk: text and booleans repeat themselves.
_UNPACKED = 5000
_SMALL = 1 << 24
#: Bytes of a JSON file.
_JSON = 1 << 26


class _Episode(NamedTuple):
    index: int
    length: int
    tasks: list[str]
    #: Of each camera in version 3: chunk, file, and the second at which the episode starts.
    videos: dict[str, tuple[int, int, float]]


def read(folder: Path, sink: Sink, wanted: Wanted) -> None:
    """Hand the episodes of a dataset to the sink.

    Raises:
        GmpsError: pyarrow is missing, or the dataset is damaged or not of this form.
    """
    info = _json(folder / "meta" / "info.json")
    version, features = str(info.get("codebase_version")), info.get("features")
    if not version.startswith(("v2", "v3")) or not isinstance(features, dict):
        raise GmpsError(f"{folder} is a LeRobot dataset of version {version}; 2 and 3 are read.")
    cameras = {n: f for n, f in features.items() if _dtype(f) in ("video", "image")}
    fps = info.get("fps")
    sink.about |= {
        "kind": f"LeRobot dataset {version}",
        "hz": float(fps) if isinstance(fps, int | float) and fps > 0 else None,
        "unread": {n: f.get("shape") for n, f in cameras.items() if not wanted.picture(n)},
    }
    chosen = {n: f for n, f in cameras.items() if wanted.picture(n)}
    numeric = [
        name for name, feature in features.items()
        if name not in _INDICES and name not in cameras and _dtype(feature) not in ("string", "")
        and not name.startswith("language")
    ]  # fmt: skip
    listed = _episodes(folder, version)
    words = _tasks(folder, version)
    total = len(listed)
    for rows in _grouped(folder, [*numeric, *(n for n in chosen if _dtype(chosen[n]) == "image")]):
        index = rows.index
        if index not in listed:
            raise GmpsError(f"The table of episodes in {folder}/meta lacks episode {index}.")
        said = listed.pop(index)
        if said.length != rows.length:
            raise GmpsError(
                f"Episode {index} of {folder} has {rows.length} rows, and its table of episodes "
                f"says {said.length}."
            )
        columns = {name: _shaped(folder, rows, name, features[name]) for name in numeric}
        for name, feature in chosen.items():
            if _dtype(feature) == "image":
                columns[name] = np.stack(
                    [decoded(x.get("bytes") or b"", wanted) for x in rows.pictures[name]]
                )
            else:
                columns[name] = _video(folder, version, name, said, rows, sink.about["hz"], wanted)
        sink.add(
            f"Episode {index}",
            columns,
            task=words.get(rows.task, rows.task),
            terminated=_last(columns, "next.done"),
            success=_last(columns, "next.success") if "next.success" in columns else None,
        )
        if sink.count % 200 == 0 or chosen:
            print(sink.count, total, flush=True)
    if listed:
        raise GmpsError(f"{folder} lacks the rows of episode {min(listed)}.")


class _Rows(NamedTuple):
    """The rows of an episode."""

    index: int
    length: int
    task: int
    timestamp: np.ndarray
    numbers: dict[str, np.ndarray]
    pictures: dict[str, list[Any]]


def _grouped(folder: Path, names: list[str]) -> Iterator[_Rows]:
    """The rows of each episode in turn; those of one may lie in parts that follow each other."""
    parts: list[Any] = []
    for batch in _batches(folder, names):
        index = batch.column("episode_index").to_numpy(zero_copy_only=False)
        edges = np.flatnonzero(np.diff(index)) + 1
        for start, stop in zip([0, *edges], [*edges, len(index)], strict=True):
            part = batch.slice(start, stop - start)
            if parts and parts[0].column("episode_index")[0] != part.column("episode_index")[0]:
                yield _rows(folder, parts)
                parts = []
            parts.append(part)
    if parts:
        yield _rows(folder, parts)


def _batches(folder: Path, names: list[str]) -> Iterator[Any]:
    files = sorted(folder.glob("data/*/*.parquet"))
    if not files:
        raise GmpsError(f"{folder} has no tables data/*/*.parquet.")
    columns = ["episode_index", "frame_index", "task_index", "timestamp", *names]
    for path in files:
        with opened(path) as table:
            missing = [name for name in columns if name not in table.schema_arrow.names]
            if missing:
                raise GmpsError(f"The table {path} lacks the columns {', '.join(missing)}.")
            yield from (b for b in table.iter_batches(_BATCH, columns=columns) if b.num_rows)


def opened(path: Path) -> Any:
    """A parquet file, if what it declares is no more than its bytes can hold.

    Raises:
        GmpsError: pyarrow is missing, or the file is damaged.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        import pyarrow.parquet as pq  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise GmpsError("Parquet takes the package pyarrow: pip install 'gmps[data]'.") from error
    try:
        table = pq.ParquetFile(path)
        groups = [table.metadata.row_group(i) for i in range(table.metadata.num_row_groups)]
        declared = sum(group.total_byte_size for group in groups)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise GmpsError(f"The table {path} is damaged: {one_line(error)}.") from error
    stored = path.stat().st_size
    if declared > max(_SMALL, _UNPACKED * stored) or min([0, *(g.num_rows for g in groups)]) < 0:
        raise GmpsError(f"The table {path} is damaged: {stored} bytes declare {declared}.")
    return table


def _rows(folder: Path, parts: list[Any]) -> _Rows:
    import pyarrow as pa  # noqa: PLC0415 - an extra

    table = pa.Table.from_batches(parts)
    numbers: dict[str, np.ndarray] = {}
    pictures: dict[str, list[Any]] = {}
    for name in table.column_names:
        column = table.column(name).combine_chunks()
        if pa.types.is_struct(column.type):
            pictures[name] = column.to_pylist()
        else:
            numbers[name] = _numbers(folder, name, column)
    index, frames = int(numbers["episode_index"][0]), numbers["frame_index"]
    if (frames != np.arange(len(frames))).any():
        raise GmpsError(f"The frames of episode {index} of {folder} do not count from 0 by 1.")
    tasks = np.unique(numbers["task_index"])
    if len(tasks) != 1:
        raise GmpsError(
            f"Episode {index} of {folder} changes its task: {tasks.tolist()}; one task an episode."
        )
    timestamp = numbers["timestamp"].astype(float)
    return _Rows(index, len(frames), int(tasks[0]), timestamp, numbers, pictures)


def _numbers(folder: Path, name: str, column: Any) -> np.ndarray:
    """A column of numbers, or of lists of as many numbers, as `(row, ...)` without the shape."""
    import pyarrow as pa  # noqa: PLC0415 - an extra

    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    rows = len(column)
    while pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type):
        column = column.flatten()
    if pa.types.is_large_list(column.type) or column.null_count or rows == 0:
        raise GmpsError(f"The column {name} of {folder} has missing values.")
    try:
        flat = column.to_numpy(zero_copy_only=False)
    except (pa.ArrowException, ValueError) as error:
        raise GmpsError(f"The column {name} of {folder} is damaged: {one_line(error)}.") from error
    if flat.dtype.kind not in "fiub" or len(flat) % rows:
        raise GmpsError(f"The column {name} of {folder} holds no numbers of one size a row.")
    return flat if len(flat) == rows else flat.reshape(rows, -1)


def _shaped(folder: Path, rows: _Rows, name: str, feature: Any) -> np.ndarray:
    array, shape = rows.numbers[name], feature.get("shape")
    size = array[0].size
    if isinstance(shape, list) and shape not in ([], [1]):
        if not all(isinstance(n, int) and n > 0 for n in shape) or np.prod(shape) != size:
            raise GmpsError(
                f"The column {name} of {folder} has {size} numbers a row, and meta/info.json says "
                f"the shape {shape}."
            )
        return array.reshape(len(array), *shape)
    return array.reshape(len(array), size) if size > 1 else array.reshape(len(array))


def _video(
    folder: Path, version: str, name: str, said: _Episode, rows: _Rows, hz: Any, wanted: Wanted
) -> np.ndarray:
    start = 0.0
    if version.startswith("v3"):
        chunk, file, start = said.videos[name]
        path = folder / "videos" / name / f"chunk-{chunk:03d}" / f"file-{file:03d}.mp4"
    else:
        found = sorted(folder.glob(f"videos/*/{name}/episode_{said.index:06d}.mp4"))
        path = found[0] if found else folder / "videos" / name
    if not path.is_file():
        raise GmpsError(f"{folder} lacks the video of episode {said.index}, {name}.")
    times = start + rows.timestamp
    return np.stack(list(video_frames(path, times, 0.5 / (hz or 30.0), wanted)))


def _episodes(folder: Path, version: str) -> dict[int, _Episode]:
    found: dict[int, _Episode] = {}
    try:
        for row in _table(folder, version, "episodes"):
            index = int(row["episode_index"])
            keys = {k.removesuffix("/from_timestamp") for k in row if k.endswith("/from_timestamp")}
            videos = {
                key.removeprefix("videos/"): (
                    int(row[f"{key}/chunk_index"]),
                    int(row[f"{key}/file_index"]),
                    float(row[f"{key}/from_timestamp"]),
                )
                for key in keys
            }
            tasks = [str(task) for task in row.get("tasks") or []]
            found[index] = _Episode(index, int(row["length"]), tasks, videos)
    except (KeyError, TypeError, ValueError) as error:
        raise GmpsError(f"The table of episodes in {folder}/meta is damaged: {error!r}.") from error
    return found


def _tasks(folder: Path, version: str) -> dict[int, str]:
    """What tasks are called; empty where the dataset has no such table."""
    try:
        rows = list(_table(folder, version, "tasks"))
        # Written by pandas, the words are an index, which has a name or none.
        words = lambda row: row.get("task", row.get("__index_level_0__"))  # noqa: E731
        return {int(row["task_index"]): str(words(row)) for row in rows}
    except (KeyError, TypeError, ValueError) as error:
        raise GmpsError(f"The table of tasks in {folder}/meta is damaged: {error!r}.") from error


def _table(folder: Path, version: str, name: str) -> Iterator[dict[str, Any]]:
    """The rows of a table in `meta`, of parquet since version 3."""
    if version.startswith("v2"):
        path = folder / "meta" / f"{name}.jsonl"
        if path.is_file():
            if path.stat().st_size > _JSON:
                raise GmpsError(f"{path} has more than {_JSON} bytes.")
            with path.open(encoding="utf-8") as lines:
                yield from (json.loads(line) for line in lines if line.strip())
        return
    meta = folder / "meta"
    one = meta / f"{name}.parquet"
    for path in [one] if one.is_file() else sorted(meta.glob(f"{name}/*/*.parquet")):
        with opened(path) as table:
            kept = [c for c in table.schema_arrow.names if not c.startswith("stats/")]
            for batch in table.iter_batches(_BATCH, columns=kept):
                yield from batch.to_pylist()


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _JSON:
            raise ValueError("it is too large")
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise GmpsError(f"{path} is damaged: {one_line(error)}.") from error
    if not isinstance(found, dict):
        raise GmpsError(f"{path} is damaged: it is no JSON object.")
    return found


def _dtype(feature: Any) -> str:
    return str(feature.get("dtype", "")) if isinstance(feature, dict) else ""


def _last(columns: dict[str, np.ndarray], name: str) -> bool:
    return bool(np.ravel(columns[name][-1])[0]) if name in columns else False


def is_lerobot(folder: Path) -> bool:
    """Whether a folder has the file that describes a LeRobot dataset."""
    path = folder / "meta" / "info.json"
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return re.search(rb'"codebase_version"', file.read(_JSON)) is not None
