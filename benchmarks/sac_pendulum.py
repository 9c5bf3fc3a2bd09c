"""SAC on Gymnasium's Pendulum-v1: return of the mean action after 20,000 steps, three seeds.

One episode of 200 steps, then 200 gradient steps, 100 times. A known landmark: above -200.

Example:
    python benchmarks/sac_pendulum.py --out benchmarks/results/sac_pendulum.json
"""

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import gymnasium
import jax.numpy as jnp
from reports import write_report

from gmps.experts.sac_settings import SacConfig
from gmps.runs.run import Run
from gmps.runs.versions import collect_versions
from gmps.tasks.base import Spec
from gmps.tasks.gymnasium_family import GymnasiumFamily
from gmps.training.sac_settings import ExpertConfig
from gmps.training.sac_training import ExpertTraining, train_expert
from gmps.worlds.gymnasium_world import GymnasiumWorld

ROUNDS, EPISODES = 100, 20


@dataclass(frozen=True)
class Pendulum(GymnasiumFamily):
    """The environment as it is: there is one task, and it says nothing."""

    name: ClassVar[str] = "pendulum"
    spec: ClassVar[Spec] = Spec(
        obs_size=3, act_size=1, context_size=1, horizon=200, control_dt=0.05
    )

    def make_env(self):
        return gymnasium.make("Pendulum-v1")

    def set_task(self, env, task):
        pass

    def tasks(self, split, n=None, key=None):
        return jnp.zeros((n or 1, 1))

    def goal_point(self, task):
        return jnp.array([1.0, 0.0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    results = []
    for seed in args.seeds:
        config = ExpertConfig(
            "pendulum",
            rounds=ROUNDS,
            seed=seed,
            tasks=1,
            gradient_steps=200,
            capacity=ROUNDS,
            evaluate_every=20,
            evaluation_episodes=EPISODES,
            checkpoint_every=ROUNDS,
            sac=SacConfig(learning_rate=1e-3, layer_norm=False),
        )
        world = GymnasiumWorld(Pendulum(), environments=EPISODES)
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder, Run.create(folder, config) as run:
            train_expert(run, ExpertTraining(config, world))
            rows = run.metrics()
        world.close()
        curve = {
            row["steps/expert"]: row["evaluation/return"]
            for row in rows
            if "evaluation/return" in row
        }
        results.append({"seed": seed, "returns": curve, "seconds": time.perf_counter() - start})
        print(seed, curve, flush=True)
    report = {"benchmark": "sac_pendulum", "about": __doc__, "results": results}
    write_report(report | {"versions": collect_versions()}, args.out)


if __name__ == "__main__":
    main()
