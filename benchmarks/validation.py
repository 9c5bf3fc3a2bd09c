"""Choose settings: train with each, and judge on validation tasks alone, without controls.

Far cheaper than a whole evaluation, and held-out tasks are not looked at. `normalised` counts from
an untrained policy to the demonstrators (or, without demonstrations, the expert); no action noise.
Resumable: finished runs are read. Rows are added to the file; of the same name and seed, replaced.

example:
  python benchmarks/validation.py ant-goal --demos ant-goal-demos.npz --name latent-2 \\
      --options="--rounds 10 --gmps-latent.latent 2" --out benchmarks/results/demos-validation.json
"""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from adaptation import obey
from jaxtyping import Array, Key
from reports import write_report

from gmps.core.actors import Actor
from gmps.core.types import stack, task_count
from gmps.methods.adaptation import adaptation
from gmps.methods.base import policy_actor
from gmps.runs.run import Run
from gmps.runs.versions import collect_versions
from gmps.tasks.lists import validation_tasks
from gmps.training.config import TrainConfig
from gmps.training.experiment import load_experiment
from gmps.training.sweep import started
from gmps.training.train import initial_key, restore

#: Adaptation steps and episodes of each, adaptations to each task, episodes that measure each.
STEPS, EPISODES, REPEATS, MEASURED = 2, 20, 5, 2


@dataclass(frozen=True)
class Validation:
    """Settings."""

    family: tyro.conf.Positional[str]
    """Task family with validation tasks."""
    name: str
    """What the settings are called in the file."""
    out: str
    """File of the results."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Seeds."""
    demos: str | None = None
    """Demonstrations."""
    options: str = ""
    """Options of `gmps train`."""
    runs: str = "runs/validation"
    """Folder of the runs."""


def study(settings: Validation) -> None:
    out = Path(settings.out)
    report = json.loads(out.read_text()) if out.exists() else {"study": out.stem, "about": __doc__}
    for seed in settings.seeds:
        folder = Path(settings.runs) / f"{settings.family}-{settings.name}-seed{seed}"
        words = ["train", settings.family, "--run", str(folder), "--seed", str(seed), "--no-eval"]
        words += ["--demos", settings.demos] if settings.demos else []
        words += shlex.split(settings.options)
        obey(["resume", str(folder), "--no-eval"] if started(folder) else words)
        about = {"family": settings.family, "name": settings.name, "seed": seed}
        row = {**about, "options": settings.options, **figures(folder)}
        print(row)
        kept = [x for x in report.get("cells", []) if any(x[k] != about[k] for k in about)]
        versions = {**report.get("versions", {}), settings.name: collect_versions()}
        report |= {"cells": [*kept, row], "versions": versions}
        write_report(report, out)


def figures(folder: Path) -> dict[str, Any]:
    """The best checkpoint of a run, before and after each step in the validation tasks."""
    run = Run.open(folder)
    config = run.load_config(TrainConfig)
    experiment = load_experiment(run, config, ask=False)
    world, method = experiment.world, experiment.method
    state, metadata = restore(run, config, experiment, "best")
    tasks = validation_tasks(world.family)
    n, levels = task_count(tasks), experiment.levels(tasks)
    assert levels is not None, "there are neither demonstrations nor an expert's data"
    top = levels.expert if levels.demonstrators is None else levels.demonstrators
    several = jax.tree.map(lambda x: jnp.repeat(x, REPEATS, axis=0), tasks)
    keys = jax.random.split(jax.random.key(7), STEPS + 2)

    def measured(actor: Actor, params: Any, key: Key[Array, ""]) -> dict[str, np.ndarray]:
        """Means over the repeats of each task."""
        roll = world.rollout(actor, params, several, MEASURED, key)
        raw = {"return": roll.trajectories.returns, **roll.outcome}
        return {name: np.asarray(x, np.float64).reshape(n, -1).mean(1) for name, x in raw.items()}

    untrained = stack(method.untrained(initial_key(config), experiment.demos), n * REPEATS)
    zero = measured(policy_actor(world.family), untrained, keys[-1])["return"]
    policies = stack(method.policy(state), n * REPEATS)
    steps = adaptation(
        world, method, state, policies, several, episodes=EPISODES, keys=keys[:STEPS]
    )
    found = {"before": policies} | {f"after_{i}": x.policies for i, x in enumerate(steps, 1)}
    rows, std = {}, method.policy(state).action_std
    for name, policy in found.items():
        row = measured(method.actor(False), policy.with_std(std), keys[STEPS])
        normalised = (row["return"] - zero) / (top - zero)
        rows[name] = {k: float(x.mean()) for k, x in row.items()}
        rows[name] |= {"normalised": float(normalised.mean()), "worst": float(normalised.min())}
    own = [row["return/own"] for row in run.metrics() if "return/own" in row]
    last = own[metadata["round"]] if own else None
    return {"round": metadata["round"], "rows": rows, "return_own": last}


if __name__ == "__main__":
    study(tyro.cli(Validation, description=__doc__))
