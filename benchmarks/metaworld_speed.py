"""Closed-loop speed on Meta-World: ours in batch against Meta-World's own AsyncVectorEnv.

Ours: control steps per second of whole rollouts of `gmps.metaworld.batch` (20 tasks, one
policy of 2 x 100 units each), episodes assembled and rewards included. Meta-World's: its
`make_ml_envs_train` with 20 environments, each a process, and a NumPy policy of the same size,
without the time of its resets; in a program of its own, because it forks. That both see the same
numbers, bit for bit over 500 steps, is a test (tests/metaworld/test_judges.py). Both may use all
cores that this process may use.

Example:
    python benchmarks/metaworld_speed.py --out benchmarks/results/metaworld_speed.json
"""

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
from reports import write_report
from sampling import environment

from gmps.core.policy import PolicyActor, init_policy
from gmps.core.types import stack
from gmps.tasks import make_family
from gmps.worlds.factory import make_world

TASKS = 20


def main() -> None:
    args = parse()
    if args.only:
        print(json.dumps({"steps_per_second": ours(args) if args.only == "ours" else theirs(args)}))
        return
    load, rows = os.getloadavg(), []
    for kind in args.kinds:
        speeds: dict[str, list[float]] = {"ours": [], "async": []}
        # In turn, so that other load on the machine meets both.
        for _ in range(args.turns):
            for name, found in speeds.items():
                found.extend(measured(name, kind, args))
        median = {name: statistics.median(found) for name, found in speeds.items()}
        rows.append(
            {
                "kind": kind,
                **{f"steps_per_second_{name}": round(x) for name, x in median.items()},
                "all": {name: [round(x) for x in found] for name, found in speeds.items()},
                "times_as_fast": round(median["ours"] / median["async"], 2),
            }
        )
        print(rows[-1], flush=True)
    report = {
        "benchmark": "metaworld_speed",
        "about": __doc__,
        "tasks": TASKS,
        "episodes": args.episodes,
        "horizon": args.horizon,
        "results": rows,
        "environment": environment(load),
    }
    write_report(report, args.out)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kinds", nargs="+", default=["reach-v3", "push-v3"])
    parser.add_argument("--horizon", type=int, default=100, help="steps of an episode (100)")
    parser.add_argument("--episodes", type=int, default=10, help="ours, of each task (10)")
    parser.add_argument("--repeats", type=int, default=3, help="timed repeats in a turn (3)")
    parser.add_argument("--turns", type=int, default=3, help="turns of both (3)")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", choices=["ours", "async"], help=argparse.SUPPRESS)
    return parser.parse_args()


def measured(name: str, kind: str, args: argparse.Namespace) -> list[float]:
    """Steps per second of each repeat, in a program of its own."""
    options = [
        *("--only", name, "--kinds", kind, "--horizon", args.horizon),
        *("--episodes", args.episodes, "--repeats", args.repeats),
    ]
    command = [sys.executable, __file__, *map(str, options)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(out.splitlines()[-1])["steps_per_second"]


def ours(args: argparse.Namespace) -> list[float]:
    family = make_family(f"ml1-{args.kinds[0]}@{args.horizon}")
    world, tasks = make_world(family), family.tasks("train", TASKS)
    policies = stack(init_policy(jax.random.key(0), 39, 4), TASKS)
    speeds = []
    for repeat in range(args.repeats + 1):  # the first is a warm-up
        start = time.perf_counter()
        out = world.rollout(PolicyActor(4), policies, tasks, args.episodes, jax.random.key(repeat))
        jax.block_until_ready(out.trajectories.reward)
        speeds.append(TASKS * args.episodes * args.horizon / (time.perf_counter() - start))
    return speeds[1:]


def theirs(args: argparse.Namespace) -> list[float]:
    import metaworld  # noqa: PLC0415 - an extra

    envs = metaworld.make_ml_envs_train(
        args.kinds[0],
        seed=0,
        meta_batch_size=TASKS,
        total_tasks_per_cls=TASKS,
        vector_strategy="async",
    )
    envs.call("sample_tasks")
    rng, sizes = np.random.default_rng(0), [39, 100, 100, 4]
    layers = [
        rng.normal(0, 1 / np.sqrt(m), (TASKS, m, n)).astype(np.float32)
        for m, n in itertools.pairwise(sizes)
    ]
    speeds = []
    for _ in range(args.repeats + 1):
        obs, _ = envs.reset()
        start = time.perf_counter()
        for _ in range(args.horizon):
            x = np.asarray(obs, np.float32)[:, None]
            for layer in layers[:-1]:
                x = np.maximum(x @ layer, 0)
            mean = (x @ layers[-1])[:, 0]
            act = mean + rng.standard_normal(mean.shape, np.float32)
            obs = envs.step(np.clip(act, -1, 1))[0]
        speeds.append(TASKS * args.horizon / (time.perf_counter() - start))
    envs.close()
    return speeds[1:]


if __name__ == "__main__":
    main()
