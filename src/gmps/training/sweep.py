"""Grids of settings: which runs a sweep consists of, and what they came to.

A cell is one setting of each swept option; each of its seeds is a run in a folder of its own, so a
sweep may be spread over machines that share the folder, stopped, and gone on with.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from gmps.core.types import task_count
from gmps.errors import GmpsError
from gmps.evaluation.aggregate import combine_scores
from gmps.evaluation.conditions import after
from gmps.evaluation.scores import AdaptationScore, Figure, read_scores
from gmps.runs.results import read_result, write_result
from gmps.runs.run import CONFIG, SCORES
from gmps.tasks.base import TaskFamily

#: What all runs have in common, and how settings compare, in the sweep's folder.
COMMON, RESULTS = "common.json", "sweep.json"

#: Option, in the words of the command line, to the values that are tried.
Grid = Mapping[str, Sequence[str]]

#: Appendix D of the paper, but for the batches of multi-task learning.
_SHARED = {
    "train-tasks": ("10", "20"),
    "{}.episodes": ("20", "50"),
    "{}.step-size": ("0.5", "0.1"),
}
_SUBSET = {"{}.subset": ("all", "bias")}
APPENDIX: dict[str, Grid] = {
    "gmps": {
        **_SHARED,
        **_SUBSET,
        "{}.bias-size": ("2", "4"),
        "{}.outer-steps": ("1", "200", "500", "1000", "2000"),
    },
    "maml": {**_SHARED, **_SUBSET},
    "maesn": {**_SHARED, "{}.latent": ("2", "4")},
    "multitask": {"{}.trust-region.max-kl": ("0.01", "0.02")},
    "sac": {
        "{}.temperature": ("1",),
        "{}.reward-scale": ("10", "50", "100"),
    },
}
#: Environment steps of one batch of multi-task learning.
_BATCHES = (10_000, 50_000)
#: Gradient steps of SAC for each batch of collected data: one step in each task.
_GRADIENT_STEPS = (1, 5, 10)


class Cell(NamedTuple):
    """One run of a sweep."""

    folder: Path
    #: Option to value.
    settings: dict[str, str]
    seed: int

    def options(self) -> list[str]:
        """The settings as words of a command line."""
        return [word for name, value in self.settings.items() for word in (f"--{name}", value)]


def appendix_grid(method: str, family: TaskFamily) -> dict[str, Sequence[str]]:
    """The paper's sweep of a method (appendix D); `sac` stands for the contextual expert.

    Raises:
        GmpsError: the appendix has no sweep of that method.
    """
    if method not in APPENDIX:
        raise GmpsError(
            f"Appendix D has no sweep of {method}, only of {', '.join(APPENDIX)}; name what to try "
            "with --grid, as in --grid gmps.std=0.3,0.5."
        )
    grid = {name.format(method): values for name, values in APPENDIX[method].items()}
    if method == "multitask":
        # There a batch is so many steps; here it is so many episodes of each task.
        tasks = task_count(family.tasks("train"))
        steps = tasks * family.spec.horizon
        grid["multitask.episodes"] = tuple(str(max(1, round(b / steps))) for b in _BATCHES)
    if method == "sac":
        # Here gradient steps follow whole episodes.
        horizon = family.spec.horizon
        grid["gradient-steps"] = tuple(str(n * horizon) for n in _GRADIENT_STEPS)
    return grid


def parse_grid(words: Sequence[str]) -> dict[str, Sequence[str]]:
    """The grid of words such as `gmps.std=0.3,0.5`.

    Raises:
        GmpsError: a word is no option with values, or comes twice.
    """
    grid: dict[str, Sequence[str]] = {}
    for word in words:
        name, _, values = word.partition("=")
        name = name.removeprefix("--").replace("_", "-")
        tried = tuple(value for value in values.split(",") if value)
        if not name or not tried:
            raise GmpsError(
                f"--grid {word} has no values; write it as OPTION=VALUE,VALUE, such as "
                "gmps.std=0.3,0.5."
            )
        if name in grid:
            raise GmpsError(f"--grid names {name} twice; name it once with all its values.")
        grid[name] = tried
    return grid


def cells(grid: Grid, seeds: Sequence[int], folder: Path) -> list[Cell]:
    """All runs of a grid, each setting of it with every seed; the folder's name says which."""
    runs = []
    for values in itertools.product(*grid.values()):
        settings = dict(zip(grid, values, strict=True))
        parts = [f"{name}={value}" for name, value in settings.items()]
        name = ",".join(parts).replace("/", "_") or "default"
        runs += [Cell(folder / f"{name}-seed{seed}", settings, seed) for seed in seeds]
    return runs


def shard(runs: Sequence[Cell], part: str) -> list[Cell]:
    """Part `i` of `n`, written `i/n` with i from 1: every n-th run.

    Raises:
        GmpsError: it is not written like that.
    """
    number, _, total = part.partition("/")
    if not (number.isdecimal() and total.isdecimal() and 1 <= int(number) <= int(total)):
        raise GmpsError(f"--shard is {part!r}; write it as 1/4 for the first of four parts.")
    return list(runs[int(number) - 1 :: int(total)])


def started(folder: Path) -> bool:
    """Whether a run was begun there."""
    return (folder / CONFIG).is_file()


def judged(folder: Path) -> bool:
    """Whether the run there was trained to its end and evaluated."""
    return (folder / SCORES).is_file()


@dataclass(frozen=True)
class Common:
    """What all runs of a sweep have in common: the content of `common.json`."""

    method: str
    family: str
    preset: str
    #: Further words of the runs' commands.
    options: tuple[str, ...]
    format: Literal[1] = 1


def claim(folder: Path, common: Common) -> None:
    """Write down what all runs of a sweep have in common, or check that it is as it was.

    Raises:
        GmpsError: the folder holds a sweep with other settings, or the file is damaged.
    """
    path = folder / COMMON
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_result(path, common)
    stored = read_result(path, Common, f"rm {path}; gmps sweep {common.family}")
    for key, value in asdict(common).items():
        found = getattr(stored, key)
        if found != value:
            raise GmpsError(
                f"{folder} holds a sweep with {key} {found!r}, not {value!r}; choose another "
                "folder with --runs."
            )


@dataclass(frozen=True)
class Standing:
    """What the seeds of one cell came to."""

    settings: dict[str, str]
    seeds: tuple[int, ...]
    #: Normalised return after one step, without action noise: on the validation tasks, by which a
    #: cell is chosen (by the training tasks where there are none), and on held-out tasks, by which
    #: it is judged.
    validation: Figure | None
    train: Figure
    heldout: Figure
    #: The adaptation score on held-out tasks.
    adaptation: AdaptationScore
    #: Environment steps of one seed, by column.
    steps: dict[str, int | float]


@dataclass(frozen=True)
class Standings:
    """How a sweep's settings compare: the content of `sweep.json`."""

    #: The best on the validation tasks first.
    settings: tuple[Standing, ...]
    format: Literal[1] = 1


def read_standings(folder: Path) -> Standings | None:
    """What is in a sweep's `sweep.json`; None where there is none.

    Raises:
        GmpsError: it is damaged, or of another version.
    """
    return read_result(folder / RESULTS, Standings, "gmps sweep")


def standings(runs: Sequence[Cell]) -> Standings:
    """The finished cells, the best on the validation tasks first."""
    found = []
    for _, members in itertools.groupby(runs, key=lambda run: json.dumps(run.settings)):
        done = [run for run in members if judged(run.folder)]
        read = {str(run.folder): read_scores(run.folder) for run in done}
        named = {folder: scores for folder, scores in read.items() if scores is not None}
        if not named:
            continue
        scores = combine_scores(named)
        train, heldout = scores.train.deterministic, scores.heldout.deterministic
        chosen = None if scores.validation is None else scores.validation.deterministic
        found.append(
            Standing(
                done[0].settings,
                tuple(run.seed for run in done),
                None if chosen is None else chosen.conditions[after(1)]["normalised"],
                train.conditions[after(1)]["normalised"],
                heldout.conditions[after(1)]["normalised"],
                heldout.adaptation_score[after(1)],
                scores.steps,
            )
        )
    # One cell that was judged without them leaves the training tasks to compare all by.
    by_train = any(standing.validation is None for standing in found)
    found.sort(key=lambda x: -(x.train if by_train or not x.validation else x.validation).mean)
    return Standings(tuple(found))
