"""`gmps demos import`, `gmps demos record` and `gmps demos info`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from rich.table import Table

from gmps.commands.cli import console, leading, parse
from gmps.core.types import task_count, tree_index
from gmps.data.demos import import_npz, info
from gmps.data.minari_io import Ends, Episodes, dataset_id, refuse_dataset, write_dataset
from gmps.errors import GmpsError
from gmps.experts.base import ExpertActor, reporting_faults
from gmps.tasks import make_family
from gmps.tasks.base import TaskFamily
from gmps.training.expert_sources import find_expert
from gmps.worlds.factory import make_world


@dataclass(frozen=True)
class Import:
    """Check an .npz file of demonstrations and write it as a Minari dataset.

    The file holds observations (task, episode, t, obs), actions (task, episode, t, act),
    goals (task, d) and, if known, rewards (task, episode, t).

    example:
      gmps demos import ant-goal-demos.npz --family ant-goal --out datasets/ant-goal-authors
    """

    file: Annotated[str, tyro.conf.Positional]
    """The .npz file."""
    family: str
    """The task family that the demonstrations are for."""
    out: str
    """Folder of the dataset. It must not exist yet."""


@dataclass(frozen=True)
class Record:
    """Let an expert show the tasks of a family, and write its episodes as a Minari dataset.

    The option `task` of each episode holds the task parameter.

    example:
      gmps demos record sawyer-push --expert runs/push-expert --std 0.3 --out datasets/push
    """

    out: str
    """Folder of the dataset. It must not exist yet."""
    expert: tuple[str, ...] = ("scripted",)
    """scripted, FILE.py:FUNCTION, or folders of `gmps expert train`."""
    split: Literal["train", "heldout"] = "train"
    """Which of the family's lists of tasks."""
    episodes: int = 20
    """Episodes of each task."""
    std: float = 0.0
    """Noise on the expert's actions. The dataset holds the actions as taken."""
    seed: int = 0
    """Seed of everything random."""

    def __post_init__(self):
        if self.episodes < 1 or not 0 <= self.std < float("inf"):
            raise GmpsError(
                f"episodes is {self.episodes} and std {self.std}; record at least 1 episode, with "
                "a std of 0 or more."
            )


@dataclass(frozen=True)
class Info:
    """Say what is in a file or dataset of demonstrations.

    example:
      gmps demos info ant-goal-demos.npz
    """

    source: Annotated[str, tyro.conf.Positional]
    """An .npz file or a Minari dataset."""


def run(argv: Sequence[str]) -> int:
    """Run `import`, `record` or `info`."""
    rule = "`import` and `record` write a dataset, `info` reads."
    word, options = leading(argv, "demos", "import|record|info", rule)
    if word == "import":
        command = parse(Import, options, "demos import")
        console.print(str(import_npz(command.file, make_family(command.family), command.out)))
    elif word == "record":
        family, options = leading(options, "demos record", "FAMILY", "An expert shows its tasks.")
        _record(make_family(family), parse(Record, options, f"demos record {family}"))
    elif word == "info":
        _show(info(parse(Info, options, "demos info").source))
    else:
        raise GmpsError(
            f"There is no command 'demos {word}'; use `demos import`, `demos record` or "
            "`demos info`."
        )
    return 0


def _record(family: TaskFamily, command: Record) -> None:
    refuse_dataset(command.out)
    expert, tasks = find_expert(command.expert, family), family.tasks(command.split)
    tasks = tree_index(tasks, expert.knows(family, tasks))
    n = task_count(tasks)
    if n == 0:
        raise GmpsError(f"The expert was trained for none of the {command.split} tasks.")
    actor = ExpertActor(expert.controller, family.spec.act_size)
    std = jnp.full(n, command.std, jnp.float32)
    with reporting_faults(expert):
        data = (
            make_world(family)
            .rollout(actor, std, tasks, command.episodes, jax.random.key(command.seed))
            .trajectories
        )
    obs, act, reward, alive = map(
        np.asarray, (data.obs, jnp.clip(data.act, -1, 1), data.reward, data.alive)
    )
    contexts = np.asarray(jax.vmap(family.context)(tasks))
    ends = Ends(np.asarray(data.last_obs), np.asarray(data.terminated))
    episodes = Episodes(obs, act, reward, contexts, alive, data.frames)
    write_dataset(command.out, episodes, family.name, expert.source, ends)
    console.print(
        f"{n} tasks, {n * command.episodes} episodes, {int(alive.sum())} steps, mean return "
        f"{reward.sum(-1).mean():.1f}\nwritten: {command.out}, Minari id {dataset_id(command.out)}"
    )


def _show(facts: dict) -> None:
    rows = facts.pop("per_task")
    for name, value in facts.items():
        console.print(f"{name.replace('_', ' '):<18} {value}")
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name.replace("_", " "), justify="right")
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    console.print(table)


def _text(value: object) -> str:
    if isinstance(value, list):
        return " ".join(f"{x:.3g}" for x in value)
    return f"{value:.1f}" if isinstance(value, float) else "-" if value is None else str(value)
