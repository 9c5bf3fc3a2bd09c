"""What a report shows: run folders, grouped by their settings."""

import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from gmps.errors import GmpsError
from gmps.evaluation.aggregate import combine_scores
from gmps.evaluation.scores import Scores, read_scores
from gmps.runs.config_json import flatten_config
from gmps.runs.run import Run
from gmps.runs.versions import Versions
from gmps.theory.certificate import Certificate, read_certificate

T = TypeVar("T")


@dataclass(frozen=True)
class RunData:
    """The content of one run folder."""

    path: Path
    config: dict[str, Any]
    #: None where the file is damaged, as with what follows.
    versions: Versions | None
    metrics: list[dict[str, Any]]
    timing: list[dict[str, Any]]
    #: None before an evaluation.
    scores: Scores | None
    paths: dict[str, np.ndarray] | None
    #: None without `gmps certify`.
    certificate: Certificate | None = None
    #: What was left out because it is damaged, a sentence each.
    problems: tuple[str, ...] = ()

    @property
    def seed(self) -> Any:
        """The run's seed, as in its settings."""
        return self.config.get("seed")


@dataclass(frozen=True)
class Group:
    """Runs that differ in nothing but their seed."""

    #: What sets the group apart from the others of the page.
    label: str
    runs: tuple[RunData, ...]

    @property
    def family(self) -> str:
        """Name of the task family."""
        return str(self.runs[0].config.get("family", "unknown family"))

    @property
    def method(self) -> str:
        """Name of the method."""
        return str(self.runs[0].config.get("method", "unknown method"))

    @property
    def evaluated(self) -> tuple[RunData, ...]:
        """The runs that have scores."""
        return tuple(run for run in self.runs if run.scores is not None)

    @cached_property
    def scores(self) -> Scores | None:
        """Scores over all seeds, or None."""
        named = {str(run.path): run.scores for run in self.runs if run.scores is not None}
        return combine_scores(named) if named else None


def load_run(folder: str | Path) -> RunData:
    """Read a run folder. What is damaged or of another version is left out.

    Raises:
        GmpsError: it is no run folder, or its settings are damaged.

    Warns:
        UserWarning: for each file that is left out.
    """
    run, problems = Run.open(folder), []

    def sound(read: Callable[[], T], instead: T) -> T:
        try:
            return read()
        except GmpsError as error:
            problems.append(f"Left out: {error}")
            warnings.warn(problems[-1], stacklevel=3)
            return instead

    return RunData(
        run.path,
        run.config,
        sound(lambda: run.versions, None),
        sound(run.metrics, []),
        sound(run.timing, []),
        sound(lambda: read_scores(run.path), None),
        sound(run.read_paths, None),
        sound(lambda: read_certificate(run.path), None),
        tuple(problems),
    )


def group_runs(runs: Sequence[RunData]) -> list[Group]:
    """Runs with equal settings but for the seed, in the order of their first."""
    groups: dict[str, list[RunData]] = {}
    for run in runs:
        settings = {name: value for name, value in run.config.items() if name != "seed"}
        groups.setdefault(json.dumps(settings, sort_keys=True), []).append(run)
    flat = [flatten_config(members[0].config) for members in groups.values()]
    names = list(dict.fromkeys(name for one in flat for name in one))
    differing = [
        name
        for name in names
        if name != "seed" and len({json.dumps(one.get(name)) for one in flat}) > 1
    ]
    return [
        Group(_label(one, differing), tuple(sorted(members, key=lambda run: str(run.seed))))
        for one, members in zip(flat, groups.values(), strict=True)
    ]


def _label(config: dict[str, Any], differing: list[str]) -> str:
    """Family and method, and the settings that differ; where some differ, only those."""
    names = differing or ["family", "method"]
    parts = [
        str(config[name])
        if name in ("family", "method")
        else f"{name.rpartition('.')[2].replace('_', ' ')} {config[name]}"
        for name in names
        if name in config
    ]
    return " · ".join(parts)
