"""Meta-World's scripted experts: steps to the first success, for the goals of each kind of task.

Without noise; starts are the same in every episode, so one tells all. Training goals of seed 0.

Example:
    python benchmarks/metaworld_experts.py --out benchmarks/results/metaworld_experts.json
"""

import argparse
from pathlib import Path
from statistics import median

import numpy as np
from reports import write_report

from gmps.metaworld.environments import AnyKind, environments
from gmps.metaworld.experts import scripted_actions
from gmps.metaworld.family import FULL_HORIZON, MetaWorld


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--goals", type=int, default=50, help="training goals of each kind (50)")
    parser.add_argument("--kinds", nargs="+", default=list(environments()))
    parser.add_argument("--reward-version", choices=["v1", "v2"], default="v2")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    results = {}
    for kind in args.kinds:
        family = MetaWorld(
            f"ml1-{kind}",
            horizon=FULL_HORIZON,
            goals=args.goals,
            reward_version=args.reward_version,
        )
        tasks = np.asarray(family.tasks("train"))
        steps = steps_to_success(family, tasks)
        solved = [s for s in steps if s is not None]
        results[kind] = {
            "solved": len(solved),
            "median_steps": median(solved) if solved else None,
            "most_steps": max(solved, default=None),
            "steps": steps,
        }
        print(kind, {k: v for k, v in results[kind].items() if k != "steps"}, flush=True)
    report = {
        "benchmark": "metaworld_experts",
        "about": __doc__,
        "goals": args.goals,
        "reward_version": args.reward_version,
        "results": results,
    }
    write_report(report, args.out)


def steps_to_success(family: MetaWorld, tasks: np.ndarray) -> list[int | None]:
    """Steps until the first success in each task, None without one in 500 steps."""
    worlds = family.make_batch(1) or OneByOne(family)
    obs, first = worlds.start(list(tasks), [0] * len(tasks)), np.zeros(len(tasks), int)
    for step in range(1, FULL_HORIZON + 1):
        act = scripted_actions(family._list.env_names, tasks, obs)
        obs, _, _, success = worlds.step(act)
        first[(success > 0.5) & (first == 0)] = step
        if first.all():
            break
    worlds.close()
    return [int(step) or None for step in first]


class OneByOne:
    """Meta-World's own environments, for rewards that are not known in batch."""

    def __init__(self, family: MetaWorld):
        self._family = family

    def start(self, tasks: list, seeds: list) -> np.ndarray:
        self._envs = [AnyKind(self._family.reward_version) for _ in tasks]
        for env, task in zip(self._envs, tasks, strict=True):
            env.choose(*self._family.row(task))
        return np.array([env.reset(seed=s)[0] for env, s in zip(self._envs, seeds, strict=True)])

    def step(self, act: np.ndarray) -> tuple:
        obs, reward, ended, _, info = zip(
            *(env.step(a) for env, a in zip(self._envs, act, strict=True)), strict=True
        )
        return np.array(obs), reward, ended, np.array([float(x["success"]) for x in info])

    def close(self) -> None:
        for env in self._envs:
            env.close()


if __name__ == "__main__":
    main()
