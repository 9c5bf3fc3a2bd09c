"""Meta-train with several seeds and gather the table with all controls.

Resumable: finished seeds are read, interrupted ones go on. The figures of a finished run come from
its scores.json; over seeds, from `gmps.report`. With --harness Meta-World's own evaluation judges
each seed too; its success before and after adaptation stands beside, with a mean over seeds.

example:
  python benchmarks/adaptation.py ant-goal --demos ant-goal-demos.npz --seeds 0 1 2
  python benchmarks/adaptation.py ml1-push-v3@150 --harness --name ml1-push-latent
"""

import shlex
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tyro
from reports import write_report

from gmps.commands.cli import main
from gmps.evaluation.aggregate import combine_scores
from gmps.evaluation.scores import Scores, read_scores
from gmps.metaworld.harness import read_harness
from gmps.runs.config_json import encode_config
from gmps.runs.run import HARNESS, Run
from gmps.training.sweep import judged, started

#: Columns of metrics.jsonl that are kept, where the method has them.
CURVES = ("return/before", "return/after", "loss/imitation")


@dataclass(frozen=True)
class Adaptation:
    """Settings."""

    family: tyro.conf.Positional[str]
    """Task family."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds."""
    demos: str | None = None
    """Demonstrations; their file name is kept in the results, their folder is not."""
    harness: bool = False
    """Let Meta-World's harness judge too."""
    harness_options: str = ""
    """Options of `gmps eval --harness metaworld`."""
    options: str = ""
    """Options of `gmps train`, as in --options="--rounds 50"; {seed} stands for the seed."""
    runs: str = "runs/bench"
    """Folder of the runs."""
    name: str | None = None
    """Name of the study; by default the family's."""
    out: str | None = None
    """File of the results, by default benchmarks/results/NAME.json."""


def study(settings: Adaptation) -> None:
    name = settings.name or settings.family
    folders = {s: Path(settings.runs) / f"{name}-seed{s}" for s in settings.seeds}
    for seed, folder in folders.items():
        options = ["--seed", str(seed), *shlex.split(options_of(settings, seed))]
        if settings.demos:
            options += ["--demos", settings.demos]
        finish(folder, settings.family, options)
        if settings.harness and not (folder / HARNESS).exists():
            words = ["eval", str(folder), "--harness", "metaworld"]
            obey([*words, *shlex.split(settings.harness_options)])
        write(settings, name, {s: f for s, f in folders.items() if judged(f)})


def finish(folder: Path, family: str, options: Sequence[str]) -> None:
    """Train a run to its end and judge it, or go on with it; nothing where that is done."""
    if judged(folder):
        return
    words = ["train", family, "--run", str(folder), *options]
    obey(["resume", str(folder)] if started(folder) else words)


def obey(words: Sequence[str]) -> None:
    if status := main(words):
        raise SystemExit(status)


def options_of(settings: Adaptation, seed: int) -> str:
    return settings.options.replace("{seed}", str(seed))


def write(settings: Adaptation, name: str, folders: dict[int, Path]) -> None:
    """Results of the seeds so far."""
    runs = {str(seed): Run.open(folder) for seed, folder in folders.items()}
    first = next(iter(runs.values()))
    read = {seed: read_scores(run.path) for seed, run in runs.items()}
    scores = {seed: found for seed, found in read.items() if found is not None}
    config = first.config
    config["demos"] = Path(settings.demos).name if settings.demos else None
    rows = {seed: run.metrics() for seed, run in runs.items()}
    result = {
        "study": name,
        "seeds": list(runs),
        "config": config,
        "versions": {seed: encode_config(run.versions) for seed, run in runs.items()},
        "over_seeds": encode_config(combine_scores(scores)),
        "per_seed": {seed: encode_config(without_folder(found)) for seed, found in scores.items()},
        **judged_by_metaworld({seed: run.path for seed, run in runs.items()}),
        "collapses": {s: sum(r.get("block/collapsed", 0) for r in x) for s, x in rows.items()},
        "curves": {s: {k: [r[k] for r in x] for k in CURVES if k in x[0]} for s, x in rows.items()},
    }
    out = Path(settings.out or f"benchmarks/results/{name}.json")
    write_report(result, out)


def without_folder(scores: Scores) -> Scores:
    """The scores without the folder of the expert, which says nothing elsewhere."""
    expert = scores.expert
    if expert is None:
        return scores
    return replace(scores, expert=replace(expert, source=expert.source.partition(" from ")[0]))


def judged_by_metaworld(runs: dict[str, Path]) -> dict[str, Any]:
    """What the harness found for the seeds that it has judged; nothing without any."""
    read = {seed: read_harness(run) for seed, run in runs.items()}
    found = {seed: harness for seed, harness in read.items() if harness is not None}
    if not found:
        return {}
    means = {
        split: {
            "before": statistics.mean(x.splits[split].before.success for x in found.values()),
            "after": statistics.mean(x.splits[split].after.success for x in found.values()),
        }
        for split in next(iter(found.values())).splits
    }
    per_seed = {seed: encode_config(x) for seed, x in found.items()}
    return {"harness": {"success": means, "per_seed": per_seed}}


if __name__ == "__main__":
    study(tyro.cli(Adaptation, description=__doc__))
