"""Recorded episodes of unequal length as they stand in a file, before anything is converted."""

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from gmps.errors import GmpsError

_META = "recording.json"
#: Bytes without sign of so many axes are pictures or masks of them.
_PICTURE_AXES = 3


@dataclass(frozen=True)
class Facts:
    """What is known of each episode; plain values, one an episode, in order."""

    names: list[str] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    #: Which task: an index or words; None where the file does not say.
    tasks: list[int | str | None] = field(default_factory=list)
    #: The task parameter, or None.
    goals: list[list[float] | None] = field(default_factory=list)
    terminated: list[bool] = field(default_factory=list)
    #: Whether it succeeded; None where the file does not say.
    success: list[bool | None] = field(default_factory=list)


@dataclass(frozen=True)
class Recording:
    """Episodes, their steps in one row after the other."""

    #: In words, such as `"robomimic file"`.
    kind: str
    #: Arrays `(step, ...)`, each with as many rows as there are steps in all.
    columns: dict[str, np.ndarray]
    #: Columns `(episode, ...)` after the last step, where the file has them.
    last: dict[str, np.ndarray]
    facts: Facts
    #: Steps a second, if the file says it.
    hz: float | None = None
    #: Bounds of the action space, if the file says finite ones.
    action_bounds: tuple[list[float], list[float]] | None = None
    #: Columns that were not read, with the shape of one step.
    unread: dict[str, list[int]] = field(default_factory=dict)
    #: What is to be said about the file.
    notes: tuple[str, ...] = ()

    @property
    def starts(self) -> np.ndarray:
        """First row of each episode, and the number of rows."""
        return np.concatenate([[0], np.cumsum(self.facts.lengths, dtype=np.int64)])

    def rows(self, i: int) -> slice:
        """The rows of an episode."""
        starts = self.starts
        return slice(int(starts[i]), int(starts[i + 1]))


class Sink:
    """Takes episodes one by one and lays them down in a folder, in little memory."""

    def __init__(self, folder: Path, source: str):
        self._folder, self._source = folder, source
        self._files: dict[str, IO[bytes]] = {}
        self._specs: dict[str, tuple[str, list[int]]] = {}
        self._facts = Facts()
        self.about: dict[str, Any] = {"kind": source, "notes": [], "unread": {}}

    @property
    def count(self) -> int:
        """Episodes taken so far."""
        return len(self._facts.names)

    def add(
        self,
        name: str,
        columns: Mapping[str, np.ndarray],
        last: Mapping[str, np.ndarray] | None = None,
        task: int | str | None = None,
        goal: list[float] | None = None,
        terminated: bool = False,
        success: bool | None = None,
    ) -> None:
        """Take an episode.

        Raises:
            GmpsError: it has no steps, or columns of other names, shapes, lengths or kinds than
                they should have.
        """
        lengths = {column: len(array) for column, array in columns.items()}
        if not lengths or min(lengths.values()) == 0:
            raise GmpsError(f"{name} of {self._source} has no steps.")
        if len(set(lengths.values())) > 1:
            words = ", ".join(f"{column} {n}" for column, n in lengths.items())
            raise GmpsError(f"{name} of {self._source} has columns of unequal length: {words}.")
        arrays = {f"step {k}": v for k, v in columns.items()}
        arrays |= {f"last {k}": v[None] for k, v in (last or {}).items()}
        for key, array in arrays.items():
            if array.dtype.kind not in "fiub":
                raise GmpsError(
                    f"The column {key.partition(' ')[2]} of {self._source} holds {array.dtype}; "
                    "numbers are needed."
                )
        if not self._specs:
            self._open(arrays)
        if arrays.keys() != self._specs.keys():
            words = sorted(k.partition(" ")[2] for k in arrays.keys() ^ self._specs.keys())
            raise GmpsError(
                f"{name} of {self._source} and the first episode have different columns: "
                f"{', '.join(words)}."
            )
        for key, array in arrays.items():
            dtype, shape = self._specs[key]
            column = key.partition(" ")[2]
            if list(array.shape[1:]) != shape:
                raise GmpsError(
                    f"{name} of {self._source} has {column} of the shape {array.shape[1:]}, and "
                    f"the first episode {tuple(shape)}."
                )
            if np.dtype(dtype) == np.uint8 and array.dtype != np.uint8:
                raise GmpsError(
                    f"{name} of {self._source} has {column} of {array.dtype}, and the first "
                    "episode pictures of uint8; store all alike."
                )
            np.ascontiguousarray(array, dtype).tofile(self._files[key])
        facts = self._facts
        facts.names.append(name)
        facts.lengths.append(next(iter(lengths.values())))
        facts.tasks.append(task)
        facts.goals.append(None if goal is None else [float(x) for x in goal])
        facts.terminated.append(bool(terminated))
        facts.success.append(None if success is None else bool(success))

    def _open(self, arrays: dict[str, np.ndarray]) -> None:
        for i, (key, array) in enumerate(arrays.items()):
            self._specs[key] = (_stored(array).str, list(array.shape[1:]))
            self._files[key] = (self._folder / f"{i}.bin").open("wb")

    def require_room(self, size: float) -> None:
        """Raise GmpsError where the disk cannot hold so many bytes more."""
        free = shutil.disk_usage(self._folder).free
        if size > 0.9 * free:
            raise GmpsError(
                f"{self._source} unpacks to {size / 1e9:.3g} GB, and {self._folder.parent} has "
                f"{free / 1e9:.3g} GB free; name a larger place with TMPDIR."
            )

    def close(self) -> None:
        """Write what is known about the episodes; without it there is no recording."""
        if not self.count:
            raise GmpsError(f"{self._source} has no episodes.")
        for file in self._files.values():
            file.close()
        meta = self.about | {"specs": list(self._specs.items()), "facts": asdict(self._facts)}
        (self._folder / _META).write_text(json.dumps(meta))


def _stored(array: np.ndarray) -> np.dtype:
    """How a column is stored, from what the first episode has of it. Where that happens to hold
    whole numbers, a later one may not."""
    if array.dtype == np.uint8 and array.ndim >= _PICTURE_AXES:
        return array.dtype
    if array.dtype.kind == "f":
        return np.promote_types(array.dtype, np.float32)
    return np.dtype(np.float64)


def open_recording(folder: Path) -> Recording:
    """The recording that a `Sink` laid down. Its arrays are on the disk, read as they are used."""
    meta = json.loads((folder / _META).read_text())
    facts = Facts(**meta.pop("facts"))
    rows = {"step": sum(facts.lengths), "last": len(facts.lengths)}
    found: dict[str, dict[str, np.ndarray]] = {"step": {}, "last": {}}
    for i, (key, (dtype, shape)) in enumerate(meta.pop("specs")):
        group, _, name = key.partition(" ")
        found[group][name] = np.memmap(
            folder / f"{i}.bin", np.dtype(dtype), "r", shape=(rows[group], *shape)
        )
    meta["notes"] = tuple(meta["notes"])
    return Recording(columns=found["step"], last=found["last"], facts=facts, **meta)


def from_bounds(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Factor and offset that bring these bounds to -1 and 1."""
    return 2 / (high - low), -(high + low) / (high - low)


def bounds_note(bounds: tuple[list[float], list[float]]) -> str:
    """What is said of a recording whose actions were brought from these bounds."""
    low, high = (", ".join(f"{x:g}" for x in dict.fromkeys(side)) for side in bounds)
    return f"actions are scaled from the file's bounds, [{low}] to [{high}], to [-1, 1]"


def split(recording: Recording) -> Iterator[tuple[int, slice]]:
    """Number and rows of each episode."""
    starts = recording.starts
    for i in range(len(recording.facts.names)):
        yield i, slice(int(starts[i]), int(starts[i + 1]))
