"""Every method on one family: learning curves over environment steps, and one table.

All methods act in the same tasks and are evaluated alike, and the experts' steps count. Networks
and initial noise are the same but for PEARL, an actor-critic. The zero of the normalised score is
each method's own untrained policy; the plain control learns from the labels that the method
gathered, or from the demonstrations where it gathers none. The curves of MAESN start from each
training task's own latent, which a new task does not have; its table starts from the prior.

Resumable: finished runs are read, interrupted ones go on. A part of the methods or seeds may be
trained elsewhere into the same folder; --collect only reads what is there. A method without a
finished run in the folder keeps what the result's file says of it.

example:
  python benchmarks/methods.py point-goal
  python benchmarks/methods.py sawyer-push --methods gmps maml --seeds 0 1 2
  python benchmarks/methods.py ant-goal --seeds 0 --expert runs/ant-expert
  python benchmarks/methods.py sawyer-push --collect
"""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import tyro
from adaptation import finish
from reports import write_report

from gmps.core.types import evenly
from gmps.evaluation.aggregate import combine_scores
from gmps.evaluation.scores import read_scores
from gmps.methods.registry import METHODS
from gmps.report.curves import COUNTED
from gmps.runs.config_json import encode_config
from gmps.runs.run import Run
from gmps.training.sweep import judged

#: Options of each family for all methods, and of each method; as many rounds as fit the time.
COMMON = "--evaluation.repeats 3 --evaluation.steps 1"
OPTIONS: dict[str, dict[str, str]] = {
    "point-goal": {
        "gmps": "--rounds 60",
        "gmps-latent": "--rounds 50 --evaluation.repeats 5 --evaluation.steps 3",
        "maml": "--rounds 100",
        "maesn": "--rounds 100",
        "pearl": "--rounds 60",
        "multitask": "--rounds 100",
        "multitask-bc": "--rounds 20",
    },
    "sawyer-push": {
        "gmps": "--rounds 60",
        "gmps-latent": "--rounds 30 --evaluation.repeats 5 --evaluation.steps 3",
        "maml": "--rounds 130",
        "maesn": "--rounds 130",
        "pearl": "--rounds 200 --checkpoint-every 20",
        "multitask": "--rounds 150",
        "multitask-bc": "--rounds 20",
    },
    "ant-goal": {
        "gmps": "--rounds 50",
        "gmps-latent": "--rounds 30 --evaluation.steps 3",
        "maml": "--rounds 80",
        "maesn": "--rounds 80",
        "pearl": "--rounds 240 --checkpoint-every 20",
        "multitask": "--rounds 80",
        "multitask-bc": "--rounds 20",
    },
}
#: Rounds that a curve is averaged over where it is asked whether it has reached a level.
SMOOTH = 5
#: The level, as a share of the way from an untrained policy to the expert.
SHARE = 0.8
#: Points of a curve that are kept.
POINTS = 150
CONDITIONS = ("before", "after_1", "wrong_task", "random_update", "plain_before", "plain", "expert")


@dataclass(frozen=True)
class Methods:
    """Settings."""

    family: tyro.conf.Positional[str]
    """Task family."""
    methods: tuple[str, ...] = tuple(METHODS)
    """Methods."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds."""
    expert: str | None = None
    """Folder of a contextual SAC expert; its learning curve is shown too."""
    runs: str = "runs/methods"
    """Folder of the runs: FAMILY/METHOD-seedS in it."""
    collect: bool = False
    """Train nothing; gather what is finished."""
    out: str = "benchmarks/results"
    """Folder of the results, methods-FAMILY.json and .png."""


def study(settings: Methods) -> None:
    folder = Path(settings.runs) / settings.family
    for seed in settings.seeds:
        for method in settings.methods:
            if not settings.collect:
                words = shlex.split(command(settings, method, seed))[3:]
                finish(folder / f"{method}-seed{seed}", settings.family, words)
    out = Path(settings.out) / f"methods-{settings.family}.json"
    result = {"study": settings.family, "about": __doc__, **stored(out)}
    found = {}
    for method in settings.methods:
        runs = {s: folder / f"{method}-seed{s}" for s in settings.seeds}
        done = {str(s): Run.open(f) for s, f in runs.items() if judged(f)}
        if done:
            line = command(settings, method, settings.seeds[0])
            found[method] = {"command": line, **gather(done)}
    if not found:
        raise SystemExit(f"No run of {folder} is finished yet.")
    found = {**result["methods"], **found}
    result["methods"] = {name: found[name] for name in METHODS if name in found}
    if settings.expert:
        result["contextual SAC"] = expert_curve(Run.open(settings.expert))
    write_report(result, out)
    draw(result, out.with_suffix(".png"))
    print(table(result))


def stored(path: Path) -> dict[str, Any]:
    """Methods, and the expert's curve if there is one, of an earlier result."""
    earlier = json.loads(path.read_text()) if path.exists() else {}
    return {"methods": {}} | {k: v for k, v in earlier.items() if k not in ("study", "about")}


def command(settings: Methods, method: str, seed: int) -> str:
    """What a user types for one run."""
    own = OPTIONS.get(settings.family, {}).get(method, "")
    expert = f" --expert {settings.expert}" if settings.expert else ""
    return f"gmps train {settings.family} --method {method} --seed {seed} {COMMON} {own}{expert}"


def gather(runs: dict[str, Run]) -> dict[str, Any]:
    """Curves, figures and levels of a method's seeds."""
    read = {seed: read_scores(run.path) for seed, run in runs.items()}
    scores = {seed: found for seed, found in read.items() if found is not None}
    over_seeds = combine_scores(scores)
    levels = [row.levels for found in scores.values() for row in found.rows("train")]
    untrained = np.mean([level.untrained for level in levels])
    expert = np.mean([level.expert for level in levels])
    curves = {seed: curve(run) for seed, run in runs.items()}
    target = untrained + SHARE * (expert - untrained)
    reached = {
        seed: first_above(c["steps"], c["return/after"], target) for seed, c in curves.items()
    }
    seconds = {
        seed: sum(r["seconds/gather"] + r["seconds/update"] for r in run.timing())
        for seed, run in runs.items()
    }
    return {
        "seeds": list(runs),
        "versions": {seed: encode_config(run.versions) for seed, run in runs.items()},
        "train_levels": {"untrained": float(untrained), "expert": float(expert)},
        f"steps_to_{SHARE:.0%}_of_the_expert": reached,
        "training_seconds": seconds,
        "steps": over_seeds.steps,
        "heldout": {
            mode: {
                **{c: level["conditions"].get(c) for c in CONDITIONS},
                "adaptation_score": level["adaptation_score"],
            }
            for mode, level in encode_config(over_seeds.heldout).items()
        },
        "curves": {seed: thinned(c) for seed, c in curves.items()},
    }


def curve(run: Run) -> dict[str, list[float]]:
    rows = run.metrics()
    names = ("return/before", "return/after")
    steps = [sum(r[f"steps/{column}"] for column in COUNTED) for r in rows]
    return {"steps": steps, **{name: [r[name] for r in rows] for name in names}}


def thinned(found: dict[str, list[float]]) -> dict[str, list[float]]:
    n = len(found["steps"])
    return {name: [values[i] for i in evenly(n, POINTS)] for name, values in found.items()}


def first_above(steps: list[float], values: list[float], target: float) -> float | None:
    """Steps at which the mean of the last rounds is first at the target; None where it never is."""
    for i in range(SMOOTH - 1, len(values)):
        if np.mean(values[i - SMOOTH + 1 : i + 1]) >= target:
            return steps[i]
    return None


def expert_curve(run: Run) -> dict[str, Any]:
    rows = [r for r in run.metrics() if "evaluation/return" in r]
    return {
        "steps": [r["steps/expert"] for r in rows],
        "return": [r["evaluation/return"] for r in rows],
        "versions": encode_config(run.versions),
    }


def draw(result: dict[str, Any], path: Path) -> None:
    figure, (axis, key) = plt.subplots(
        1, 2, figsize=(9, 4.5), width_ratios=(3, 1), layout="constrained"
    )
    colours = plt.colormaps["tab10"].colors  # pyright: ignore[reportAttributeAccessIssue]
    for colour, (method, found) in zip(colours, result["methods"].items(), strict=False):
        for i, single in enumerate(found["curves"].values()):
            label = method if i == 0 else None
            axis.plot(single["steps"], single["return/after"], color=colour, label=label, lw=1.2)
            axis.plot(single["steps"], single["return/before"], color=colour, ls=":", lw=0.8)
    expert = result.get("contextual SAC")
    if expert:
        axis.plot(expert["steps"], expert["return"], color="black", label="contextual SAC", lw=1.2)
    levels = next(iter(result["methods"].values()))["train_levels"]
    axis.axhline(levels["expert"], color="grey", ls="--", lw=1, label="expert")
    axis.set(
        xscale="log",
        xlabel="environment steps: meta-learner + expert + demonstrations",
        ylabel="return on the training tasks, with action noise",
        title=f"{result['study']}: after one adaptation step (dotted: before)",
    )
    axis.grid(alpha=0.3)
    key.axis("off")
    key.legend(*axis.get_legend_handles_labels(), loc="center left", frameon=False)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def table(result: dict[str, Any]) -> str:
    """The held-out table in Markdown: normalised returns without action noise."""
    lines = [
        "| method | before | after 1 step | wrong task | random update | blind + plain step | "
        "adaptation score | steps to 80 % of the expert |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for method, found in result["methods"].items():
        rows = found["heldout"]["deterministic"]
        names = ("before", "after_1", "wrong_task", "random_update", "plain")
        cells = [words(rows[name] and rows[name]["normalised"]) for name in names]
        reached = list(found[f"steps_to_{SHARE:.0%}_of_the_expert"].values())
        missing = any(x is None for x in reached)
        steps = "not reached" if missing else f"{np.mean(reached):,.0f}"
        if missing and any(x is not None for x in reached):
            steps = f"{sum(x is not None for x in reached)} of {len(reached)} seeds"
        score = words(rows["adaptation_score"]["after_1"])
        lines.append(f"| {method} | {' | '.join(cells)} | {score} | {steps} |")
    return "\n".join(lines)


def words(figure: dict[str, Any] | None) -> str:
    # Results from before rows were kept have interquartile means, and cannot be computed anew.
    value = (
        next((figure[k] for k in ("mean", "value", "iqm") if k in figure), None) if figure else None
    )
    if not figure or value is None:
        return "-"
    if figure["ci_low"] is None:
        return f"{value:.2f}"
    return f"{value:.2f} [{figure['ci_low']:.2f}, {figure['ci_high']:.2f}]"


if __name__ == "__main__":
    study(tyro.cli(Methods, description=__doc__))
