"""A run is a folder. Everything that a training run leaves behind lies in it.

config.json      settings, as given
versions.json    packages, Python, platform, commit of the source tree
experts.safetensors    what experts gave: training tasks, demonstrations, their level
code/            copies of the user's own files, where family, method or expert is one
metrics.jsonl    one JSON object per round; a resumed run's equals an uninterrupted run's
timing.jsonl     wall-clock figures of each round, which never repeat exactly
checkpoints/     training state: the last few and the best
scores.json paths.npz report.html        written by evaluation and report
tracking/        what `--track` keeps: which run of which tracker this is; TensorBoard's events
evaluation/      what an interrupted evaluation had done; gone when the scores are written
harness.json     figures of Meta-World's own evaluation, by `gmps eval --harness metaworld`
film.gif         the first held-out task before and after the update, for trackers

Files of results end with a digest of their content; `versions.json` holds that of the settings, and
a checkpoint that of the metrics up to its round. So what was changed since is noticed.
"""

import hashlib
import json
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
from filelock import FileLock, Timeout

from gmps.aside import write_atomically
from gmps.errors import GmpsError
from gmps.plain_json import read_json
from gmps.runs.checkpoint import Checkpoints
from gmps.runs.config_json import decode_config, encode_config, flatten_config
from gmps.runs.jsonl import RoundLog
from gmps.runs.paths import read_arrays, write_arrays
from gmps.runs.results import read_result, write_result
from gmps.runs.user_files import kept_spec
from gmps.runs.versions import Versions, collect_versions
from gmps.settings import Settings

Config = TypeVar("Config")
CONFIG, VERSIONS = "config.json", "versions.json"
METRICS, TIMING = "metrics.jsonl", "timing.jsonl"
SCORES, PATHS, REPORT = "scores.json", "paths.npz", "report.html"
HARNESS, FILM = "harness.json", "film.gif"


class Restored(NamedTuple):
    """What `Run.restore` found."""

    #: The step that the checkpoint was saved after; training goes on with the next.
    step: int
    tree: Any
    metadata: dict[str, Any]


class Run:
    """A run folder; see the module docstring. Use `Run.create` or `Run.open`.

    Opening only reads. The first write locks the folder until `close` or the end of the process,
    so that two processes never train in one folder.
    """

    def __init__(self, path: Path, keep: int = 3):
        self.path = path
        self.checkpoints = Checkpoints(path / "checkpoints", keep)
        self._metrics = RoundLog(path / METRICS)
        self._timing = RoundLog(path / TIMING, checked=True)
        self._lock: FileLock | None = None

    @classmethod
    def create(cls, path: str | Path, config: Any, keep: int = 3) -> "Run":
        """Start a run in a new or empty folder.

        Args:
            path: the folder; parents are made.
            config: a dataclass, possibly nested, of numbers, strings, None, tuples and dicts.
            keep: how many of the last checkpoints are kept, beside the best.

        Raises:
            GmpsError: if the folder holds anything, or the config does not fit into JSON.
        """
        path = Path(path)
        refuse_taken(path)
        text = _json(encode_config(config))
        path.mkdir(parents=True, exist_ok=True)
        run = cls(path, keep)
        run._write_lock()
        write_result(path / VERSIONS, Versions(**collect_versions(), settings=_hash(text)))
        # Last, because config.json is what makes the folder a run.
        write_atomically(path / CONFIG, text)
        return run

    @classmethod
    def open(cls, path: str | Path, keep: int = 3) -> "Run":
        """Open an existing run.

        Raises:
            GmpsError: if the folder is missing or no run.
        """
        path = Path(path)
        if not path.is_dir():
            raise GmpsError(f"There is no folder {path}; name a folder that `gmps train` wrote.")
        if not (path / CONFIG).is_file():
            raise GmpsError(
                f"{path} is not a run: it has no {CONFIG}; name a folder that `gmps train` wrote."
            )
        return cls(path, keep)

    # -- Settings ---------------------------------------------------------------------------

    @property
    def config(self) -> dict[str, Any]:
        """The settings as plain JSON values.

        Raises:
            GmpsError: they are damaged, or not what the run was started with.
        """
        path = self.path / CONFIG
        if not path.is_file():
            raise GmpsError(f"The run {self.path} lacks its {CONFIG}.")
        values = read_json(path)
        if not isinstance(values, dict):
            raise GmpsError(f"{path} is damaged: it holds no settings.")
        known = self._known_versions()
        if known is not None and known.settings != _hash(path.read_bytes()):
            raise GmpsError(
                f"{path} was changed since the run was started; put it back as it was, or start a "
                f"new run with --config {path}."
            )
        return values

    def load_config(self, cls: type[Config]) -> Config:
        """The settings as an instance of the dataclass `cls`; see `decode_config`.

        A method of the user's is taken from the run's copy where its file is gone or has changed.
        """
        values = self.config
        if isinstance(values.get("method"), str):
            values["method"], _ = kept_spec(self.path, "method", values["method"])
        return decode_config(cls, values)

    def check_config(self, config: Any, free: Collection[str] = ()) -> None:
        """Refuse to go on with other settings than the run was started with.

        Args:
            config: a dataclass like the one given to `create`.
            free: dotted names of fields that may differ, such as `"rounds"`.

        Raises:
            GmpsError: naming the first field that differs and both values.
        """
        stored = self.load_config(type(config))
        old, new = (flatten_config(encode_config(x)) for x in (stored, config))
        names = [n for n in {**old, **new} if n not in free and old.get(n) != new.get(n)]
        if names:
            was, now = (json.dumps(x.get(names[0], "absent")) for x in (old, new))
            name, *more = (_called(config, name) for name in names)
            others = f" ({len(more)} more: {', '.join(more)})" if more else ""
            raise GmpsError(
                f"The run {self.path} was started with {name} = {was}, not {now}{others}; resume "
                "it unchanged, or start a new run with another --run."
            )

    @property
    def versions(self) -> Versions:
        """What was installed when the run was started.

        Raises:
            GmpsError: the file is gone or damaged.
        """
        try:
            found = read_result(self.path / VERSIONS, Versions, "gmps train")
        except GmpsError as error:
            raise GmpsError(str(error).partition("; write it again")[0] + ".") from error
        if found is None:
            raise GmpsError(f"The run {self.path} lacks its {VERSIONS}.")
        return found

    def _known_versions(self) -> Versions | None:
        """The same, or None where the file is gone or damaged: nothing depends on it."""
        try:
            return self.versions
        except GmpsError:
            return None

    # -- Metrics ----------------------------------------------------------------------------

    def log(
        self,
        step: int,
        metrics: Mapping[str, float],
        timing: Mapping[str, float] | None = None,
    ) -> None:
        """Append one round's figures.

        Args:
            step: number of the round; larger than any logged before.
            metrics: names with slashes (`"return/before"`) to numbers that a repetition of the run
                gives again. NaN and infinities become null.
            timing: wall-clock figures, kept apart in `timing.jsonl`.

        Raises:
            GmpsError: if `step` was logged before, or a figure is no number.
        """
        self._write_lock()
        self._metrics.append(step, metrics)
        if timing is not None:
            self._timing.append(step, timing)

    def metrics(self) -> list[dict[str, Any]]:
        """All rows of `metrics.jsonl`; a half-written last line is left out.

        Raises:
            GmpsError: the file is damaged, or not as it was when the last checkpoint was saved.
        """
        rows = self._metrics.rows()
        fault = self._changed_metrics()
        if fault is not None:
            raise GmpsError(f"{fault}; `gmps resume` keeps it aside and goes on.")
        return rows

    def timing(self) -> list[dict[str, Any]]:
        """All rows of `timing.jsonl`; a half-written last line is left out.

        Raises:
            GmpsError: the file is damaged.
        """
        rows = self._timing.rows()
        fault = self._short_timing()
        if fault is not None:
            raise GmpsError(f"{fault}; `gmps resume` keeps it aside and goes on.")
        return rows

    # -- Checkpoints ------------------------------------------------------------------------

    def save(
        self,
        step: int,
        tree: Any,
        score: float | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Save the training state after round `step`; see `Checkpoints.save`.

        The metrics up to here reach the disk first, so that no checkpoint is ahead of them.
        """
        self._write_lock()
        self._metrics.sync()
        self._timing.sync()
        log = {"metrics": self._metrics.digest(step), "timed": self._timing.count(step)}
        self.checkpoints.save(step, tree, metadata, score, log)

    def restore(self, like: Any) -> Restored | None:
        """Go back to the last complete checkpoint, to continue from it.

        Metrics and checkpoints of later rounds are dropped, because the rounds are repeated.
        Without a checkpoint all metrics are dropped.

        Args:
            like: tree with the structure, shapes and dtypes to restore.

        Returns:
            The step, the tree and its metadata, or None if there is no complete checkpoint.

        Raises:
            GmpsError: if `like` does not fit, or another process writes to the run.

        Warns:
            UserWarning: for a damaged checkpoint or log, which is kept aside, and for packages of
                other versions than the run was started with, which may give other numbers.
        """
        self._write_lock()
        self._warn_of_versions()
        lost = (
            self._metrics.mend(self._changed_metrics()),
            self._timing.mend(self._short_timing()),
        )
        for sentence in filter(None, lost):
            warnings.warn(sentence, stacklevel=2)
        found = self.checkpoints.latest()
        restored = None
        if found is not None:
            tree, metadata = self.checkpoints.load(found.step, like)
            restored = Restored(found.step, tree, metadata)
        step = -1 if restored is None else restored.step
        self.checkpoints.discard_after(step)
        self._metrics.truncate_after(step)
        self._timing.truncate_after(step)
        if found is not None and restored is not None and any(lost):
            # It knows the logs as they were.
            self.save(step, restored.tree, found.score, restored.metadata)
        return restored

    # -- Results ----------------------------------------------------------------------------

    def write_paths(self, arrays: Mapping[str, np.ndarray]) -> Path:
        """Write `paths.npz`: numeric and string arrays to draw, named with slashes."""
        return write_arrays(self.path / PATHS, arrays)

    def read_paths(self) -> dict[str, np.ndarray] | None:
        """The arrays of `paths.npz`, or None if there is none.

        Raises:
            GmpsError: the file is damaged.
        """
        return read_arrays(self.path / PATHS, f"gmps eval {self.path}")

    def close(self) -> None:
        """Release the folder."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- Inside -----------------------------------------------------------------------------

    def _write_lock(self) -> None:
        if self._lock is not None:
            return
        # The system's own lock: it ends with the process, however that ends.
        lock = FileLock(self.path / ".lock", thread_local=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise GmpsError(
                f"Another process is writing to {self.path}; wait until it has ended."
            ) from None
        self._lock = lock

    def _warn_of_versions(self) -> None:
        try:
            old, new = self.versions, collect_versions()
        except GmpsError as error:
            warnings.warn(
                f"{str(error).removesuffix('.')}; it is not known whether the run was started with "
                "other versions.",
                stacklevel=3,
            )
            return
        pairs = [(name, old.packages.get(name), now) for name, now in new["packages"].items()]
        pairs.append(("commit", old.commit, new["commit"]))
        changed = [f"{name} {was} -> {now}" for name, was, now in pairs if was != now]
        if changed:
            warnings.warn(
                f"The run {self.path} was started with other versions ({', '.join(changed)}); "
                "its numbers may differ from those of an uninterrupted run.",
                stacklevel=3,
            )

    def _changed_metrics(self) -> str | None:
        """What is wrong where the metrics are not those that the last checkpoint knows."""
        known = self.checkpoints.known_log()
        if known is None or self._metrics.digest(known[0]) == known[1].get("metrics"):
            return None
        return (
            f"{self._metrics.path} is damaged: up to round {known[0]} it is not as it was when "
            "that round's checkpoint was saved"
        )

    def _short_timing(self) -> str | None:
        """What is wrong where fewer rows are timed than the last checkpoint knows."""
        known = self.checkpoints.known_log()
        if known is None or self._timing.count(known[0]) == known[1].get("timed"):
            return None
        return f"{self._timing.path} is damaged: it was cut short before round {known[0]}"


def refuse_taken(path: str | Path) -> None:
    """Raise GmpsError, in one sentence, where a new run cannot go."""
    path = Path(path)
    if path.exists() and not path.is_dir():
        raise GmpsError(f"{path} is a file; choose another folder with --run.")
    if (path / CONFIG).exists():
        raise GmpsError(
            f"{path} already holds a run; continue it with `gmps resume {path}`, or choose "
            "another folder with --run."
        )
    if path.is_dir() and any(path.iterdir()):
        raise GmpsError(f"{path} is not empty; choose another folder with --run.")


def _called(config: Any, name: str) -> str:
    """What the user calls a setting."""
    first, dot, rest = name.partition(".")
    return f"{config.called(first) if isinstance(config, Settings) else first}{dot}{rest}"


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, allow_nan=False) + "\n").encode()
