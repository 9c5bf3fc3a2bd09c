"""Milliseconds of one outer step of `gmps-latent`, beside a PyTorch loop.

Both on the CPU. A block of outer steps on the same episodes, as in training: each draws labels of
all tasks, imitates them at inferred and at own latents and at the prior's mean, and takes a step
of Adam on network, latents and advantage. `gmps` is `gmps.methods.latent_imitation.outer_steps`;
`torch` is `benchmarks/torch_latent.py`, which is handed the drawn labels and noise; `matmul` is
one product of two square matrices, the speed that nothing exceeds.

Both sides get the same arrays and are timed in turn, in short bursts after an untimed call; the
figures are medians. The report says how far the learned parameters differ after the block.

PyTorch is no dependency of gmps; `benchmarks/meta_update.py` says what to install.

Example:
    python benchmarks/latent_update.py --torch-python torch-venv/bin/python \\
        --out benchmarks/results/latent_update.json
"""

import argparse
import dataclasses
import json
import os
import statistics
import tempfile
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key
from meta_update import (
    FAMILIES,
    MATMUL,
    Torch,
    common_options,
    environment,
    matmul_timer,
    measure,
    timed,
)
from reports import write_report

from gmps.core.encoders import Identity
from gmps.core.nets import init_head
from gmps.core.policy import Policy
from gmps.core.types import Demonstrations
from gmps.data.aggregate import Aggregate, start_aggregate
from gmps.data.augmentation import evenly_below
from gmps.methods.episode_advantage import EpisodeAdvantage, RewardScale, init_advantage
from gmps.methods.gmps_latent import inner_step
from gmps.methods.gmps_latent_settings import GmpsLatentConfig
from gmps.methods.latent_imitation import (
    Explored,
    LatentParams,
    optimiser_of,
    outer_steps,
    start_latents,
)

CONFIG = GmpsLatentConfig()


class Problem(NamedTuple):
    """What a block of outer steps takes."""

    params: LatentParams
    data: Aggregate
    scale: RewardScale
    explored: Explored
    key: Key[Array, ""]


def main() -> None:
    args = parse()
    jax.config.update("jax_platforms", "cpu")
    config = dataclasses.replace(CONFIG, outer_steps=args.steps)
    problem = make_problem(args.family, args.tasks, args.labels, args.seed)
    block = jax.jit(partial(take_steps, config=config))
    learned = named(jax.block_until_ready(block(problem)))
    timers = {"matmul": matmul_timer(), "gmps": lambda: timed(block, problem)}
    load = os.getloadavg()
    handed = inputs(problem, config)
    with (
        tempfile.TemporaryDirectory() as folder,
        Torch(args.torch_python, "torch_latent.py", handed, Path(folder)) as torch,
    ):
        if torch.version:
            timers["torch"] = torch.seconds
            theirs = torch.results()
        seconds = measure(timers, args.repeats)
    median = {name: 1e3 * statistics.median(times) for name, times in seconds.items()}
    peak = 2 * MATMUL**3 / median["matmul"]
    work = flops(args.family, args.tasks * config.labels)
    report = {
        "benchmark": "latent_update",
        "about": __doc__,
        "setting": {
            "family": args.family,
            "tasks": args.tasks,
            "labels": args.labels,
            "labels_of_a_step": config.labels,
            "steps": args.steps,
            "hidden": config.hidden,
            "latent": config.latent,
            "episodes": config.episodes,
            "segments": config.segments,
            "dtype": "float32",
            "seed": args.seed,
            "gflop_of_a_step": work / 1e9,
        },
        "results": {
            name: {
                "median_ms": median[name] / each,
                "quartiles_ms": (1e3 * np.quantile(times, (0.25, 0.75)) / each).tolist(),
                "repeats": len(times),
            }
            for name, times in seconds.items()
            for each in [1 if name == "matmul" else args.steps]
        },
        "share_of_matmul": {
            name: work * args.steps / median[name] / peak for name in median if name != "matmul"
        },
        "environment": environment(load, torch.version),
    }
    if torch.version:
        report["torch_over_gmps"] = median["torch"] / median["gmps"]
        start = named(problem.params)
        report["relative_difference"] = {
            name: float(np.linalg.norm(x - theirs[name]) / np.linalg.norm(x - start[name]))
            for name, x in learned.items()
        }
    print(json.dumps({k: v for k, v in report.items() if k != "about"}, indent=2))
    write_report(report, args.out)


def parse() -> argparse.Namespace:
    parser = common_options(__doc__, repeats=7)
    parser.add_argument("--family", choices=FAMILIES, default="ant-goal", help="sizes of")
    parser.add_argument("--labels", type=int, default=4000, help="labels of each task (4000)")
    parser.add_argument("--steps", type=int, default=CONFIG.outer_steps, help="of a block")
    return parser.parse_args()


def make_problem(family: str, tasks: int, labels: int, seed: int) -> Problem:
    """Random labels and episodes; the arithmetic does not depend on where they come from."""
    obs_size, act_size, _ = FAMILIES[family]
    rng = np.random.default_rng(seed)

    def normal(*size: int) -> jax.Array:
        return jnp.asarray(rng.normal(size=size), jnp.float32)

    keys = jax.random.split(jax.random.key(seed), 4)
    head = init_head(keys[0], obs_size, act_size, hidden=CONFIG.hidden, bias_size=CONFIG.latent)
    advantage = init_advantage(
        keys[1], CONFIG.segments, CONFIG.latent, CONFIG.advantage_hidden, CONFIG.step_size
    )
    params = LatentParams(
        Policy(Identity(), head), start_latents(tasks, CONFIG.latent, keys[2]), advantage
    )
    demos = Demonstrations(
        obs=normal(tasks, labels, obs_size),
        act=jnp.clip(normal(tasks, labels, act_size), -1, 1),
        valid=jnp.ones((tasks, labels), bool),
    )
    rewards = normal(tasks, CONFIG.episodes, CONFIG.segments)
    scale = RewardScale.unknown(CONFIG.segments).update(rewards, first=True)
    explored = Explored(rewards, normal(tasks, CONFIG.episodes, CONFIG.latent))
    return Problem(params, start_aggregate(demos, 0), scale, explored, keys[3])


def infer(
    advantage: EpisodeAdvantage, scale: RewardScale, explored: Explored, key: Key[Array, ""]
) -> Float[Array, "1 task z"]:
    """As of the method, for white draws."""
    del key
    return inner_step(advantage, scale, explored)[None]


def take_steps(problem: Problem, config: GmpsLatentConfig) -> LatentParams:
    params, data, scale, explored, key = problem
    start: Any = optimiser_of(config).init(params)  # pyright: ignore[reportArgumentType]
    return outer_steps(params, start, data, scale, explored, key, config, None, infer)[0]


def inputs(problem: Problem, config: GmpsLatentConfig) -> dict[str, np.ndarray]:
    """What the PyTorch side reads, and what each step draws."""
    params, data, scale, explored, key = problem
    count = jnp.broadcast_to(data.count[:, None], (len(data.count), config.labels))

    def drawn(key: Key[Array, ""]) -> tuple[Array, Array]:
        of_labels, of_noise = jax.random.split(key)
        mean = params.latents.mean
        return evenly_below(count, of_labels), jax.random.normal(of_noise, mean.shape, mean.dtype)

    rows, noise = jax.vmap(drawn)(jax.random.split(key, config.outer_steps))
    return {
        **named(params),
        "obs": np.asarray(data.obs),
        "act": np.asarray(data.act),
        "rows": np.asarray(rows, np.int64),
        "own_noise": np.asarray(noise),
        "rewards": np.asarray(explored.rewards),
        "noise": np.asarray(explored.noise),
        "scale_mean": np.asarray(scale.mean),
        "scale_std": np.asarray(scale.std),
        "return_std": np.asarray(scale.return_std),
        "kl_weight": np.asarray(config.kl_weight),
        "blind_weight": np.asarray(config.blind_weight),
        "rate": np.asarray(config.learning_rate),
    }


def named(params: LatentParams) -> dict[str, np.ndarray]:
    """What is learned, as `torch_latent.py` calls it."""
    head, advantage = params.net.head, params.advantage
    arrays = {
        **{f"w{i}": x for i, x in enumerate(head.weights)},
        **{f"b{i}": x for i, x in enumerate(head.biases)},
        "z_mean": params.latents.mean,
        "z_log_std": params.latents.log_std,
        **{name: getattr(advantage, name) for name in ("weight", "hidden", "bias", "out")},
    }
    return {name: np.asarray(x) for name, x in arrays.items()}


def flops(family: str, samples: int) -> float:
    """Operations in the matrix products of a step: three passes, whose product with observations is
    one, and their gradients for all layers and, but for the first, for what goes in."""
    obs_size, act_size, _ = FAMILIES[family]
    first, *behind = [a * b for a, b in pairwise((obs_size, *CONFIG.hidden, act_size))]
    return 2.0 * samples * (first + 3 * first + 3 * 3 * sum(behind))


if __name__ == "__main__":
    main()
