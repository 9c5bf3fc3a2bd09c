"""Whether something became slower: ratios alone, side by side in one run, within three minutes.

Times depend on the machine and on what else it does; ratios of CPU time, measured in turn on one
core, do so less.

- `matmul_share`: the second-order meta-gradient's arithmetic speed over that of a plain matrix
  product (see `meta_update.py`).
- `vmap_over_gmps`: the time of its plain definition in JAX over its own.
- `closed_over_open`: speed of a closed loop over that of the bare physics on the same controls
  (see `sampling.py`), one thread.
- `doubled_tasks`, `doubled_episodes`: the time of a meta-gradient over that of half as many tasks
  (or of episodes of each task), from 8 to 128; each doubling is a row.

With `--against` a stored report the command fails where a median is worse than the stored one by
more than `--tolerance`; `make bench` does that.

Example:
    python benchmarks/regression.py --against benchmarks/results/regression.json
"""

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from meta_update import MATMUL, flops, make_problem
from reports import write_report
from sampling import check_same_motion, commanded, environment, open_loop

from gmps.core.meta_gradient import meta_loss, meta_value_and_grad
from gmps.core.policy import PolicyActor, init_policy
from gmps.sim.episodes import draw_starts
from gmps.sim.native import markov_model
from gmps.tasks import make_family
from gmps.tasks.base import MujocoFamily
from gmps.worlds.factory import make_world

#: Tasks, episodes and steps of the meta-gradient that is compared.
PROBLEM = (8, 20, 200)
#: Families and episodes of the closed loop.
LOOPS, TASKS, BATCH = ("ant-goal", "sawyer-push"), 20, 100
#: What is doubled, and how many samples the other axis has.
DOUBLED = (8, 16, 32, 64, 128)
OTHERS, STEPS = 8, 50
#: What becomes worse as it grows.
COSTS = ("doubled_tasks", "doubled_episodes")


def main() -> int:
    args = parse()
    if hasattr(os, "sched_setaffinity"):  # before JAX counts the cores
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    load, start = os.getloadavg(), time.perf_counter()
    found = {
        **meta_gradient(args.repeats),
        **{f"closed_over_open/{name}": loop(name, args.repeats) for name in LOOPS},
        **doublings(args.repeats),
    }
    report = {
        "benchmark": "regression",
        "about": __doc__,
        "results": found,
        "seconds": round(time.perf_counter() - start, 1),
        "environment": environment(load),
    }
    for name, row in found.items():
        print(f"{name:32s} {row['median']:6.3f} {row['quartiles']}")
    write_report(report, args.out)
    if args.against is None:
        return 0
    worse = slower(found, json.loads(args.against.read_text())["results"], args.tolerance)
    print(*worse or ["nothing became slower"], sep="\n")
    return int(bool(worse))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=7, help="timed pairs (7)")
    parser.add_argument("--against", type=Path, help="a stored report to compare with")
    parser.add_argument("--tolerance", type=float, default=0.15, help="share of it (0.15)")
    parser.add_argument("--out", type=Path, help="write JSON here")
    return parser.parse_args()


def slower(found: dict[str, Any], stored: dict[str, Any], tolerance: float) -> list[str]:
    """What is worse than stored, in sentences."""
    sentences = []
    for name, row in found.items():
        now, before = row["median"], stored[name]["median"]
        cost = name.split("/")[0] in COSTS
        if now > before * (1 + tolerance) if cost else now < before * (1 - tolerance):
            sentences.append(f"{name} is {now:.3f}, but was {before:.3f}")
    return sentences


def meta_gradient(repeats: int) -> dict[str, Any]:
    """The meta-gradient beside a matrix product and the plain definition."""
    problem = make_problem(*PROBLEM, seed=4)
    square = jnp.asarray(np.random.default_rng(1).normal(size=(MATMUL, MATMUL)), jnp.float32)
    product = jax.jit(jnp.matmul)
    ours = jax.jit(lambda *problem: meta_value_and_grad(*problem)[:2])
    plain = jax.jit(jax.value_and_grad(meta_loss, has_aux=True))
    seconds = in_turn(
        [lambda: product(square, square), lambda: ours(*problem), lambda: plain(*problem)], repeats
    )
    work = flops(PROBLEM[0] * PROBLEM[1] * PROBLEM[2]) / (2 * MATMUL**3)
    return {
        "matmul_share": summary(work * seconds[0] / seconds[1]),
        "vmap_over_gmps": summary(seconds[2] / seconds[1]),
    }


def loop(name: str, repeats: int) -> dict[str, Any]:
    """The closed loop beside the bare physics."""
    family = make_family(name)
    assert isinstance(family, MujocoFamily)
    world, spec = make_world(family, 1), family.spec
    goals = family.tasks("train", TASKS, jax.random.key(1))
    keys = jax.random.split(jax.random.key(2), TASKS)
    policies = jax.vmap(lambda key: init_policy(key, spec.obs_size, spec.act_size))(keys)
    actor, key = PolicyActor(spec.act_size), jax.random.key(3)

    def closed() -> Any:
        return world.rollout(actor, policies, goals, BATCH // TASKS, key).trajectories

    rollout = closed()
    starts = draw_starts(family, BATCH // TASKS, goals, jax.random.split(key)[0])
    controls = commanded(family, starts, rollout)
    bare = open_loop(markov_model(family.model()), family, starts, controls, 1)
    check_same_motion(family, bare(), controls, rollout)
    seconds = in_turn([bare, closed], repeats)
    return summary(seconds[0] / seconds[1])


def doublings(repeats: int) -> dict[str, Any]:
    """Time of twice as many tasks, and episodes, over that of as many."""
    update, found = jax.jit(lambda *problem: meta_value_and_grad(*problem)[:2]), {}
    for name in COSTS:
        sizes = [(n, OTHERS) if name == "doubled_tasks" else (OTHERS, n) for n in DOUBLED]
        problems = [make_problem(*size, STEPS, seed=4) for size in sizes]
        calls = [lambda problem=problem: update(*problem) for problem in problems]
        seconds = in_turn(calls, repeats)
        for i, n in enumerate(DOUBLED[1:], start=1):
            found[f"{name}/{n}"] = summary(seconds[i] / seconds[i - 1])
    return found


def in_turn(calls: Sequence[Callable[[], Any]], repeats: int) -> np.ndarray:
    """CPU seconds `(call, repeat)` of calls made one after another, after one that compiles."""
    seconds = np.empty((len(calls), repeats))
    for i in range(-1, repeats):
        for j, call in enumerate(calls):
            start = time.process_time()
            jax.block_until_ready(call())
            seconds[j, i] = time.process_time() - start
    return seconds


def summary(ratios: np.ndarray) -> dict[str, Any]:
    """Median and quartiles of pairs that were measured one after the other."""
    low, high = np.quantile(ratios, [0.25, 0.75])
    return {
        "median": round(statistics.median(ratios.tolist()), 3),
        "quartiles": [round(float(low), 3), round(float(high), 3)],
    }


if __name__ == "__main__":
    raise SystemExit(main())
