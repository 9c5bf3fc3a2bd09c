"""`gmps diagnose RUN`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import jax
import tyro
from rich.table import Table

from gmps.commands.cli import console, leading, parse
from gmps.core.types import task_count
from gmps.evaluation import telltale
from gmps.evaluation.diagnose import (
    DIAGNOSIS,
    DiagnoseConfig,
    Diagnosis,
    Told,
    diagnose,
    in_words,
    write_diagnosis,
)
from gmps.runs.run import Run
from gmps.settings import Settings
from gmps.training.config import TrainConfig
from gmps.training.experiment import Experiment, load_experiment
from gmps.training.train import restore


@dataclass(frozen=True)
class Diagnose(Settings):
    """Say why adaptation works or fails: does the update tell the tasks apart, and does it help?

    Makes several updates of each task, each from episodes of its own, and compares them. Says too
    how well a demonstrated state alone tells its task, and what latents say. Writes diagnosis.json
    into the run.

    example:
      gmps diagnose runs/push --episodes 5 20 40
    """

    checkpoint: Literal["best", "latest"] = "best"
    """The checkpoint with the best return after the update on training tasks, or the last one."""
    family: str | None = None
    """Another definition of the run's family, as FILE.py:NAME, in place of the run's own."""
    config: Annotated[DiagnoseConfig, tyro.conf.arg(name="")] = field(
        default_factory=DiagnoseConfig
    )


#: Columns: key, words, format.
COLUMNS = (
    ("episodes", "episodes", "d"),
    ("same_task", "cosine, same task", ".2f"),
    ("other_task", "other task", ".2f"),
    ("d_prime", "d'", ".1f"),
    ("recognised", "recognised", ".0%"),
    ("before", "return before", ".4g"),
    ("after", "after", ".4g"),
)


def run(argv: Sequence[str]) -> int:
    """Measure, print the table and what it means."""
    folder, options = leading(argv, "diagnose", "RUN", "RUN is a folder that `gmps train` wrote.")
    command = parse(Diagnose, options, "diagnose RUN", Diagnose())
    with Run.open(folder) as opened:
        config, metrics = opened.load_config(TrainConfig), opened.metrics()
        experiment = load_experiment(opened, config, family=command.family)
        with console.status("diagnosing"):
            state, metadata = restore(opened, config, experiment, command.checkpoint)
            tasks = experiment.tasks[command.config.split]
            rows, steps = diagnose(
                experiment.method, experiment.world, state, tasks, command.config
            )
        found = Diagnosis(
            family=config.family,
            method=config.method,
            seed=config.seed,
            checkpoint_round=metadata["round"],
            tasks=task_count(tasks),
            settings=command.config,
            rows=rows,
            env_steps=steps,
            demonstrations=_told(experiment, command.config.seed, metrics),
        )
        write_diagnosis(opened.path, found)
        print_diagnosis(found, config.settings)
        console.print(f"diagnosis  {opened.path / DIAGNOSIS}")
    return 0


def _told(experiment: Experiment, seed: int, rows: Sequence[dict[str, Any]]) -> Told:
    """How far the demonstrations' states betray the tasks, and what latents say, in nats."""
    recorded, moved = telltale.told_by_state(experiment.demos, jax.random.key(seed))
    return Told(
        tasks=task_count(experiment.tasks["train"]),
        told_by_state=recorded,
        told_by_moved_state=moved,
        latent_nats=rows[-1].get("latent/kl") if rows else None,
    )


def print_diagnosis(diagnosis: Diagnosis, options: Settings) -> None:
    """The table and the sentences, at most 80 characters wide."""
    console.print(
        f"{diagnosis.method} on {diagnosis.family}, {diagnosis.tasks} tasks, round "
        f"{diagnosis.checkpoint_round}"
    )
    table = Table(box=None, pad_edge=False)
    for _, words, _ in COLUMNS:
        table.add_column(words, justify="right")
    for row in diagnosis.rows:
        table.add_row(*(format(getattr(row, name), spec) for name, _, spec in COLUMNS))
    console.print(table)
    told = telltale.in_words(diagnosis.demonstrations)
    for sentence in (*in_words(diagnosis, options), *told):
        console.print(sentence)
