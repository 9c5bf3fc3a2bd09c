"""Where the time of a closed loop goes beside physics.

One `World.rollout` at a time, as in `sampling.py`, with clocks around its parts: start states and
noise before the loop, rewards and episodes after it, and within it, in each of the two halves of
the batch that take turns, the policy's call and the physics' call. The halves overlap, so the
policy of one hides behind the physics of the other as far as there are cores. Beside it the bare
physics: one open-loop call with the same controls.

Example:
    python benchmarks/sampling_profile.py --out benchmarks/results/sampling_profile.json
"""

import argparse
import json
import os
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from reports import write_report
from sampling import commanded, environment, open_loop, timed

from gmps.core.policy import PolicyActor, init_policy
from gmps.cores import usable_cores
from gmps.sim.episodes import draw_starts
from gmps.sim.native import NativeSimulator, markov_model
from gmps.tasks import make_family
from gmps.tasks.base import MujocoFamily
from gmps.worlds import native_world
from gmps.worlds.factory import make_world


def main() -> None:
    args = parse()
    load, results = os.getloadavg(), []
    for name in args.families:
        for batch in args.batches:
            family = make_family(name)
            assert isinstance(family, MujocoFamily)
            results.append(profile(family, batch, args.tasks, args.repeats))
            print(json.dumps(results[-1]), flush=True)
    report = {
        "benchmark": "sampling_profile",
        "about": __doc__,
        "results": results,
        "environment": environment(load),
    }
    write_report(report, args.out)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--families", nargs="+", default=["ant-goal", "sawyer-push"])
    parser.add_argument("--batches", nargs="+", type=int, default=[20, 100, 400])
    parser.add_argument("--tasks", type=int, default=20, help="policies in the batch (20)")
    parser.add_argument("--repeats", type=int, default=5, help="rollouts (5); medians")
    parser.add_argument("--out", type=Path, help="write JSON here")
    return parser.parse_args()


def clocked(seconds: dict[str, float], part: str, function: Callable[..., Any]) -> Any:
    """The function, its time added to the part's. The halves add up: threads share the dict."""

    def run(*args: Any, **options: Any) -> Any:
        start = time.perf_counter()
        out = function(*args, **options)
        seconds[part] += time.perf_counter() - start
        return out

    return run


def profile(family: MujocoFamily, batch: int, tasks: int, repeats: int) -> dict:
    """Median milliseconds of a rollout and its parts."""
    threads, spec = usable_cores(), family.spec
    world = make_world(family, threads)
    goals = family.tasks("train", tasks, jax.random.key(1))
    keys = jax.random.split(jax.random.key(2), tasks)
    policies = jax.vmap(lambda key: init_policy(key, spec.obs_size, spec.act_size))(keys)
    actor, key = PolicyActor(spec.act_size, stochastic=True), jax.random.key(3)

    def rollout() -> Any:
        return jax.block_until_ready(world.rollout(actor, policies, goals, batch // tasks, key))

    out = rollout().trajectories
    starts = draw_starts(family, batch // tasks, goals, jax.random.split(key)[0])
    controls = commanded(family, starts, out)
    bare = open_loop(markov_model(family.model()), family, starts, controls, threads)
    bare()
    seconds: dict[str, float] = defaultdict(float)
    plain = native_world.draw, native_world.ep.finish, native_world._decider, NativeSimulator.step
    rows = []
    for _ in range(repeats):
        row = {"whole, without clocks": timed(rollout), "bare physics": timed(bare)}
        seconds.clear()
        native_world.draw = clocked(seconds, "before: start states and noise", plain[0])
        native_world.ep.finish = clocked(
            seconds, "after: rewards and episodes", lambda *x: jax.block_until_ready(plain[1](*x))
        )
        native_world._decider = lambda *x: clocked(
            seconds, "policy, both halves", lambda *y: np.asarray(plain[2](*x)(*y))
        )
        NativeSimulator.step = clocked(seconds, "physics, both halves", plain[3])
        try:
            row["whole"] = timed(rollout)
        finally:
            (
                native_world.draw,
                native_world.ep.finish,
                native_world._decider,
                NativeSimulator.step,
            ) = plain
        loop = row["whole"] - sum(v for k, v in seconds.items() if "halves" not in k)
        rows.append({**row, **seconds, "the loop": loop})
    return {
        "family": family.name,
        "batch": batch,
        "milliseconds": {
            k: round(1e3 * float(np.median([r[k] for r in rows])), 1) for k in rows[0]
        },
    }


if __name__ == "__main__":
    main()
