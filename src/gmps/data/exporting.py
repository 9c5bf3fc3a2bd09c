"""Demonstrations of a family in the formats of other projects."""

from collections.abc import Iterator
from pathlib import Path

from gmps.aside import refuse_taken
from gmps.data.bounded import Progress
from gmps.data.choices import Format
from gmps.data.episodes import Shown
from gmps.data.importing import converted
from gmps.data.layout import parts
from gmps.data.mapping import Mapping
from gmps.data.minari_io import refuse_dataset, write_episodes
from gmps.data.robomimic_io import write_robomimic
from gmps.errors import GmpsError
from gmps.tasks.base import TaskFamily


def refuse_out(kind: Format, out: str | Path) -> None:
    """Raise GmpsError where something of a format cannot go."""
    if kind == "minari":
        refuse_dataset(out)
    elif kind == "robomimic" and Path(out).is_dir():
        raise GmpsError(f"{out} is a folder; name a file, such as {Path(out).name}.hdf5.")
    refuse_taken(out)


def write_as(
    kind: Format, out: str | Path, episodes: Iterator[Shown], family: TaskFamily, source: str
) -> None:
    """Write episodes in a format; see its module for what goes where.

    Raises:
        GmpsError: `out` is taken, or the package that the format takes is missing.
    """
    refuse_out(kind, out)
    hz, named = 1 / family.spec.control_dt, parts(family)
    if kind == "minari":
        write_episodes(out, episodes, family.name, source)
    elif kind == "robomimic":
        write_robomimic(out, episodes, family.name, hz, named)
    else:
        try:
            from gmps.data.lerobot_io import write_lerobot  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise GmpsError(
                f"LeRobot's tables take the package {error.name}: pip install 'gmps[data]'."
            ) from error
        names = [f"{n}_{i}" for n, part in named.items() for i in range(part.stop - part.start)]
        write_lerobot(out, episodes, family.name, hz, names or None)


def export_demos(
    source: str | Path,
    family: TaskFamily,
    out: str | Path,
    kind: Format,
    mapping: Mapping | None = None,
    progress: Progress | None = None,
) -> tuple[int, int, int]:
    """Read demonstrations of any known kind and write them in another format.

    Args:
        source: see `gmps.data.importing.import_demos`.
        family: the task family that they are for.
        out: the folder or file to write.
        kind: the format.
        mapping: which columns become what.
        progress: called now and then with `read` or `written`, episodes so far, and all.

    Returns:
        Tasks, episodes and steps written.

    Raises:
        GmpsError: see `import_demos`.
    """
    refuse_out(kind, out)
    with converted(source, family, mapping or Mapping(failures="keep"), progress) as conversion:
        write_as(kind, out, conversion.episodes(progress), family, Path(source).name)
    tally = conversion.tally
    return len(conversion.tasks), tally.episodes, tally.steps
