"""The score after one update over the number of episodes that it is made from.

Judges copies of finished runs with several numbers of episodes, all controls included; the plain
control is tuned anew for each number. Resumable: what is judged is read.

example:
  python benchmarks/adaptation_episodes.py --name push --runs runs/push-seed0 runs/push-seed1
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import tyro
from reports import words, write_report

from gmps.commands.cli import main
from gmps.evaluation.aggregate import combine_scores
from gmps.evaluation.scores import Scores, read_scores
from gmps.runs.config_json import encode_config
from gmps.runs.run import SCORES, Run
from gmps.training.sweep import judged


@dataclass(frozen=True)
class Episodes:
    """Settings."""

    name: str
    """Name of the study, in the names of its files."""
    runs: tuple[str, ...]
    """Finished runs on one family; those of one method are its seeds."""
    episodes: tuple[int, ...] = (5, 10, 20)
    """Numbers of episodes."""
    repeats: int = 3
    """Adaptations to each task."""
    folder: str = "runs/episodes"
    """Where the copies are judged."""
    out: str = "benchmarks/results"
    """Folder of the results."""


def study(settings: Episodes) -> None:
    methods: dict[str, dict[int, dict[str, Any]]] = {}
    for n in settings.episodes:
        scores: dict[str, dict[str, Scores]] = {}
        for i, source in enumerate(settings.runs):
            copy = Path(settings.folder) / f"{settings.name}-{i}-{n}"
            if not judged(copy):
                judge(Path(source), copy, n, settings.repeats)
            run = Run.open(copy)
            found = read_scores(copy)
            assert found is not None
            scores.setdefault(run.config["method"], {})[str(found.seed)] = found
        for method, seeds in scores.items():
            level = encode_config(combine_scores(seeds).heldout.deterministic)
            rows = {**level["conditions"], "adaptation_score": level["adaptation_score"]}
            methods.setdefault(method, {})[n] = {"seeds": list(seeds), **rows}
    versions = {source: encode_config(Run.open(source).versions) for source in settings.runs}
    result = {"study": settings.name, "about": __doc__, "methods": methods}
    result["versions"] = list(versions.values())
    out = Path(settings.out) / f"episodes-{settings.name}.json"
    write_report(result, out)
    draw(settings.name, methods, out.with_suffix(".png"))
    print(table(methods))


def judge(source: Path, copy: Path, episodes: int, repeats: int) -> None:
    if not copy.exists():
        shutil.copytree(source, copy)
        (copy / SCORES).unlink(missing_ok=True)
    options = ["--episodes", str(episodes), "--repeats", str(repeats), "--steps", "1"]
    if main(["eval", str(copy), *options]):
        raise SystemExit(f"{source} could not be judged.")


def draw(name: str, methods: dict[str, dict[int, dict[str, Any]]], path: Path) -> None:
    figure, axis = plt.subplots(figsize=(5.5, 3.8), layout="constrained")
    for colour, (method, by_number) in zip("bgrcmy", methods.items(), strict=False):
        for condition, style in (("after_1", "-"), ("plain", ":")):
            found = [rows[condition]["normalised"] for rows in by_number.values()]
            label = method if condition == "after_1" else f"plain step, labels of {method}"
            axis.plot(list(by_number), [x["mean"] for x in found], colour + style, label=label)
            low, high = ([x[end] for x in found] for end in ("ci_low", "ci_high"))
            axis.fill_between(list(by_number), low, high, color=colour, alpha=0.15, lw=0)
    axis.set(xlabel="own episodes", ylabel="normalised return after one update", title=name)
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def table(methods: dict[str, dict[int, dict[str, Any]]]) -> str:
    lines = [
        "| method | episodes | before | after 1 step | wrong task | plain | adaptation score |",
        "|---|---|---|---|---|---|---|",
    ]
    for method, by_number in methods.items():
        for n, rows in by_number.items():
            names = ("before", "after_1", "wrong_task", "plain")
            cells = [words(rows[name]["normalised"]) for name in names]
            cells.append(words(rows["adaptation_score"]["after_1"]))
            lines.append(f"| {method} ({len(rows['seeds'])}) | {n} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    study(tyro.cli(Episodes, description=__doc__))
