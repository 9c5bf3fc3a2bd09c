"""`gmps demos import`, `record`, `export` and `info`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from gmps.commands.cli import late, leading, parse
from gmps.data.choices import Format
from gmps.data.mapping import Mapping
from gmps.errors import GmpsError
from gmps.settings import Settings, seed_setting, setting
from gmps.tasks import require_family


@dataclass(frozen=True)
class Import(Settings):
    """Check recordings of demonstrations and write them as a Minari dataset of a family.

    The kind of the source is recognised by its contents: an .npz file, a Minari dataset, a
    robomimic HDF5 file, a LeRobot folder (2.0 to 3), or a folder of one .npz or .csv an episode.
    Nothing is written where something does not fit. See docs/data.md.

    example:
      gmps demos import ant-goal-demos.npz --family ant-goal --out datasets/ant-goal-authors
      gmps demos import lift.hdf5 --family my_arm.py:Arm --out datasets/lift --map
      obs/robot0_eef_pos=hand obs/object[0:3]=block obs/object[0:2]@last=goal --scale act=0.5
    """

    source: Annotated[str, tyro.conf.Positional]
    """A file, a folder, or the id of a dataset in Minari's own store."""
    family: str
    """The task family that the demonstrations are for."""
    out: str
    """Folder of the dataset. It must not exist yet."""
    mapping: str | None = None
    """A mapping.json of an earlier import; the options below come on top of it."""
    accept: bool = False
    """Write also what looks like other units."""
    words: Annotated[Mapping, tyro.conf.arg(name="")] = field(default_factory=Mapping)


@dataclass(frozen=True)
class Record(Settings):
    """Let an expert show the tasks of a family, and write its episodes.

    In a Minari dataset the option `task` of each episode holds the task parameter.

    example:
      gmps demos record sawyer-push --expert runs/push-expert --out datasets/push
    """

    out: str
    """Folder of the dataset, or file of robomimic. It must not exist yet."""
    format: Format = "minari"
    """What to write; `gmps train` reads Minari datasets, and `gmps demos import` all."""
    expert: tuple[str, ...] = ("scripted",)
    """scripted, FILE.py:FUNCTION, or folders of `gmps expert train`."""
    split: Literal["train", "heldout"] = "train"
    """Which of the family's lists of tasks."""
    random_tasks: int | None = setting(None, at_least=1)
    """Instead: this many tasks drawn from the family's whole range."""
    episodes: int = setting(20, at_least=1)
    """Episodes of each task."""
    std: float = setting(0.1, at_least=0, at_most=100)
    """Noise on the expert's actions, as a share of an action's half range: so it shows how it
    corrects deviations. The dataset holds the actions as taken."""
    seed: int = seed_setting()
    """Seed of everything random."""


@dataclass(frozen=True)
class Export(Settings):
    """Write demonstrations in the format of another project.

    example:
      gmps demos export datasets/push --family sawyer-push --format lerobot --out push-lerobot
      gmps demos export my-demos.npz --family ant-goal --format robomimic --out ant.hdf5
    """

    source: Annotated[str, tyro.conf.Positional]
    """What `gmps demos import` takes."""
    family: str
    """The task family that the demonstrations are for."""
    format: Format
    """minari, robomimic (one HDF5 file), or lerobot (version 3, takes the extra data)."""
    out: str
    """The folder or file to write. It must not exist yet."""


@dataclass(frozen=True)
class Info(Settings):
    """Say what is in a file or dataset of demonstrations; nothing is written.

    example:
      gmps demos info ant-goal-demos.npz
    """

    source: Annotated[str, tyro.conf.Positional]
    """What `gmps demos import` takes."""


def run(argv: Sequence[str]) -> int:
    """Run `import`, `record`, `export` or `info`."""
    rule = "`import`, `record` and `export` write, `info` reads."
    word, options = leading(argv, "demos", "import|record|export|info", rule)
    family, command = "", None
    if word == "import":
        command = parse(Import, options, "demos import")
    elif word == "record":
        family, options = leading(options, "demos record", "FAMILY", "An expert shows its tasks.")
        require_family(family)
        command = parse(Record, options, f"demos record {family}")
    elif word == "export":
        command = parse(Export, options, "demos export")
    elif word == "info":
        command = parse(Info, options, "demos info")
    else:
        raise GmpsError(
            f"There is no command 'demos {word}'; use `demos import`, `demos record`, "
            "`demos export` or `demos info`."
        )
    recordings = late("gmps.commands.recordings")
    match command:
        case Import():
            recordings.import_recordings(command)
        case Record():
            recordings.record(family, command)
        case Export():
            recordings.export_recordings(command)
        case Info():
            recordings.show(command.source)
    return 0
