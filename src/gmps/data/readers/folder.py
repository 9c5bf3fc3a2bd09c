"""Files of one episode or a few, `.npz` or `.csv`: a folder of them, or one.

An `.npz` holds arrays `(t, ...)`, those of `gmps explore` among them; in a file of several
episodes each has a leading axis, and `lengths (episode,)` says where they end. A `.csv` has names
in its first line and numbers below. Columns `state_0`, `state_1`, ... become one column `state`.
"""

import csv
import re
import warnings
from collections.abc import Iterator
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
_FACTS = ("goal", "task_index", "success", "terminated", "last_observation")
#: Arrays of `gmps explore` that are for adaptation alone.
_ASIDE = ("held", "policy", "seed")
#: Axes of one episode's observations.
_AXES = 2


def episode_files(folder: Path) -> list[Path]:
    """The episodes of a folder, in the order of their names, numbers counted as numbers."""
    files = [p for p in folder.iterdir() if p.suffix in (".npz", ".csv") and p.name != TASKS]
    parts = lambda p: [int(x) if x.isdigit() else x for x in re.split(r"(\d+)", p.name)]  # noqa: E731
    return sorted(files, key=parts)


def holds_episodes(path: Path) -> bool:
    """Whether an `.npz` file holds one episode or several of one task, and not tasks x episodes.

    Raises:
        GmpsError: it is damaged.
    """
    found = read_npz(path, (), ("observations", "actions"))[0]
    axes = {array.ndim for array in found.values()}
    return len(found) == 2 and axes in ({_AXES}, {_AXES + 1})


def read(source: Path, sink: Sink, wanted: Wanted) -> None:
    """Hand the episodes of a folder, or of one file, to the sink.

    Raises:
        GmpsError: a file is damaged or holds no episode.
    """
    files = episode_files(source) if source.is_dir() else [source]
    kinds = " and ".join(sorted({p.suffix for p in files}))
    sink.about["kind"] = f"folder of {kinds} files" if source.is_dir() else f"{kinds} file"
    for count, path in enumerate(files):
        episodes = [(path.stem, _csv(path))] if path.suffix == ".csv" else _npz(path)
        for name, columns in episodes:
            _add(name, path, columns, sink, wanted)
        if (count + 1) % 200 == 0:
            print(count + 1, len(files), flush=True)


def _add(name: str, path: Path, columns: dict[str, np.ndarray], sink: Sink, wanted: Wanted) -> None:
    facts = {key: columns.pop(key) for key in _FACTS if key in columns}
    for key in [key for key, array in columns.items() if array.ndim >= 4]:
        if wanted.picture(key):
            columns[key] = resized(columns[key], wanted)
        else:
            sink.about["unread"][key] = list(columns.pop(key).shape[1:])
    firsts = {key: np.ravel(array)[0] for key, array in facts.items() if array.size}
    task, success = firsts.get("task_index"), firsts.get("success")
    last = facts.get("last_observation")
    sink.add(
        name,
        columns,
        last={} if last is None or "observations" not in columns else {"observations": last},
        task=None if task is None else int(task),
        goal=_goal(path, facts.get("goal")),
        terminated=bool(firsts.get("terminated", False)),
        success=None if success is None else bool(success),
    )


def _goal(path: Path, goal: np.ndarray | None) -> list[float] | None:
    """The goal of an episode: one vector, or a column that does not change."""
    if goal is None:
        return None
    rows = np.atleast_2d(goal)
    if (rows != rows[:1]).any():
        raise GmpsError(f"The goal of {path} changes within the episode.")
    return rows[0].astype(float).tolist()


def _npz(path: Path) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """The episodes of an `.npz` file, by name."""
    _, names = read_npz(path, ())
    arrays = read_npz(path, (), [name for name in names if name not in _ASIDE])[0]
    lengths = arrays.pop("lengths", None)
    for name, array in arrays.items():
        if array.ndim == 0 and name not in _FACTS:
            raise GmpsError(f"The array {name} of {path} is one number; it needs the axis t.")
    observations = arrays.get("observations")
    if observations is None or observations.ndim <= _AXES:
        yield path.stem, arrays
        return
    count, steps = observations.shape[:2]
    ends = np.full(count, steps) if lengths is None else np.ravel(lengths)
    wrong = [name for name, array in arrays.items() if array.shape[:1] != (count,)]
    if wrong or len(ends) != count or (ends < 1).any() or (ends > steps).any():
        raise GmpsError(
            f"{path} has {count} episodes of up to {steps} steps, to which "
            f"{', '.join(wrong) or 'lengths'} does not fit."
        )
    for i in range(count):
        cut = slice(int(ends[i]))
        yield (
            f"{path.stem} {i}",
            {name: array[i] if name in _FACTS else array[i][cut] for name, array in arrays.items()},
        )


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
