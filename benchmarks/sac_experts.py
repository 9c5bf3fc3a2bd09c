"""SAC experts from nothing: how good they are, after how long, over seeds.

Trains `gmps expert train FAMILY` with each seed (resumable), then measures the best actors on the
family's lists, on the authors' 40 angles for the ant, and on 200 random tasks. `--side-by-side`
measures instead how long per-task learners take together and alone.

Example:
    python benchmarks/sac_experts.py ant-goal --out benchmarks/results/ant-goal-experts.json
    python benchmarks/sac_experts.py sawyer-push --side-by-side 5
"""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from matplotlib.figure import Figure
from reports import write_report

from gmps.commands.expert_training import train_in
from gmps.core.types import Task
from gmps.cores import usable_cores
from gmps.experts.score import score_expert, summary
from gmps.presets import expert_preset
from gmps.runs.run import Run
from gmps.runs.versions import collect_versions
from gmps.tasks import make_family
from gmps.tasks.ant_goal import goal_at
from gmps.training.expert_sources import find_expert
from gmps.training.sac_training import ExpertTraining
from gmps.worlds.factory import make_world

#: Rounds that a timing skips, because they compile, and rounds that it measures.
WARM, TIMED = 2, 10


@dataclass(frozen=True)
class Experts:
    """Settings."""

    family: tyro.conf.Positional[str]
    """Task family."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds."""
    runs: str = "runs/experts"
    """Folder of the runs, each FAMILY-SEED in it."""
    episodes: int = 4
    """Episodes of each task in the measurement."""
    side_by_side: int | None = None
    """Instead: time this many per-task learners together, and one alone."""
    out: Path | None = None
    """File of the results."""
    picture: Path | None = None
    """Instead: draw the curves of the files of results in `out`'s folder."""


#: Mean return of the authors' experts.
AUTHORS = {"ant-goal": 539, "sawyer-push": 670}


def draw(settings: Experts) -> None:
    assert settings.out and settings.picture
    figure = Figure(figsize=(8, 3), layout="constrained")
    for axes, family in zip(figure.subplots(1, 2), AUTHORS, strict=True):
        file = settings.out.parent / f"{family}-experts.json"
        for seed, result in json.loads(file.read_text())["results"].items():
            x = [row["minutes"] for row in result["curve"]]
            axes.plot(
                x, [row["evaluation/return"] for row in result["curve"]], label=f"seed {seed}"
            )
        axes.axhline(AUTHORS[family], color="grey", linestyle="--", label="the authors' experts")
        axes.set_xlabel("minutes on one core")
        axes.set_title(family, fontsize="medium")
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel("mean return without action noise")
    figure.axes[0].legend(frameon=False, fontsize="small")
    figure.savefig(settings.picture, dpi=130)


def main(settings: Experts) -> None:
    if settings.picture:
        draw(settings)
        return
    if settings.side_by_side:
        results = side_by_side(settings)
    else:
        results = {str(seed): one_seed(settings, seed) for seed in settings.seeds}
    report = {
        "benchmark": "sac_experts",
        "about": __doc__,
        "family": settings.family,
        "cores": usable_cores(),
        "results": results,
        "versions": collect_versions(),
    }
    write_report(report, settings.out)


def task_sets(name: str) -> dict[str, Task]:
    family = make_family(name)
    sets = {"train": family.tasks("train"), "heldout": family.tasks("heldout")}
    if name == "ant-goal":
        sets["the authors' 40 angles"] = goal_at(jnp.linspace(0, np.pi / 2, 40))
    sets["200 random"] = family.tasks("train", 200, jax.random.key(7))
    return sets


def one_seed(settings: Experts, seed: int) -> dict[str, Any]:
    folder = Path(settings.runs) / f"{settings.family}-{seed}"
    train_in(folder, replace(expert_preset(settings.family), seed=seed))
    run = Run.open(folder)
    family = make_family(settings.family)
    world, expert = make_world(family), find_expert((str(folder),), family)
    measured = {}
    for name, tasks in task_sets(settings.family).items():
        score = score_expert(world, expert, tasks, settings.episodes, jax.random.key(1))
        figures = summary(score)
        measured[name] = {k: figures[k] for k in ("mean", "worst")}
        if "final_error" in score.outcome:
            within = float((score.outcome["final_error"] <= 0.03).mean())
            measured[name]["share within 3 cm"] = within
        print(seed, name, measured[name], flush=True)
    rows, timing = run.metrics(), run.timing()
    seconds = np.cumsum([t["seconds/collect"] + t["seconds/learn"] for t in timing])
    curve = [
        {"minutes": float(seconds[i]) / 60, **{
            k: row[k] for k in ("steps/expert", "evaluation/return", "evaluation/worst")
        }}
        for i, row in enumerate(rows)
        if "evaluation/return" in row
    ]  # fmt: skip
    return {
        "minutes": float(seconds[-1]) / 60,
        "cores_while_training": run.versions.cores,
        "commit": run.versions.commit,
        "config": run.config,
        "env_steps": expert.env_steps,
        "measured": measured,
        "curve": curve,
    }


def side_by_side(settings: Experts) -> dict[str, Any]:
    """Seconds per round and task."""
    assert settings.side_by_side
    family = make_family(settings.family)
    world, results = make_world(family), {}
    for n in (settings.side_by_side, 1):
        config = replace(
            expert_preset(settings.family), kind="per-task", tasks=n, episodes=40, capacity=1000
        )
        training = ExpertTraining(config, world)
        state = training.init()
        for i in range(WARM + TIMED):
            if i == WARM:
                start = time.perf_counter()
            state, _, _ = training.round(state)
        seconds = (time.perf_counter() - start) / TIMED
        results[f"{n} learners"] = {
            "seconds of a round": seconds,
            "seconds of a round and task": seconds / n,
            "gradient steps per round and task": config.gradient_steps,
        }
        print(n, results[f"{n} learners"], flush=True)
    return results


if __name__ == "__main__":
    main(tyro.cli(Experts, description=__doc__))
