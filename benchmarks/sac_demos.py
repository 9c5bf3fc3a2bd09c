"""SAC with and without demonstrations: steps until it returns as much as the demonstrators did.

Both train `gmps expert train FAMILY` with the same seeds and settings, one of them with `--demos`.
Resumable: finished runs are read.

example:
  python benchmarks/sac_demos.py sawyer-push --demos demos.npz --rounds 80
"""

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from adaptation import obey
from reports import write_report

from gmps.data.demos import load_demos
from gmps.runs.run import Run
from gmps.runs.versions import collect_versions
from gmps.tasks import make_family


@dataclass(frozen=True)
class Comparison:
    """Settings."""

    family: tyro.conf.Positional[str]
    """Task family."""
    demos: str
    """Demonstrations."""
    rounds: int = 80
    """Rounds of each training."""
    evaluate_every: int = 5
    """Rounds from one measurement to the next."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds."""
    kinds: tuple[str, ...] = ("demos", "none")
    """With demonstrations, without, or both."""
    runs: str = "runs/sac-demos"
    """Folder of the runs."""
    out: str | None = None
    """File of the results, by default benchmarks/results/FAMILY-sac-demos.json."""


def study(settings: Comparison) -> None:
    demos = load_demos(Path(settings.demos), make_family(settings.family))
    assert demos.reward is not None, "the demonstrations hold no rewards to compare with"
    level = float(demos.reward.sum(-1).mean())
    found: dict[str, dict[str, Any]] = {}
    for seed in settings.seeds:
        for kind in settings.kinds:
            folder = Path(settings.runs) / f"{kind}-{seed}"
            words = ["expert", "train", settings.family, "--run", str(folder)]
            words += ["--seed", str(seed), "--rounds", str(settings.rounds)]
            words += ["--evaluate-every", str(settings.evaluate_every)]
            words += ["--demos", settings.demos] if kind == "demos" else []
            obey(words)
            found.setdefault(kind, {})[str(seed)] = curve(folder, level)
            report = {
                "study": "sac-demos",
                "about": __doc__,
                "family": settings.family,
                "demos": Path(settings.demos).name,
                "demonstrators_return": level,
                "rounds": settings.rounds,
                "results": found,
                "versions": collect_versions(),
            }
            name = f"benchmarks/results/{settings.family}-sac-demos.json"
            write_report(report, Path(settings.out or name))


def curve(folder: Path, level: float) -> dict[str, Any]:
    """Returns over environment steps, and the first steps with a share of the demonstrators'."""
    rows = [row for row in Run.open(folder).metrics() if "evaluation/return" in row]
    points = [(int(row["steps/expert"]), row["evaluation/return"]) for row in rows]
    first = {
        f"{share:.0%}": next((s for s, x in points if x >= share * level), None)
        for share in (0.5, 0.8, 0.9, 0.95)
    }
    last = statistics.mean(x for _, x in points[-4:])
    return {"steps_to_share": first, "mean_of_last_four": last, "curve": points}


if __name__ == "__main__":
    study(tyro.cli(Comparison, description=__doc__))
