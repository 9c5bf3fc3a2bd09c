"""`gmps export RUN`, and of a file that `gmps adapt` wrote."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gmps.aside import refuse_taken
from gmps.commands.cli import console, leading, parse
from gmps.deploy.folder import save
from gmps.errors import GmpsError
from gmps.evaluation.scores import Scores, read_scores
from gmps.runs.forms import Form, require_forms, write_forms
from gmps.runs.policy_file import load_policy
from gmps.runs.run import Run
from gmps.settings import Settings
from gmps.training.config import TrainConfig
from gmps.training.experiment import load_experiment
from gmps.training.export import export
from gmps.training.train import restore


@dataclass(frozen=True)
class Export(Settings):
    """Write a trained policy for a robot's computer: explore, adapt and act with numpy alone.

    The folder holds weights, how to explore and to adapt, and a model card. `gmps.deploy` reads it;
    see docs/deploy.md. With --forms it holds the policy before adaptation in these forms too; RUN
    may then be a file that `gmps adapt` wrote.

    example:
      gmps export runs/push --out policy --forms onnx stablehlo
      gmps export adapted.safetensors --forms onnx
    """

    out: str | None = None
    """Folder to write, by default RUN/policy; of a file, the path without an ending, by default
    its own. It must not exist yet."""
    forms: tuple[Form, ...] = ()
    """Other forms of the policy: onnx (needs gmps[onnx]), stablehlo."""
    checkpoint: Literal["best", "latest"] = "best"
    """Which checkpoint to export."""
    family: str | None = None
    """Another definition of the run's family, as FILE.py:NAME, in place of the run's own."""


def run(argv: Sequence[str]) -> int:
    """Export."""
    folder, options = leading(argv, "export", "RUN", "RUN is a folder that `gmps train` wrote.")
    command = parse(Export, options, "export RUN")
    require_forms(command.forms)
    if Path(folder).is_file():
        _file(Path(folder), command)
        return 0
    run = Run.open(folder)
    out = Path(command.out) if command.out else run.path / "policy"
    refuse_taken(out)
    config = run.load_config(TrainConfig)
    experiment = load_experiment(run, config, family=command.family)
    state, metadata = restore(run, config, experiment, command.checkpoint)
    rows, data = _rows(run), experiment.data
    level = None if data.known_levels is None else float(data.known_levels.returns.mean())
    facts = {
        "family": config.family,
        "method": config.method,
        "seed": config.seed,
        "round": metadata["round"],
        "episodes": config.evaluation.episodes,
        "scores": rows,
        "return": level if rows is None else rows["before"]["return"],
        "versions": run.versions.packages,
    }
    method = experiment.method
    found = export(method, state, data.tasks, data.demos, facts)

    def base(staging: Path) -> None:
        policy = method.policy(state).export()
        for _ in write_forms(staging / "base", policy, found.meta["spaces"], command.forms):
            pass

    save(out, *found, base)
    console.print(f"written: {out}")
    return 0


def _file(path: Path, command: Export) -> None:
    """Write an adapted policy in other forms."""
    if not command.forms:
        raise GmpsError(f"{path} is one policy; say in which form to write it: --forms onnx.")
    if command.family is not None:
        raise GmpsError("--family is of a run; a policy's file says what its actions mean.")
    policy, facts = load_policy(path)
    if "spaces" not in facts:
        raise GmpsError(
            f"{path} was written by an earlier version, and does not say what its actions mean; "
            "adapt again."
        )
    stem = Path(command.out) if command.out else path.with_suffix("")
    for form in command.forms:
        refuse_taken(stem.with_name(f"{stem.name}.{form}"))
    stem.parent.mkdir(parents=True, exist_ok=True)
    for written in write_forms(stem, policy, facts["spaces"], command.forms):
        console.print(f"written: {written}")


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
        name: {measure: figure.mean for measure, figure in measures.items()}
        for name, measures in conditions.items()
    }
