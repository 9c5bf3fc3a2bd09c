"""Control steps per second of MJX, closed loop with a 2 x 100 policy per task, by batch size.

Runs on JAX's default device, a GPU or a CPU. Each figure is the median over whole rollouts
(`World.rollout`: start states, noise, policy, physics, rewards, episodes) after one that compiles,
whose seconds are reported apart. With --native the same rollouts on CPU threads stand beside them.

One command on a machine with a GPU, from the repository:
    pip install -e '.[mjx]' 'jax[cuda12]' && \
        python benchmarks/mjx_throughput.py --out benchmarks/results/mjx_throughput.json

Example:
    python benchmarks/mjx_throughput.py --batches 20 --steps 5 --repeats 1
"""

import argparse
import os
import statistics
import time
from pathlib import Path

import jax
import jax.numpy as jnp
from reports import write_report
from sampling import environment

from gmps.core.policy import PolicyActor, init_policy
from gmps.sim.episodes import draw_noise, draw_starts, state_sizes, unpack
from gmps.tasks import make_family
from gmps.tasks.base import TaskFamily
from gmps.tasks.choices import Sim
from gmps.worlds.base import Draws
from gmps.worlds.factory import make_world


def main() -> None:
    args = parse()
    load, results = os.getloadavg(), []
    for name in args.families:
        for sim in ("mjx", "native") if args.native else ("mjx",):
            for batch in args.batches:
                results.append(measure(make_family(name), sim, batch, args))
                print(results[-1], flush=True)
    device = jax.devices()[0]
    report = {
        "benchmark": "mjx_throughput",
        "about": __doc__,
        "results": results,
        "device": {"platform": device.platform, "kind": device.device_kind},
        "environment": environment(load),
    }
    write_report(report, args.out)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--families", nargs="+", default=["ant-goal", "sawyer-push"])
    parser.add_argument(
        "--batches", nargs="+", type=int, default=[256, 512, 1024, 2048, 4096, 8192, 16384]
    )
    parser.add_argument("--tasks", type=int, default=16, help="policies in the batch (16)")
    parser.add_argument("--steps", type=int, help="control steps (the family's horizon)")
    parser.add_argument("--repeats", type=int, default=3, help="timed rollouts per batch (3)")
    parser.add_argument("--native", action="store_true", help="measure CPU threads too")
    parser.add_argument("--out", type=Path, help="write JSON here")
    args = parser.parse_args()
    for batch in args.batches:
        if batch % args.tasks:
            parser.error(f"batch {batch} is no multiple of {args.tasks} tasks")
    return args


def measure(family: TaskFamily, sim: Sim, batch: int, args: argparse.Namespace) -> dict:
    """Seconds to compile and the median speed of `batch` episodes."""
    world, spec = make_world(family, sim=sim), family.spec
    tasks = family.tasks("train", args.tasks, jax.random.key(1))
    keys = jax.random.split(jax.random.key(2), args.tasks)
    policies = jax.vmap(lambda key: init_policy(key, spec.obs_size, spec.act_size))(keys)
    actor = PolicyActor(spec.act_size, stochastic=True)
    episodes, steps = batch // args.tasks, args.steps or spec.horizon
    starts = draw_starts(family, episodes, tasks, jax.random.key(3))
    noise = draw_noise(actor, steps, batch, episodes, jax.random.key(4))
    draws = Draws(
        unpack(starts.reshape(args.tasks, episodes, -1), state_sizes(family)),
        jnp.moveaxis(noise, 0, 1).reshape(args.tasks, episodes, steps, -1),
    )
    seconds = []
    for _ in range(args.repeats + 1):
        start = time.perf_counter()
        jax.block_until_ready(world.rollout(actor, policies, tasks, episodes, draws))
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds[1:])
    return {
        "family": family.name,
        "sim": sim,
        "batch": batch,
        "control_steps": steps,
        "control_steps_per_second": round(batch * steps / median),
        "first_rollout_seconds": round(seconds[0], 1),
        "rollout_seconds": [round(s, 3) for s in seconds[1:]],
    }


if __name__ == "__main__":
    main()
