"""Speed of other libraries' vector environments of the ant, closed loop with a 2 x 100 policy.

One measurement, printed as JSON; `throughput.py` calls this. The policy is NumPy, so that an
interpreter with nothing but NumPy and the library will do, and so that no library forks beside JAX.

    gymnasium-sync, gymnasium-async   Gymnasium's Ant-v5 with the XML file given (ours)
    envpool                           EnvPool's Ant-v5, its own XML file (gear 150), no frame skip

Example:
    python benchmarks/vector_envs.py envpool --batch 100 --steps 200 --threads 2
"""

import argparse
import importlib.metadata
import itertools
import json
import statistics
import time
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv


def main() -> None:
    args = parse()
    envs = make(args)
    observation = np.asarray(envs.reset()[0], np.float32)
    rng = np.random.default_rng(0)
    act_size = envs.action_space.shape[-1]
    sizes = [observation.shape[-1], 100, 100, act_size]
    # One policy for each environment group, as in a meta-batch.
    layers = [
        rng.normal(0, 1 / np.sqrt(m), (args.tasks, m, n)).astype(np.float32)
        for m, n in itertools.pairwise(sizes)
    ]
    layers[-1] *= 0.01
    seconds = []
    for repeat in range(args.repeats + 1):
        start = time.perf_counter()
        for _ in range(args.steps):
            x = observation.reshape(args.tasks, args.batch // args.tasks, -1)
            for layer in layers[:-1]:
                x = np.tanh(x @ layer)
            mean = (x @ layers[-1]).reshape(args.batch, act_size)
            act = mean + rng.standard_normal(mean.shape, np.float32)
            observation = np.asarray(envs.step(np.clip(act, -1, 1))[0], np.float32)
        if repeat:  # the first is a warm-up
            seconds.append(time.perf_counter() - start)
    envs.close()
    speeds = [args.batch * args.steps / s for s in seconds]
    print(
        json.dumps(
            {
                "library": args.library,
                "batch": args.batch,
                "repeats": args.repeats,
                "control_steps_per_second": round(statistics.median(speeds)),
                "fastest": round(max(speeds)),
                "version": importlib.metadata.version(args.library.partition("-")[0]),
            }
        )
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("library", choices=["gymnasium-sync", "gymnasium-async", "envpool"])
    parser.add_argument("--batch", type=int, required=True, help="environments")
    parser.add_argument("--tasks", type=int, default=20, help="policies in the batch (20)")
    parser.add_argument("--steps", type=int, default=200, help="control steps a repeat (200)")
    parser.add_argument("--repeats", type=int, default=5, help="timed repeats (5)")
    parser.add_argument("--threads", type=int, default=2, help="EnvPool's threads (2)")
    parser.add_argument("--xml", help="the ant's XML file, for Gymnasium")
    args = parser.parse_args()
    if args.batch % args.tasks:
        parser.error(f"batch {args.batch} is no multiple of {args.tasks} tasks")
    if args.library != "envpool" and not args.xml:
        parser.error(f"{args.library} takes --xml")
    return args


def make(args: argparse.Namespace) -> Any:
    """The vector environment; physics steps of 0.01 s, no frame skip, episodes of 200 steps."""
    if args.library == "envpool":
        import envpool  # noqa: PLC0415 - optional

        return envpool.make_gymnasium(
            "Ant-v5",
            num_envs=args.batch,
            num_threads=args.threads,
            frame_skip=1,
            max_episode_steps=200,
        )

    def ant() -> gymnasium.Env:
        return gymnasium.make(
            "Ant-v5",
            xml_file=args.xml,
            frame_skip=1,
            max_episode_steps=200,
            include_cfrc_ext_in_observation=False,
            exclude_current_positions_from_observation=False,
        )

    kind = SyncVectorEnv if args.library == "gymnasium-sync" else AsyncVectorEnv
    return kind([ant] * args.batch)


if __name__ == "__main__":
    main()
