"""Somebody's recordings made into a dataset of a family: read, converted, checked, written."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from gmps.data.bounded import Progress, recorded
from gmps.data.checks import (
    action_questions,
    goal_questions,
    goal_unit_questions,
    horizon_questions,
    own_ranges,
    start_questions,
    unit_questions,
)
from gmps.data.convert import Conversion
from gmps.data.demos import DemoReport
from gmps.data.episodes import Shown
from gmps.data.mapping import Mapping, parse_rule, save_mapping
from gmps.data.minari_io import refuse_dataset, write_episodes
from gmps.data.padded import Padded, read
from gmps.data.readers.kinds import recognise
from gmps.data.readers.options import Wanted
from gmps.data.recording import Facts, Recording
from gmps.errors import GmpsError
from gmps.tasks.base import TaskFamily
from gmps.tasks.pixels import PixelFamily

#: From this share of clipped actions on they are taken for another unit.
_BEYOND = 0.2
#: The mapping that made a dataset, kept in its folder.
MAPPING = "mapping.json"


def import_demos(
    source: str | Path,
    family: TaskFamily,
    out: str | Path,
    mapping: Mapping | None = None,
    accept: bool = False,
    progress: Progress | None = None,
) -> DemoReport:
    """Read recordings of any known kind, check them, and write a Minari dataset of the family.

    The folder holds the mapping too, to be used again.

    Args:
        source: an `.npz` file, a Minari dataset or its id, a robomimic HDF5 file, a LeRobot
            folder, or a folder of one `.npz` or `.csv` file an episode.
        family: the task family that they are for.
        out: folder to write. Its name is the dataset's Minari id, with `-v0` if it has no version.
        mapping: which columns become what; by default those that are known.
        accept: whether to write also what looks like other units.
        progress: called now and then with `read` or `written`, episodes so far, and all.

    Raises:
        GmpsError: in one sentence, if the source is missing, damaged or of no known kind, lacks
            something that the family needs, or looks like other units; or if `out` is taken.
    """
    refuse_dataset(out)
    mapping = mapping or Mapping()
    with converted(source, family, mapping, progress) as conversion:
        rows = _checked(conversion, family, accept, progress)
        title = Path(source).name
        write_episodes(
            out,
            rows,
            family.name,
            title,
            also=lambda folder: save_mapping(mapping, folder / MAPPING),
        )
        last_known = bool(conversion.recording.last)
        unread = tuple(conversion.recording.unread)
    return replace(
        _report(Path(source), conversion, family, unread),
        written=Path(out),
        last_known=last_known,
    )


def _checked(
    conversion: Conversion, family: TaskFamily, accept: bool, progress: Progress | None
) -> Iterator[Shown]:
    """The episodes; after the last one, before anything is kept, questions of units are asked."""
    yield from conversion.episodes(progress)
    tally, own = conversion.tally, own_ranges(family)
    found = unit_questions(tally.obs_low, tally.obs_high, family, own)
    found += goal_unit_questions(conversion.tasks, family)
    share = tally.clipped / tally.act_numbers
    beyond = action_questions(share, tally.largest_action)
    if share < _BEYOND:
        conversion.notes += beyond
    else:
        found += beyond
    if found and not accept:
        raise GmpsError(
            "; ".join(found) + " Bring them to the family's units with --scale TARGET=FACTOR, or "
            "give --accept if they are right."
        )
    found += start_questions(tally.start_low, tally.start_high, family, own)
    found += goal_questions(conversion.tasks, family)
    found += horizon_questions(tally.shortest, tally.longest, family)
    conversion.notes += found


def _report(
    source: Path, conversion: Conversion, family: TaskFamily, unread: tuple[str, ...]
) -> DemoReport:
    tally = conversion.tally
    return DemoReport(
        source=source,
        kind=conversion.kind,
        family=family.name,
        tasks=len(conversion.tasks),
        episodes=tally.episodes,
        steps=tally.steps,
        longest=tally.longest,
        obs_size_in=conversion.obs_size_in,
        obs_size=family.spec.obs_size,
        act_size=family.spec.act_size,
        clipped=tally.clipped,
        act_numbers=tally.act_numbers,
        largest_action=tally.largest_action,
        has_reward=conversion.has_reward,
        ignored=unread,
        notes=tuple(conversion.notes),
    )


@contextmanager
def converted(
    source: str | Path, family: TaskFamily, mapping: Mapping, progress: Progress | None = None
) -> Iterator[Conversion]:
    """A source of any kind as a family's episodes. A `tasks.csv` that lies in it tells the goals.

    Raises:
        GmpsError: see `import_demos`.
    """
    path = recognise(source)[1]
    near = [p for p in (path / "tasks.csv", path / "meta" / "tasks.csv") if p.is_file()]
    told = mapping.tasks or any(parse_rule(word).target == "goal" for word in mapping.map)
    found = replace(mapping, tasks=str(near[0])) if near and not told else mapping
    with opened(source, family, mapping, progress) as recording:
        yield Conversion(recording, family, found, f"{source}")


@contextmanager
def opened(
    source: str | Path,
    family: TaskFamily | None,
    mapping: Mapping,
    progress: Progress | None = None,
) -> Iterator[Recording]:
    """The recording of a source of any kind, with the pictures that a family sees.

    Raises:
        GmpsError: see `import_demos`.
    """
    kind, path = recognise(source)
    if mapping.filter is not None and kind != "hdf5":
        raise GmpsError(f"--filter is for robomimic's files, and {source} is none.")
    if kind == "npz":
        found = read(kind, path, Path(source), family, goals_needed=False)
        yield _ragged(found)
        return
    with recorded(kind, path, _wanted(family, mapping), progress) as recording:
        yield recording


def _wanted(family: TaskFamily | None, mapping: Mapping) -> Wanted:
    if not isinstance(family, PixelFamily):
        return Wanted(mapping.filter)
    rules = [parse_rule(word) for word in mapping.map]
    named = tuple(rule.column for rule in rules if rule.target == "frame")
    return Wanted(mapping.filter, named or ("*",), (family.view.height, family.view.width))


def _ragged(found: Padded) -> Recording:
    """Padded arrays with one episode after the other."""
    episodes, alive = found.episodes, found.episodes.alive
    columns = {"observations": episodes.obs[alive], "actions": episodes.act[alive]}
    if episodes.reward is not None:
        columns["rewards"] = episodes.reward[alive]
    index = np.argwhere(alive.any(-1))
    known = episodes.tasks.shape[1] > 0
    facts = Facts(
        names=[f"Episode {j} of task {i}" for i, j in index],
        lengths=[int(alive[i, j].sum()) for i, j in index],
        tasks=[int(i) for i, _ in index],
        goals=[[float(x) for x in episodes.tasks[i]] if known else None for i, _ in index],
        terminated=[False] * len(index),
        success=[None] * len(index),
    )
    unread: dict[str, list[int]] = {name: [] for name in found.ignored}
    return Recording(found.kind, columns, {}, facts, unread=unread, notes=found.notes)
