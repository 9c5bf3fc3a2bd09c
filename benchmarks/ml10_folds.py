"""Choose settings for kinds never seen without looking at them, then look once.

`choose` leaves training kinds out: each of five folds (families ml10-fold1 to ml10-fold5) trains on
eight of ML10's ten training kinds and judges on the other two. A candidate is a name and options
of `gmps train`; its figures over the folds go to FOLDER/NAME.json. `look` takes the candidate whose
adapted policies succeed most, trains it on all ten kinds and lets Meta-World's harness judge on the
five that are held out. Before it does so it writes into FOLDER/looks.json that they were looked at,
when, by which commit and with which settings; it refuses a second look without --again REASON.

example:
  python benchmarks/ml10_folds.py choose --name outer
  python benchmarks/ml10_folds.py choose --name imitated --options="--rounds 0"
  python benchmarks/ml10_folds.py look --seeds 0 1 2 3 4
"""

import json
import shlex
import statistics
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import tyro
from adaptation import Adaptation, finish, study
from reports import write_report

from gmps.evaluation.scores import read_scores
from gmps.metaworld.goals import FOLDS, kinds_of

FOLDER = "benchmarks/results/ml10-folds"
#: What a candidate is chosen by.
CHOSEN_BY = ("after_1", "success")


@dataclass(frozen=True)
class Choose:
    """Judge a candidate on training kinds that are left out."""

    name: str
    """Name of the candidate."""
    options: str = ""
    """Options of `gmps train`."""
    benchmark: str = "ml10"
    """ml10, ml25 or ml45."""
    seed: int = 0
    """Seed of every fold."""
    folds: tuple[int, ...] = tuple(range(1, FOLDS + 1))
    """Which folds."""
    runs: str = "runs/folds"
    """Folder of the runs."""
    folder: str = FOLDER
    """Folder of the results."""


@dataclass(frozen=True)
class Look:
    """Judge the best candidate on the held-out kinds, once."""

    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Seeds."""
    benchmark: str = "ml10"
    """ml10, ml25 or ml45."""
    again: str | None = None
    """Why they are looked at once more."""
    runs: str = "runs/folds"
    """Folder of the runs."""
    folder: str = FOLDER
    """Folder of the results."""


def choose(command: Choose) -> None:
    folds = {}
    for fold in command.folds:
        family = f"{command.benchmark}-fold{fold}"
        run = Path(command.runs) / f"{command.name}-{family}-seed{command.seed}"
        finish(run, family, ["--seed", str(command.seed), *shlex.split(command.options)])
        scores = read_scores(run)
        assert scores is not None
        conditions = scores.heldout.deterministic.conditions
        folds[family] = {
            "left_out": kinds_of(family)["heldout"],
            "figures": {
                name: {measure: figure.mean for measure, figure in measures.items()}
                for name, measures in conditions.items()
            },
        }
    report = {
        "study": f"{command.benchmark}-folds",
        "candidate": asdict(command),
        "mean": mean_of([fold["figures"] for fold in folds.values()]),
        "folds": folds,
    }
    write_report(report, Path(command.folder) / f"{command.name}.json")


def mean_of(figures: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Plain means over folds of what all of them have."""
    first, *others = figures
    return {
        name: {
            measure: statistics.mean(f[name][measure] for f in figures)
            for measure in measures
            if all(measure in f.get(name, {}) for f in others)
        }
        for name, measures in first.items()
    }


def look(command: Look) -> None:
    folder = Path(command.folder)
    candidate = best_of(folder, command.benchmark)
    file = folder / "looks.json"
    looks = json.loads(file.read_text()) if file.exists() else []
    before = [x for x in looks if x["benchmark"] == command.benchmark and x["candidate"]]
    if before and not command.again:
        raise SystemExit(
            f"The held-out kinds of {command.benchmark} were looked at on {before[-1]['when']} "
            f"with {before[-1]['candidate']}; say why once more with --again REASON."
        )
    looks.append(
        {
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "benchmark": command.benchmark,
            "candidate": candidate["name"],
            "options": candidate["options"],
            "seeds": command.seeds,
            "commit": commit(),
            "why": command.again or "first look",
        }
    )
    # Written before anything is seen.
    write_report(looks, file)
    study(
        Adaptation(
            family=command.benchmark,
            seeds=command.seeds,
            harness=True,
            options=candidate["options"],
            runs=command.runs,
            name=f"{command.benchmark}-{candidate['name']}",
        )
    )


def best_of(folder: Path, benchmark: str) -> dict[str, Any]:
    """The candidate that succeeds most on kinds left out.

    Raises:
        SystemExit: there is none.
    """
    reports = [json.loads(f.read_text()) for f in sorted(folder.glob("*.json"))]
    reports = [r for r in reports if isinstance(r, dict) and r["study"] == f"{benchmark}-folds"]
    if not reports:
        raise SystemExit(f"{folder} has no candidate for {benchmark}; choose first.")
    name, measure = CHOSEN_BY
    return max(reports, key=lambda r: r["mean"][name][measure])["candidate"]


def commit() -> str:
    """The commit that looks."""
    words = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    command = tyro.cli(
        Annotated[Choose, tyro.conf.subcommand("choose")]
        | Annotated[Look, tyro.conf.subcommand("look")],
        description=__doc__,
    )
    choose(command) if isinstance(command, Choose) else look(command)
