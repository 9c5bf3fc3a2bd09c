"""Every method on every family: cells of seeds, the most valuable first, resumable, also on Ray.

A cell is a method on a family; two of the methods there are twice, also started from the experts'
data. All methods of a family train in the same tasks, with an expert that labels, for those that
ask it, and have the same evaluation. A cell's file has rows of tasks, the resolved settings, the
versions, minutes and curve of each seed, and is written whenever a seed is finished:
`study-FAMILY-METHOD.json`, which benchmarks/tables.py prints.

`--tune` first sweeps each method's settings (those of appendix D) at a fifth of the rounds by
`gmps sweep`, which chooses on validation tasks; cells then train with what was chosen. `--on ray`
makes each seed a task of a Ray cluster. `--collect` only reads what is there.

example:
  python benchmarks/study.py --dry-run
  python benchmarks/study.py --families point-goal --methods gmps-latent maml --seeds 0 1 2
  python benchmarks/study.py --families ant-goal --expert runs/ant-expert --tune
  python benchmarks/study.py --on ray --address auto
"""

import json
import resource
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import tyro
from adaptation import finish, obey, without_folder
from reports import write_report

from gmps.cluster import Executor
from gmps.core.types import evenly
from gmps.evaluation.aggregate import combine_scores
from gmps.evaluation.scores import Scores, read_scores
from gmps.methods.registry import option_prefix
from gmps.report.curves import COUNTED
from gmps.runs.config_json import encode_config
from gmps.runs.run import Run
from gmps.training.sweep import RESULTS, Cell, judged, read_standings

#: Options of all cells: everybody is judged alike.
EVALUATION = "--evaluation.repeats 5 --evaluation.steps 3"
#: What all methods of a family have in common: the same training tasks.
FAMILIES: dict[str, str] = {
    "point-goal": "--random-tasks 64",
    "sawyer-push": "--random-tasks 40",
    "sawyer-push-sparse": "--random-tasks 40",
    "ant-goal": "--random-tasks 20 --evaluation.repeats 3",
    "ant-goal-sparse": "--random-tasks 20 --evaluation.repeats 3",
    "sawyer-door": "--random-tasks 40 --evaluation.repeats 3",
    "ant-gear": "--random-tasks 20 --evaluation.repeats 3",
    "push-dynamics": "--random-tasks 40",
}
#: Families whose expert is a contextual SAC of this family.
TRAINED = {x: "ant-goal" for x in ("ant-goal", "ant-goal-sparse")} | {"ant-gear": "ant-gear"}
#: Rounds of each method: what a core does in about 20 minutes, or the published steps.
ROUNDS = {
    "gmps-latent": 50,
    "gmps": 80,
    "multitask-bc": 20,
    "maml": 150,
    "maesn": 150,
    "pearl": 200,
    "multitask": 150,
    "maesn-experts": 150,
    "pearl-experts": 200,
}
#: Methods that may start from the experts' data too, and by which options they do.
STARTED = {
    "maesn-experts": ("maesn", "--maesn.pretrain-steps 6000"),
    "pearl-experts": ("pearl", "--pearl.pretrain-steps 6000"),
}
#: What is tried for each method, within the ranges of appendix D.
GRIDS: dict[str, tuple[str, ...]] = {
    "gmps": ("gmps.step-size=0.05,0.1,0.5", "gmps.outer-steps=10,50"),
    "gmps-latent": ("gmps-latent.latent=2,4", "gmps-latent.std=0.1,0.2"),
    "maml": ("maml.step-size=0.1,0.5", "maml.subset=all,bias"),
    "maesn": ("maesn.latent=2,4", "maesn.step-size=1,4,8"),
    "pearl": ("pearl.kl-weight=0.001,0.01,0.1",),
    "multitask": ("multitask.trust-region.max-kl=0.01,0.02",),
    "multitask-bc": ("multitask-bc.learning-rate=0.0003,0.001",),
}
#: A sweep trains this share of the rounds.
SHARE_OF_ROUNDS = 0.2
#: Seeds: more of our own methods where others have published.
SEEDS, MORE = (0, 1, 2), (0, 1, 2, 3, 4)
OURS, PUBLISHED = ("gmps-latent", "gmps"), ("sawyer-push", "ant-goal", "sawyer-door")
#: Rounds that a curve is averaged over where it is asked whether it has reached a level.
SMOOTH = 5
#: The level, as a share of the way from an untrained policy to the expert.
SHARE = 0.8
#: Points of a curve that are kept.
POINTS = 150


@dataclass(frozen=True)
class Study:
    """Settings."""

    families: tuple[str, ...] = tuple(FAMILIES)
    """Task families."""
    methods: tuple[str, ...] = tuple(ROUNDS)
    """Methods."""
    seeds: tuple[int, ...] | None = None
    """Seeds; by default 3, and 5 of our own methods on three families."""
    expert: str | None = None
    """Folder of a trained contextual expert, for families without a scripted one; {seed} stands for
    the seed, for an expert a seed."""
    share: float = 1.0
    """Share of the rounds that are trained, for a look."""
    options: str = ""
    """Other options of `gmps train` for all cells."""
    tune: bool = False
    """Sweep each method's settings first."""
    runs: str = "runs/study"
    """Folder of the runs: FAMILY/METHOD-seedS in it, and sweeps."""
    on: Executor = "here"
    """Where seeds are trained."""
    address: str | None = None
    """Address of the Ray cluster."""
    collect: bool = False
    """Train nothing; gather what is finished."""
    dry_run: bool = False
    """Print the commands."""
    out: str = "benchmarks/results"
    """Folder of the results."""


class Place(NamedTuple):
    """A cell of the study with one seed."""

    family: str
    method: str
    seed: int
    folder: Path


def study(settings: Study) -> None:
    places = order(settings)
    if settings.dry_run:
        for place in places:
            print(shlex.join(["gmps", "train", *words(settings, place)]))
        return
    if settings.collect:
        for family, method in dict.fromkeys((p.family, p.method) for p in places):
            write(settings, family, method)
    elif settings.on == "ray":
        spread(settings, places)
    else:
        for place in places:
            if settings.tune:
                tune(settings, place)
            family, *options = words(settings, place)
            finish(place.folder, family, options)
            write(settings, place.family, place.method)
    for family in settings.families:
        draw(settings, family)


def order(settings: Study) -> list[Place]:
    """All seeds of all cells, the most valuable first: one seed of every method, family by family,
    then the second, and so on. An interrupted study has compared everybody."""
    places = [
        Place(family, method, seed, Path(settings.runs) / family / f"{method}-seed{seed}")
        for family in settings.families
        for method in settings.methods
        for seed in seeds_of(settings, family, method)
    ]
    return sorted(places, key=lambda place: place.seed)


def seeds_of(settings: Study, family: str, method: str) -> Sequence[int]:
    if settings.seeds is not None:
        return settings.seeds
    return MORE if method in OURS and family in PUBLISHED else SEEDS


def words(settings: Study, place: Place) -> list[str]:
    """What a user types after `gmps train` for one seed."""
    family, method = place.family, place.method
    rounds = max(2, round(settings.share * ROUNDS[method]))
    name, start = STARTED.get(method, (method, ""))
    text = f"{EVALUATION} {FAMILIES[family]} --rounds {rounds} {start} {settings.options}"
    return [
        *(family, "--method", name, "--seed", str(place.seed)),
        *shlex.split(text),
        *expert(settings, place),
        *chosen(settings, family, method),
    ]


def expert(settings: Study, place: Place) -> list[str]:
    """Who labels. Families without a scripted expert need one that was trained, for all methods the
    same."""
    if place.family not in TRAINED:
        return []
    if settings.expert is None:
        raise SystemExit(
            f"{place.family} has no scripted expert: train one with `gmps expert train "
            f"{TRAINED[place.family]}`, and give --expert."
        )
    return ["--expert", settings.expert.replace("{seed}", str(place.seed))]


def tune(settings: Study, place: Place) -> None:
    """Sweep a method's settings on a family, judged on validation tasks; once."""
    folder = sweep_folder(settings, place.family, place.method)
    if (folder / RESULTS).exists():
        return
    rounds = max(2, round(SHARE_OF_ROUNDS * settings.share * ROUNDS[place.method]))
    name, start = STARTED.get(place.method, (place.method, ""))
    options = f"{FAMILIES[place.family]} --rounds {rounds} {start} {settings.options} "
    options += shlex.join(expert(settings, place))
    obey(
        [
            *("sweep", place.family, "--method", name, "--seeds", "0"),
            *("--grid", *GRIDS[name], "--runs", str(folder), f"--options={options}"),
        ]
    )


def sweep_folder(settings: Study, family: str, method: str) -> Path:
    return Path(settings.runs) / family / f"{option_prefix(method)}-sweep"


def chosen(settings: Study, family: str, method: str) -> list[str]:
    """The best settings of a finished sweep as options; nothing without one."""
    found = read_standings(sweep_folder(settings, family, method))
    if found is None:
        return []
    best = found.settings[0].settings
    return [word for name, value in best.items() for word in (f"--{name}", value)]


def spread(settings: Study, places: Sequence[Place]) -> None:
    """Train all seeds on a cluster, and write each cell's file as its seeds arrive."""
    from gmps.commands.sweep_ray import train_cells  # noqa: PLC0415 - only here Ray is wanted

    for place in places:
        place.folder.parent.mkdir(parents=True, exist_ok=True)
        if settings.tune:
            tune(settings, place)
    cells = [Cell(p.folder, {}, p.seed) for p in places]
    commands = [
        ["train", *words(settings, p), "--run", str(p.folder.resolve()), "--threads", "1"]
        for p in places
    ]
    written: dict[Path, bool] = {}

    def watch(state: Any) -> None:
        del state
        for place in places:
            if judged(place.folder) and not written.get(place.folder):
                written[place.folder] = True
                write(settings, place.family, place.method)

    for name, problem in train_cells(cells, commands, settings.address, watch).items():
        print(f"{name}: {problem}")


def write(settings: Study, family: str, method: str) -> None:
    """The file of a cell, from the seeds that are finished; none without any."""
    folder = Path(settings.runs) / family
    runs = {
        str(seed): folder / f"{method}-seed{seed}" for seed in seeds_of(settings, family, method)
    }
    done = {seed: Run.open(path) for seed, path in runs.items() if judged(path)}
    if not done:
        return
    read = {seed: read_scores(run.path) for seed, run in done.items()}
    scores = {seed: found for seed, found in read.items() if found is not None}
    place = Place(family, method, 0, folder)
    result = {
        "study": f"{method} on {family}",
        "about": __doc__,
        "command": shlex.join(["gmps", "train", *words(settings, place)]),
        "seeds": list(done),
        "configs": {seed: run.config for seed, run in done.items()},
        "versions": {seed: encode_config(run.versions) for seed, run in done.items()},
        "tuned": chosen(settings, family, method),
        "expert_labels": {seed: found.expert_labels for seed, found in scores.items()},
        "expert_queries": {seed: found.expert_queries for seed, found in scores.items()},
        "minutes": {seed: minutes(run) for seed, run in done.items()},
        **memory(settings),
        **levels(scores, done),
        "over_seeds": encode_config(combine_scores(scores)),
        "per_seed": {seed: encode_config(without_folder(found)) for seed, found in scores.items()},
    }
    write_report(result, Path(settings.out) / f"study-{family}-{method}.json")


def memory(settings: Study) -> dict[str, int]:
    """The peak of this process so far, where it is the one that trained."""
    if settings.collect or settings.on == "ray":
        return {}
    return {"peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)}


def minutes(run: Run) -> float:
    """Of training, its experts and its evaluation apart."""
    rows = run.timing()
    return round(sum(r["seconds/gather"] + r["seconds/update"] for r in rows) / 60, 2)


def levels(scores: dict[str, Scores], runs: dict[str, Run]) -> dict[str, Any]:
    """Curves over steps, and the steps at which they reach a share of the expert."""
    rows = [row.levels for found in scores.values() for row in found.rows("train")]
    untrained = float(np.mean([level.untrained for level in rows]))
    best = float(np.mean([level.expert for level in rows]))
    curves = {seed: curve(run) for seed, run in runs.items()}
    target = untrained + SHARE * (best - untrained)
    return {
        "train_levels": {"untrained": untrained, "expert": best},
        f"steps_to_{SHARE:.0%}_of_the_expert": {
            seed: first_above(c["steps"], c["return/after"], target) for seed, c in curves.items()
        },
        "curves": {seed: thinned(c) for seed, c in curves.items()},
    }


def curve(run: Run) -> dict[str, list[float]]:
    """Returns in the training tasks, with action noise, over all steps and over own steps."""
    rows = run.metrics()
    return {
        "steps": [sum(r[f"steps/{column}"] for column in COUNTED) for r in rows],
        "own_steps": [r["steps/meta"] for r in rows],
        **{name: [r[name] for r in rows] for name in ("return/before", "return/after")},
    }


def thinned(found: dict[str, list[float]]) -> dict[str, list[float]]:
    n = len(found["steps"])
    return {name: [values[i] for i in evenly(n, POINTS)] for name, values in found.items()}


def first_above(steps: list[float], values: list[float], target: float) -> float | None:
    """Steps at which the mean of the last rounds is first at the target; None where it never is.
    The first that it can tell is that of the fifth round."""
    for i in range(SMOOTH - 1, len(values)):
        if np.mean(values[i - SMOOTH + 1 : i + 1]) >= target:
            return steps[i]
    return None


def draw(settings: Study, family: str) -> None:
    """Learning curves of a family's cells, over all steps and over own steps."""
    files = {m: Path(settings.out) / f"study-{family}-{m}.json" for m in ROUNDS}
    found = {m: json.loads(path.read_text()) for m, path in files.items() if path.exists()}
    if not found:
        return
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True, layout="constrained")
    colours = plt.colormaps["tab10"].colors  # pyright: ignore[reportAttributeAccessIssue]
    shown = {"steps": "all steps: own, expert's, demonstrations", "own_steps": "own steps"}
    for axis, (counted, title) in zip(axes, shown.items(), strict=True):
        for colour, (method, cell) in zip(colours, found.items(), strict=False):
            for i, one in enumerate(cell["curves"].values()):
                label = method if i == 0 else None
                axis.plot(one[counted], one["return/after"], color=colour, label=label, lw=1.2)
        level = next(iter(found.values()))["train_levels"]["expert"]
        axis.axhline(level, color="grey", ls="--", lw=1, label="expert")
        axis.set(xscale="log", xlabel=title)
        axis.grid(alpha=0.3)
    axes[0].set(ylabel="return in training tasks, action noise", title=f"{family}: after one step")
    axes[1].legend(frameon=False, fontsize=8)
    figure.savefig(Path(settings.out) / f"study-{family}.png", dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    study(tyro.cli(Study, description=__doc__))
