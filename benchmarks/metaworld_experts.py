"""Meta-World's scripted policies: steps to the first success, for some goals of each kind.

Example:
    python benchmarks/metaworld_experts.py --goals 6 --out benchmarks/results/metaworld_experts.json
"""

import argparse
from pathlib import Path

import numpy as np
from reports import write_report

from gmps.metaworld.environments import AnyKind, environments
from gmps.metaworld.experts import scripted_actions
from gmps.metaworld.family import FULL_HORIZON, MetaWorld


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--goals", type=int, default=6, help="training goals of each kind (6)")
    parser.add_argument("--kinds", nargs="+", default=list(environments()))
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    results = {}
    for kind in args.kinds:
        family = MetaWorld(f"ml1-{kind}", horizon=FULL_HORIZON, goals=args.goals)
        tasks = np.asarray(family.tasks("train"))
        results[kind] = [steps_to_success(family, task) for task in tasks]
        print(kind, results[kind], flush=True)
    report = {"benchmark": "metaworld_experts", "about": __doc__, "results": results}
    write_report(report, args.out)


def steps_to_success(family: MetaWorld, task: np.ndarray) -> int | None:
    """Steps until the first success, None without one."""
    env, kinds = AnyKind(), family._list.env_names
    env.choose(*family.row(task))
    obs, _ = env.reset()
    for step in range(1, FULL_HORIZON + 1):
        obs, *_, info = env.step(scripted_actions(kinds, task[None], obs[None])[0])
        if info["success"]:
            return step
    return None


if __name__ == "__main__":
    main()
