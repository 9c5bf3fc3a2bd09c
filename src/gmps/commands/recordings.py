"""What `gmps demos` does."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gmps.commands.cli import console
from gmps.commands.demos import Export, Import, Record
from gmps.core.types import task_count, tree_index
from gmps.data.bounded import Progress as Read
from gmps.data.episodes import Ends, Episodes, each, repeats
from gmps.data.exporting import export_demos, refuse_out, write_as
from gmps.data.importing import MAPPING, import_demos
from gmps.data.info import info
from gmps.data.mapping import Mapping, load_mapping
from gmps.data.minari_io import dataset_id
from gmps.errors import GmpsError
from gmps.experts.base import ExpertActor, reporting_faults
from gmps.tasks import make_family
from gmps.training.expert_sources import find_expert
from gmps.worlds.factory import make_world


def import_recordings(command: Import) -> None:
    """Check recordings, and write them as a dataset of a family."""
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


def export_recordings(command: Export) -> None:
    """Write demonstrations in another project's format."""
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


def record(name: str, command: Record) -> None:
    """Let an expert show tasks, and write its episodes."""
    family = make_family(name)
    refuse_out(command.format, command.out)
    expert = find_expert(command.expert, family)
    drawn, key = jax.random.split(jax.random.key(command.seed))
    if command.random_tasks is None:
        tasks = family.tasks(command.split)
    else:
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
    note = repeats(episodes)
    console.print(
        f"{n} tasks, {n * command.episodes} episodes, {int(alive.sum())} steps, mean return "
        f"{reward.sum(-1).mean():.1f}\nwritten: {command.out}, {what}"
        + ("" if note is None else f"\nnote: {note}"),
        markup=False,
    )


def show(source: str) -> None:
    """Say what is in a file or dataset."""
    facts: dict[str, Any] = info(source)
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
