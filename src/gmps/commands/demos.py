"""`gmps demos import`, `record`, `export` and `info`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gmps.commands.cli import console, leading, parse
from gmps.core.types import task_count, tree_index
from gmps.data.bounded import Progress as Read
from gmps.data.episodes import Ends, Episodes, each
from gmps.data.exporting import Format, export_demos, refuse_out, write_as
from gmps.data.importing import MAPPING, import_demos
from gmps.data.info import info
from gmps.data.mapping import Mapping, load_mapping
from gmps.data.minari_io import dataset_id
from gmps.errors import GmpsError
from gmps.experts.base import ExpertActor, reporting_faults
from gmps.settings import Settings, seed_setting, setting
from gmps.tasks import make_family
from gmps.tasks.base import TaskFamily
from gmps.training.expert_sources import find_expert
from gmps.worlds.factory import make_world


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
      gmps demos record sawyer-push --expert runs/push-expert --std 0.3 --out datasets/push
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
    std: float = setting(0.0, at_least=0, at_most=100)
    """Noise on the expert's actions. The dataset holds the actions as taken."""
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
    if word == "import":
        _import(parse(Import, options, "demos import"))
    elif word == "record":
        family, options = leading(options, "demos record", "FAMILY", "An expert shows its tasks.")
        _record(make_family(family), parse(Record, options, f"demos record {family}"))
    elif word == "export":
        _export(parse(Export, options, "demos export"))
    elif word == "info":
        _show(info(parse(Info, options, "demos info").source))
    else:
        raise GmpsError(
            f"There is no command 'demos {word}'; use `demos import`, `demos record`, "
            "`demos export` or `demos info`."
        )
    return 0


def _import(command: Import) -> None:
    mapping = command.words
    if command.mapping is not None:
        kept = load_mapping(command.mapping)
        given = {k: v for k, v in vars(mapping).items() if v != getattr(Mapping(), k)}
        mapping = replace(kept, **given)
    with _progress() as progress:
        report = import_demos(
            command.source,
            make_family(command.family),
            command.out,
            mapping,
            command.accept,
            progress,
        )
    console.print(str(report))
    console.print(f"  mapping kept: {command.out}/{MAPPING}")


def _export(command: Export) -> None:
    with _progress() as progress:
        tasks, episodes, steps = export_demos(
            command.source,
            make_family(command.family),
            command.out,
            command.format,
            progress=progress,
        )
    words = f"{tasks} tasks, {episodes} episodes, {steps} steps\nwritten: {command.out}"
    console.print(f"{words} ({command.format})", markup=False)


@contextmanager
def _progress() -> Iterator[Read]:
    """A bar of episodes read, and one of episodes written."""
    columns = (
        TextColumn("episodes {task.description}"),
        BarColumn(20),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        tasks = {"read": bar.add_task("read", total=None)}

        def told(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what)
            bar.update(tasks[what], completed=done, total=total)

        yield told


def _record(family: TaskFamily, command: Record) -> None:
    refuse_out(command.format, command.out)
    expert, key = find_expert(command.expert, family), jax.random.key(command.seed)
    if command.random_tasks is None:
        tasks = family.tasks(command.split)
    else:
        drawn = jax.random.fold_in(key, 1)
        tasks = family.tasks(command.split, command.random_tasks, drawn)
    tasks = tree_index(tasks, expert.knows(family, tasks))
    n = task_count(tasks)
    if n == 0:
        raise GmpsError(f"The expert was trained for none of the {command.split} tasks.")
    actor = ExpertActor(expert.controller, family.spec.act_size)
    std = jnp.full(n, command.std, jnp.float32)
    with reporting_faults(expert):
        rollout = make_world(family).rollout(actor, std, tasks, command.episodes, key)
    data = rollout.trajectories
    obs, act, reward, alive = map(
        np.asarray, (data.obs, jnp.clip(data.act, -1, 1), data.reward, data.alive)
    )
    contexts = np.asarray(jax.vmap(family.context)(tasks))
    success = rollout.outcome.get("success")
    ends = Ends(
        np.asarray(data.last_obs),
        np.asarray(data.terminated),
        None if success is None else np.asarray(success) > 0.5,
    )
    episodes = Episodes(obs, act, reward, contexts, alive, data.frames)
    write_as(command.format, command.out, each(episodes, ends), family, expert.source)
    minari = command.format == "minari"
    what = f"Minari id {dataset_id(command.out)}" if minari else command.format
    console.print(
        f"{n} tasks, {n * command.episodes} episodes, {int(alive.sum())} steps, mean return "
        f"{reward.sum(-1).mean():.1f}\nwritten: {command.out}, {what}",
        markup=False,
    )


def _show(facts: dict[str, Any]) -> None:
    rows = facts.pop("per_task", None) or facts.pop("columns")
    for name, value in facts.items():
        if name != "notes":
            console.print(f"{name.replace('_', ' '):<18} {value}")
    for note in facts["notes"]:
        console.print(f"note: {note}")
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name.replace("_", " "), justify="left" if name == "name" else "right")
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    console.print(table)


def _text(value: object) -> str:
    if isinstance(value, list):
        return " ".join(f"{x:.3g}" for x in value)
    if isinstance(value, float):
        return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"
    return "-" if value is None else str(value)
