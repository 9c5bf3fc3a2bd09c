"""A folder of one file an episode, `.npz` or `.csv`.

An `.npz` holds arrays `(t, ...)`; a `.csv` has names in its first line and numbers below. Columns
`state_0`, `state_1`, ... become one column `state`.
"""

import csv
import re
import warnings
from pathlib import Path

import numpy as np

from gmps.data.npz import read_npz
from gmps.data.readers.options import Wanted
from gmps.data.readers.pictures import resized
from gmps.data.recording import Sink
from gmps.errors import GmpsError

#: The table of tasks, which is no episode.
TASKS = "tasks.csv"
_CSV_BYTES = 1 << 28
#: Arrays that say something of the whole episode.
_FACTS = ("goal", "task_index", "success", "terminated")


def episode_files(folder: Path) -> list[Path]:
    """The episodes of a folder, in the order of their names, numbers counted as numbers."""
    files = [p for p in folder.iterdir() if p.suffix in (".npz", ".csv") and p.name != TASKS]
    parts = lambda p: [int(x) if x.isdigit() else x for x in re.split(r"(\d+)", p.name)]  # noqa: E731
    return sorted(files, key=parts)


def read(folder: Path, sink: Sink, wanted: Wanted) -> None:
    """Hand the episodes of a folder to the sink.

    Raises:
        GmpsError: a file is damaged or holds no episode.
    """
    files = episode_files(folder)
    kinds = sorted({p.suffix for p in files})
    sink.about["kind"] = f"folder of {' and '.join(kinds)} files"
    for path in files:
        columns = _csv(path) if path.suffix == ".csv" else _npz(path)
        facts = {name: columns.pop(name) for name in _FACTS if name in columns}
        for name in [n for n, array in columns.items() if array.ndim >= 4]:
            if wanted.picture(name):
                columns[name] = resized(columns[name], wanted)
            else:
                sink.about["unread"][name] = list(columns.pop(name).shape[1:])
        firsts = {name: np.ravel(array)[0] for name, array in facts.items() if array.size}
        task, success = firsts.get("task_index"), firsts.get("success")
        sink.add(
            path.stem,
            columns,
            task=None if task is None else int(task),
            goal=_goal(path, facts.get("goal")),
            terminated=bool(firsts.get("terminated", False)),
            success=None if success is None else bool(success),
        )
        if sink.count % 200 == 0:
            print(sink.count, len(files), flush=True)


def _goal(path: Path, goal: np.ndarray | None) -> list[float] | None:
    """The goal of an episode: one vector, or a column that does not change."""
    if goal is None:
        return None
    rows = np.atleast_2d(goal)
    if (rows != rows[:1]).any():
        raise GmpsError(f"The goal of {path} changes within the episode.")
    return rows[0].astype(float).tolist()


def _npz(path: Path) -> dict[str, np.ndarray]:
    _, names = read_npz(path, ())
    arrays = read_npz(path, (), names)[0]
    for name, array in arrays.items():
        if array.ndim == 0 and name not in _FACTS:
            raise GmpsError(
                f"The array {name} of {path} is one number; it needs the axes (t, ...)."
            )
    return arrays


def _csv(path: Path) -> dict[str, np.ndarray]:
    if path.stat().st_size > _CSV_BYTES:
        raise GmpsError(f"{path} has more than {_CSV_BYTES} bytes; save it as .npz.")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            head = [name.strip() for name in next(csv.reader(file), [])]
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # a table without rows is none
                table = np.loadtxt(file, delimiter=",", ndmin=2, dtype=np.float64)
    except (ValueError, UserWarning, csv.Error) as error:
        raise GmpsError(f"{path} is damaged: {' '.join(str(error).split())}.") from error
    if len(set(head)) != len(head) or "" in head or table.shape[1] != len(head):
        raise GmpsError(
            f"{path} needs names in its first line, each once: {len(head)} names for "
            f"{table.shape[1]} numbers."
        )
    return _joined({name: table[:, i] for i, name in enumerate(head)})


def _joined(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Columns `x_0`, `x_1`, ... as one column `x`."""
    groups: dict[str, list[int]] = {}
    for name in columns:
        match = re.fullmatch(r"(.+)_(\d+)", name)
        if match:
            groups.setdefault(match[1], []).append(int(match[2]))
    whole = {n for n, numbers in groups.items() if sorted(numbers) == list(range(len(numbers)))}
    found: dict[str, np.ndarray] = {}
    for name, array in columns.items():
        match = re.fullmatch(r"(.+)_(\d+)", name)
        if match and match[1] in whole and match[1] not in columns:
            stem = match[1]
            if stem not in found:
                parts = [columns[f"{stem}_{i}"] for i in range(len(groups[stem]))]
                found[stem] = np.stack(parts, -1)
        else:
            found[name] = array
    return found
