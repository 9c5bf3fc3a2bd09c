"""Run folders with invented but plausible content, for tests of the report."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gmps.evaluation.scores import (
    FORMAT,
    MODES,
    SPLITS,
    EpisodeCounts,
    LevelWords,
    Scores,
    TaskLevels,
    TaskRow,
    write_scores,
)
from gmps.evaluation.summaries import summarise, task_score
from gmps.runs.run import Run

#: Normalised level of each condition.
CONDITIONS = {
    "before": 0.42,
    "after_1": 0.74,
    "after_2": 0.79,
    "after_3": 0.8,
    "wrong_task": 0.35,
    "random_update": 0.38,
    "zero_step": 0.42,
    "plain_before": 0.4,
    "plain": 0.52,
    "expert": 1.0,
}


@dataclass(frozen=True)
class Learner:
    step_size: float = 0.5
    loss: str = "mse"


@dataclass(frozen=True)
class Settings:
    family: str = "ant-goal"
    method: str = "gmps"
    seed: int = 0
    rounds: int = 40
    gmps: Learner = field(default_factory=Learner)


def write_run(
    folder: Path,
    settings: Settings | None = None,
    *,
    gain: float = 1.0,
    tasks: int = 8,
    evaluated: bool = True,
    success: bool = True,
) -> Path:
    """Write a run; `gain` scales what the update brings, 0 makes it useless; `success` says
    whether the family tells it."""
    settings = settings or Settings()
    rng = np.random.default_rng(settings.seed)
    with Run.create(folder, settings) as run:
        for i in range(settings.rounds):
            run.log(i, _metrics(rng, i, settings, gain), timing={"seconds/rollout": 3.1})
        if evaluated:
            write_scores(run.path, _scores(rng, settings, gain, tasks, success))
            run.write_paths(_paths(rng, settings.family, gain, min(tasks, 6)))
    return folder


def _metrics(rng, i, settings, gain):
    progress = 1 - np.exp(-i / 12)
    before = 330 + 60 * progress + 6 * rng.normal()
    return {
        "steps/meta": 40_000 * (i + 1),
        "steps/expert": 0,
        "steps/demonstration": 32_000,
        "return/before": before,
        "return/after": before + gain * 90 * progress + 6 * rng.normal(),
        "loss/imitation": 0.2 * np.exp(-i / 10) + 0.03 + 0.004 * rng.random(),
        "collector/ess": 0.5 + 0.4 * rng.random(),
        "collector/kl": float("nan") if i == 0 else 0.02 + 0.01 * rng.random(),
    }


def _scores(rng, settings, gain, tasks, success) -> Scores:
    outcome = "final_error" if settings.family == "sawyer-push" else "final_distance"
    seed_shift = 0.03 * rng.normal()
    rows = []
    for split in SPLITS:
        means = [{} for _ in range(tasks)]
        for mode in MODES:
            shift = 0.25 * np.cos(np.linspace(-1.5, 1.5, tasks))[:, None] - 0.1
            for name, mean in CONDITIONS.items():
                target = mean
                if name.startswith("after"):
                    target = CONDITIONS["before"] + gain * (mean - CONDITIONS["before"])
                x = target + seed_shift + shift * (name != "expert")
                x = x + 0.06 * rng.normal(size=(tasks, 5))
                figures = {
                    "normalised": x,
                    "return": 308 + 231 * x,
                    "success": (x > 0.7).astype(float),
                    outcome: np.maximum(0.02, 1.4 - 1.2 * x),
                }
                if not success:
                    del figures["success"]
                for i, row in enumerate(means):
                    of_task = {k: float(v[i].mean()) for k, v in figures.items()}
                    row.setdefault(mode, {})[name] = of_task
        for i, row in enumerate(means):
            rows.append(
                TaskRow(
                    split,
                    i,
                    f"{90 * i / (tasks - 1):.1f} deg",
                    TaskLevels(308.0, 539.0),
                    **row,
                    adaptation_score={mode: task_score(x) for mode, x in row.items()},
                )
            )
    return Scores(
        format=FORMAT,
        family=settings.family,
        method=settings.method,
        seed=settings.seed,
        checkpoint_round=settings.rounds - 1,
        episodes=EpisodeCounts(20, 10, 5),
        levels=LevelWords(
            "a policy with its first weights and a standard deviation of 1",
            "the demonstrators' mean return, between their tasks interpolated",
        ),
        **{split: summarise([[r for r in rows if r.split == split]]) for split in SPLITS},
        plain_control=None,
        expert=None,
        steps={"meta": 1_600_000, "expert": 0, "demonstration": 32_000, "evaluation": 912_000},
        expert_queries=0.0,
        tasks=tuple(rows),
    )


def _paths(rng, family, gain, tasks):
    t = np.linspace(0, 1, 200)[:, None]
    if family == "sawyer-push":
        goals = np.stack([np.linspace(-0.1, 0.1, tasks), np.linspace(0.71, 0.79, tasks)], -1)
        start, middle = np.array([0, 0.52]), np.array([0, 0.75])
    else:
        angles = np.linspace(0, np.pi / 2, tasks)
        goals = 2 * np.stack([np.cos(angles), np.sin(angles)], -1)
        start, middle = np.zeros(2), 2 * np.array([0.7, 0.7])
    arrays = {"goal": goals, "task_names": np.array([f"goal {i}" for i in range(tasks)])}
    ends = {
        "before": np.repeat(middle[None], tasks, 0),
        "after_1": middle + 0.8 * gain * (goals - middle),
        "expert": goals,
    }
    scale = np.abs(goals - start).max()
    for condition, end in ends.items():
        main = np.empty((tasks, 3, 200, 2))
        for i in range(tasks):
            for j in range(3):
                wobble = np.cumsum(rng.normal(size=(200, 2)), 0) * 0.003 * scale
                final = end[i] + 0.05 * scale * rng.normal(size=2)
                main[i, j] = start + t**1.3 * (final - start) + wobble * np.sqrt(t)
        if family == "sawyer-push":
            hand = main - np.array([0, 0.04]) - np.array([0.02, 0.06]) * (1 - t) ** 4
            arrays[f"{condition}/hand"] = hand
            arrays[f"{condition}/block"] = main
        else:
            arrays[f"{condition}/ant"] = main
    return arrays
