"""Whether further adaptation steps add to what the first one reached.

Adapts the policies of runs to held-out tasks, several steps one after the other, once with whole
steps and once with the shares that the method takes (`Method.share`); both from the same keys.
Returns are without action noise.

example:
  python benchmarks/further_steps.py --name point-goal --runs runs/point-0 runs/point-1
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from reports import over_seeds, write_report

from gmps.compile_cache import keep_compiled_programs
from gmps.core.types import stack, task_count
from gmps.methods.adaptation import part_of_the_way
from gmps.runs.run import Run
from gmps.runs.versions import collect_versions
from gmps.training.config import TrainConfig
from gmps.training.experiment import load_experiment
from gmps.training.train import restore


@dataclass(frozen=True)
class FurtherSteps:
    """Settings."""

    name: str
    """Name of the study, in the name of its file."""
    runs: tuple[str, ...]
    """Runs of one method on one family, which are its seeds."""
    tasks: int | None = None
    """Random tasks of the training range; by default the held-out list."""
    repeats: int = 2
    """Adaptations to each."""
    episodes: int = 20
    """Episodes for a step."""
    steps: int = 4
    """Steps one after the other."""
    out: str = "benchmarks/results"
    """Folder of the results."""


def returns(folder: str, settings: FurtherSteps) -> dict[str, list[np.ndarray]]:
    """Returns `(task,)` after 0, 1, ... steps, by how far the steps go."""
    run = Run.open(folder)
    config = run.load_config(TrainConfig)
    experiment = load_experiment(run, config)
    world, method = experiment.world, experiment.method
    state, _ = restore(run, config, experiment)
    repeats = settings.repeats
    if settings.tasks is None:
        tasks = world.family.tasks("heldout")
    else:
        tasks = world.family.tasks("train", settings.tasks, jax.random.key(4242))
    count = task_count(tasks)
    tasks = jax.tree.map(lambda x: jnp.repeat(x, repeats, axis=0), tasks)
    start = stack(method.policy(state), count * repeats)
    actor, judge = method.actor(), method.actor(stochastic=False)
    found: dict[str, list[np.ndarray]] = {}
    for name in ("whole", "shares"):
        policies, key = start, jax.random.key(config.seed)
        for step in range(settings.steps + 1):
            seen = world.rollout(judge, policies, tasks, 2, jax.random.fold_in(key, 1000))
            level = np.asarray(seen.trajectories.returns).reshape(count, -1).mean(1)
            found.setdefault(name, []).append(level)
            if step == settings.steps:
                break
            data = world.rollout(
                actor, policies, tasks, settings.episodes, jax.random.fold_in(key, step)
            ).trajectories
            proposed = method.adapt(state, policies, data)
            share = method.share(step + 1) if name == "shares" else 1.0
            policies = part_of_the_way(policies, proposed, share)
        print(folder, name, [round(float(x.mean()), 3) for x in found[name]], flush=True)
    return found


def study(settings: FurtherSteps) -> None:
    keep_compiled_programs()
    seeds = [returns(folder, settings) for folder in settings.runs]
    runs = [Run.open(folder) for folder in settings.runs]
    rows: dict[str, list[Any]] = {}
    for name in seeds[0]:
        for levels in zip(*(seed[name] for seed in seeds), strict=True):
            rows.setdefault(name, []).append(over_seeds(np.stack(levels)))
    report = {
        "about": __doc__,
        "family": runs[0].config["family"],
        "method": runs[0].config["method"],
        "rounds": [len(run.metrics()) for run in runs],
        "split": "heldout" if settings.tasks is None else f"{settings.tasks} random tasks",
        "episodes": settings.episodes,
        "return_after_steps": rows,
        "versions": collect_versions(),
    }
    write_report(report, Path(settings.out) / f"further-steps-{settings.name}.json")


if __name__ == "__main__":
    study(tyro.cli(FurtherSteps, description=__doc__))
