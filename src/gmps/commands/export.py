"""`gmps export RUN`."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from gmps.aside import refuse_taken
from gmps.commands.cli import console, leading, parse
from gmps.deploy.folder import save
from gmps.errors import GmpsError
from gmps.evaluation.scores import Scores, read_scores
from gmps.runs.run import Run
from gmps.training.config import TrainConfig
from gmps.training.experiment import load_experiment
from gmps.training.export import export
from gmps.training.train import restore


@dataclass(frozen=True)
class Export:
    """Write a trained policy for a robot's computer: explore, adapt and act with numpy alone.

    The folder holds weights, how to explore and to adapt, and a model card. `gmps.deploy` reads it;
    see docs/deploy.md.

    example:
      gmps export runs/push --out policy
    """

    out: str | None = None
    """Folder to write, by default RUN/policy. It must not exist yet."""
    checkpoint: Literal["best", "latest"] = "best"
    """Which checkpoint to export."""
    family: str | None = None
    """Another definition of the run's family, as FILE.py:NAME, in place of the run's own."""


def run(argv: Sequence[str]) -> int:
    """Export."""
    folder, options = leading(argv, "export", "RUN", "RUN is a folder that `gmps train` wrote.")
    command = parse(Export, options, "export RUN")
    run = Run.open(folder)
    out = Path(command.out) if command.out else run.path / "policy"
    refuse_taken(out)
    config = run.load_config(TrainConfig)
    experiment = load_experiment(run, config, family=command.family)
    state, metadata = restore(run, config, experiment, command.checkpoint)
    facts = {
        "family": config.family,
        "method": config.method,
        "seed": config.seed,
        "round": metadata["round"],
        "episodes": config.evaluation.episodes,
        "scores": _rows(run),
        "versions": run.versions["packages"],
    }
    data = experiment.data
    save(out, *export(experiment.method, state, data.tasks, data.demos, facts))
    console.print(f"written: {out}")
    return 0


def _rows(run: Run) -> dict[str, dict[str, float]] | None:
    """The held-out table without action noise, for the card; None before an evaluation."""
    try:
        scores: Scores | None = read_scores(run.path)
    except GmpsError as error:
        console.print(f"The card has no scores: {error}")
        return None
    if scores is None:
        return None
    conditions = scores.heldout.deterministic.conditions
    return {
        name: {measure: asdict(figure)["iqm"] for measure, figure in measures.items()}
        for name, measures in conditions.items()
    }
