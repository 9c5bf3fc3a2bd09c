"""What `gmps export` does."""

from pathlib import Path

from gmps.aside import refuse_taken
from gmps.commands.cli import console
from gmps.commands.export import Export
from gmps.deploy.folder import save
from gmps.errors import GmpsError
from gmps.evaluation.scores import Scores, read_scores
from gmps.runs.forms import require_forms, write_forms
from gmps.runs.policy_file import load_policy
from gmps.runs.run import Run
from gmps.training.config import TrainConfig
from gmps.training.experiment import load_experiment
from gmps.training.export import export
from gmps.training.train import restore


def export_policy(folder: str, command: Export) -> None:
    """Write a run's policy, or one in a file."""
    require_forms(command.forms)
    if Path(folder).is_file():
        _file(Path(folder), command)
        return
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
