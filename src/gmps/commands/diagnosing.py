"""What `gmps diagnose` does."""

from collections.abc import Sequence
from typing import Any

import jax
from rich.table import Table

from gmps.commands.cli import console
from gmps.commands.diagnose import Diagnose
from gmps.core.types import task_count
from gmps.evaluation import telltale
from gmps.evaluation.diagnose import DIAGNOSIS, Diagnosis, Told, diagnose, in_words, write_diagnosis
from gmps.runs.run import Run
from gmps.settings import Settings
from gmps.training.config import TrainConfig
from gmps.training.experiment import Experiment, load_experiment
from gmps.training.train import restore

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


def diagnose_run(folder: str, command: Diagnose) -> None:
    """Measure, print the table and what it means."""
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
