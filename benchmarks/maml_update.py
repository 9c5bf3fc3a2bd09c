"""Milliseconds of one outer step of MAML, beside a PyTorch loop.

One trust-region step on the policies after one inner step: the loss and its gradient, 10
iterations of conjugate gradient whose Fisher products go through the inner step, and the line
search. `gmps` is `gmps.methods.outer.trpo_step` on `gmps.methods.maml.adapted`; `torch` is
`benchmarks/torch_maml.py`; `matmul` is one product of two square matrices, the speed that nothing
exceeds.

Both sides get the same arrays and are timed in turn, in short bursts after an untimed call; the
figures are medians. The report says how far losses, gradients and steps differ between them.

PyTorch is no dependency of gmps; `benchmarks/meta_update.py` says what to install.

Example:
    python benchmarks/maml_update.py --torch-python torch-venv/bin/python \\
        --out benchmarks/results/maml_update.json
"""

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from meta_update import (
    FAMILIES,
    MATMUL,
    Torch,
    common_options,
    environment,
    flat,
    matmul_timer,
    measure,
    named_params,
    timed,
)
from reports import write_report

from gmps.core.adapt import init_step_sizes
from gmps.core.losses import InnerBatch, log_probs
from gmps.core.meta_gradient import MetaParams
from gmps.core.nets import GaussianPolicy, init_head
from gmps.core.surrogates import ratio_loss
from gmps.methods.maml import adapted, learned
from gmps.methods.maml_settings import MamlConfig
from gmps.methods.outer import Metrics, trpo_step

CONFIG = MamlConfig()

Problem = tuple[MetaParams, tuple[InnerBatch, ...], InnerBatch]


def main() -> None:
    args = parse()
    problem = make_problem(args.family, args.tasks, args.episodes, args.seed)
    load = os.getloadavg()
    with (
        tempfile.TemporaryDirectory() as folder,
        Torch(args.torch_python, "torch_maml.py", inputs(problem), Path(folder)) as torch,
    ):
        timers, results, metrics = gmps_side(problem)
        if torch.version:
            timers["torch"] = torch.seconds
            results["torch"] = torch.results()
        seconds = measure(timers, args.repeats)
    median = {name: 1e3 * statistics.median(times) for name, times in seconds.items()}
    report = {
        "benchmark": "maml_update",
        "about": __doc__,
        "setting": {
            "family": args.family,
            "tasks": args.tasks,
            "inner_samples": args.episodes * FAMILIES[args.family][2],
            "outer_samples": args.episodes * FAMILIES[args.family][2],
            "hidden": CONFIG.hidden,
            "bias_transformation": CONFIG.bias_size,
            "step_sizes": CONFIG.step_sizes,
            "cg_iterations": CONFIG.trust_region.cg_iterations,
            "damping": CONFIG.trust_region.damping,
            "dtype": "float32",
            "seed": args.seed,
        },
        "results": {
            name: {
                "median_ms": median[name],
                "min_ms": 1e3 * min(times),
                "max_ms": 1e3 * max(times),
                "repeats": len(times),
            }
            for name, times in seconds.items()
        },
        "matmul_gflop_per_s": 2e-6 * MATMUL**3 / median["matmul"],
        "step": {name: float(value) for name, value in metrics.items()},
        "environment": environment(load, torch.version),
    }
    if torch.version:
        report["torch_over_gmps"] = median["torch"] / median["gmps"]
        report["relative_difference"] = differences(results["gmps"], results["torch"])
    print(json.dumps({k: v for k, v in report.items() if k != "about"}, indent=2))
    write_report(report, args.out)


def parse() -> argparse.Namespace:
    parser = common_options(__doc__, repeats=3)
    parser.add_argument("--family", choices=FAMILIES, default="sawyer-push", help="sizes of")
    parser.add_argument("--episodes", type=int, default=20, help="episodes of each task (20)")
    return parser.parse_args()


def make_problem(family: str, tasks: int, episodes: int, seed: int) -> Problem:
    """Random states and advantages; the actions are drawn from the policies that act."""
    obs_size, act_size, horizon = FAMILIES[family]
    rng = np.random.default_rng(seed)
    policy = init_head(
        jax.random.key(seed),
        obs_size,
        act_size,
        hidden=CONFIG.hidden,
        bias_size=CONFIG.bias_size,
        bias_init=0.1,
        std=CONFIG.std,
    )
    params = MetaParams(policy, init_step_sizes(policy, CONFIG.step_sizes, CONFIG.step_size))
    shape = (tasks, episodes, horizon)

    def normal(*size: int) -> jax.Array:
        return jnp.asarray(rng.normal(size=size), jnp.float32)

    def episodes_of(policies: GaussianPolicy) -> InnerBatch:
        obs = normal(*shape, obs_size)
        means, _ = jax.vmap(lambda p, o: jax.vmap(jax.vmap(p))(o))(policies, obs)
        act = means + CONFIG.std * normal(*shape, act_size)
        return InnerBatch(
            obs=obs,
            act=act,
            advantage=normal(*shape),
            log_prob=jax.vmap(log_probs)(policies, obs, act),
            weight=jnp.ones(shape),
            alive=jnp.ones(shape, bool),
        )

    before = episodes_of(jax.tree.map(lambda x: jnp.broadcast_to(x, (tasks, *x.shape)), policy))
    after = episodes_of(jax.jit(partial(adapted, config=CONFIG))(params, (before,)))
    return params, (before,), after


def outer_step(
    params: MetaParams, before: tuple[InnerBatch, ...], after: InnerBatch
) -> tuple[MetaParams, Metrics]:
    policies = lambda p: adapted(p, before, CONFIG)  # noqa: E731
    return trpo_step(policies, params, learned(params, CONFIG), after, CONFIG.trust_region)


def loss(params: MetaParams, before: tuple[InnerBatch, ...], after: InnerBatch) -> Any:
    return jax.vmap(ratio_loss)(adapted(params, before, CONFIG), after).mean()


def gmps_side(
    problem: Problem,
) -> tuple[dict[str, Callable[[], float]], dict[str, dict[str, np.ndarray]], Metrics]:
    """Timers, what was computed, and the figures of the step."""
    step = jax.jit(outer_step)
    value, gradient = jax.jit(jax.value_and_grad(loss))(*problem)
    new, metrics = step(*problem)
    results = {
        "loss": np.asarray(value),
        "gradient": flatten(gradient),
        "step": flatten(jax.tree.map(jnp.subtract, new, problem[0])),
    }
    timers = {
        "matmul": matmul_timer(),
        "gmps": lambda: timed(step, *problem),
    }
    return timers, {"gmps": results}, metrics


def flatten(params: MetaParams) -> np.ndarray:
    """One vector in the order of the PyTorch side, whose standard deviation does not adapt."""
    arrays = named_params(params)
    return np.concatenate([x.ravel() for name, x in arrays.items() if name != "alpha_log_std"])


def differences(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> dict[str, float]:
    """Norm of each difference over the norm; of the loss, which is about 0, the difference."""
    norm = lambda name: np.linalg.norm(b[name]) if name != "loss" else 1.0  # noqa: E731
    return {name: float(np.linalg.norm(a[name] - b[name]) / norm(name)) for name in a}


def inputs(problem: Problem) -> dict[str, np.ndarray]:
    """What the PyTorch side reads."""
    params, (before,), after = problem
    fields = ("obs", "act", "advantage", "log_prob")
    samples = {
        f"{when}_{name}": flat(getattr(batch, name))
        for when, batch in (("before", before), ("after", after))
        for name in fields
    }
    return {**named_params(params), **samples}


if __name__ == "__main__":
    main()
