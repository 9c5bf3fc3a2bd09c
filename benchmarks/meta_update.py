"""Milliseconds of one GMPS meta-gradient, second order, beside plain JAX and a PyTorch loop.

All sides get the same arrays and are timed in turn, in short bursts after an untimed call; the
figures are medians. `gmps` is `gmps.core.meta_gradient.meta_value_and_grad`; `vmap` and `map`
differentiate its plain definition, over all tasks at once and one by one; `torch` is
`benchmarks/torch_loop.py`; `matmul` is one product of two square matrices, the speed that nothing
exceeds.

Gradients agree to 1e-6 unless a ReLU's input is zero to rounding: one unit that opens for one
sample on one side only moves them by up to 1e-3. With 16 million inputs that happens for every
other seed; the default seed is one without.

All runs on JAX's default device, a GPU where there is one; PyTorch's side on `--torch-device`. A
GPU's products are in TensorFloat-32 unless `--precision float32` asks for more; PyTorch's are not.

PyTorch is no dependency of gmps. Give the interpreter of an environment that has it:
    python3.11 -m venv torch-venv && torch-venv/bin/pip install torch==2.13.0 numpy

Example:
    python benchmarks/meta_update.py --torch-python torch-venv/bin/python \\
        --out benchmarks/results/meta_update.json
"""

import argparse
import importlib.metadata
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from reports import write_report

from gmps.core.adapt import init_step_sizes
from gmps.core.losses import InnerBatch
from gmps.core.meta_gradient import MetaParams, meta_loss, meta_value_and_grad
from gmps.core.nets import GaussianPolicy, init_head
from gmps.core.types import Demonstrations
from gmps.cores import usable_cores

#: Sizes of an observation and an action, and the horizon.
FAMILIES = {"sawyer-push": (6, 3, 50), "ant-goal": (38, 8, 200)}
(OBS, ACT, _), BIAS, HIDDEN = FAMILIES["ant-goal"], 4, (100, 100)
MATMUL = 2048
#: Timed calls of one side in a row, and the pause in seconds before them: the threads of the other
#: library spin for a while after their work.
BURST, PAUSE = 3, 0.3

Problem = tuple[MetaParams, tuple[InnerBatch, ...], Demonstrations]


def main() -> None:
    args = parse()
    jax.config.update("jax_default_matmul_precision", args.precision)
    problem = make_problem(args.tasks, args.episodes, args.steps, args.seed)
    load = os.getloadavg()
    with (
        tempfile.TemporaryDirectory() as folder,
        Torch(
            args.torch_python, "torch_loop.py", inputs(problem), Path(folder), args.torch_device
        ) as torch,
    ):
        timers, gradients = jax_sides(problem)
        if torch.version:
            gradients["torch"] = torch.results()
            timers["torch"] = torch.seconds
        seconds = measure(timers, args.repeats)
    work = flops(args.tasks * args.episodes * args.steps)
    peak = 2 * MATMUL**3 / statistics.median(seconds["matmul"])
    report = {
        "benchmark": "meta_update",
        "about": __doc__,
        "setting": {
            "tasks": args.tasks,
            "inner_samples": args.episodes * args.steps,
            "outer_samples": args.episodes * args.steps,
            "policy": [OBS + BIAS, *HIDDEN, ACT],
            "step_sizes": "parameter",
            "order": "second",
            "dtype": "float32",
            "precision": args.precision or "default",
            "torch_device": args.torch_device,
            "seed": args.seed,
            "gflop": work / 1e9,
        },
        "results": {
            name: summary(times, 2 * MATMUL**3 if name == "matmul" else work, peak)
            for name, times in seconds.items()
        },
        "max_relative_gradient_difference": {
            name: difference(other, gradients["gmps"])
            for name, other in gradients.items()
            if name != "gmps"
        },
        "environment": environment(load, torch.version),
    }
    if torch.version:
        median = {name: result["median_ms"] for name, result in report["results"].items()}
        report["torch_over_gmps"] = median["torch"] / median["gmps"]
    show(report)
    write_report(report, args.out)


def parse() -> argparse.Namespace:
    parser = common_options(__doc__, repeats=7)
    parser.add_argument("--episodes", type=int, default=20, help="episodes of each task (20)")
    parser.add_argument("--steps", type=int, default=200, help="steps of an episode (200)")
    parser.add_argument("--torch-device", default="cpu", help="PyTorch's device: cpu or cuda (cpu)")
    parser.add_argument(
        "--precision",
        choices=("float32", "tensorfloat32"),
        help="of JAX's products (JAX's default)",
    )
    return parser.parse_args()


def common_options(about: str | None, repeats: int) -> argparse.ArgumentParser:
    """Options of every update that is measured beside PyTorch."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=20, help="tasks (20)")
    parser.add_argument(
        "--repeats", type=int, default=repeats, help=f"bursts of 3 timed calls ({repeats})"
    )
    parser.add_argument("--seed", type=int, default=4, help="of the samples and the policy (4)")
    parser.add_argument("--torch-python", help="interpreter of an environment with torch and numpy")
    parser.add_argument("--out", type=Path, help="write JSON here")
    return parser


def make_problem(tasks: int, episodes: int, steps: int, seed: int) -> Problem:
    """Random samples; the arithmetic does not depend on where they come from."""
    rng = np.random.default_rng(seed)
    policy = init_head(jax.random.key(seed), OBS, ACT, hidden=HIDDEN, bias_size=BIAS, bias_init=0.1)
    params = MetaParams(policy, init_step_sizes(policy, "parameter", 0.1))
    shape = (tasks, episodes, steps)

    def normal(*size: int) -> jax.Array:
        return jnp.asarray(rng.normal(size=size), jnp.float32)

    batch = InnerBatch(
        obs=normal(*shape, OBS),
        act=normal(*shape, ACT),
        advantage=normal(*shape),
        log_prob=normal(*shape),
        weight=jnp.asarray(rng.uniform(0.5, 1.5, size=shape), jnp.float32),
        alive=jnp.ones(shape, bool),
    )
    n = episodes * steps
    demos = Demonstrations(
        obs=normal(tasks, n, OBS),
        act=jnp.clip(normal(tasks, n, ACT), -1, 1),
        valid=jnp.ones((tasks, n), bool),
    )
    return params, (batch,), demos


def flops(samples: int) -> float:
    """Operations in the matrix products alone, for as many inner as outer samples.

    With P multiplications in a forward pass and P1 in all but its first layer: a gradient takes
    2 P + P1, a Hessian product on its activations 2 P + 4 P1.
    """
    sizes = (OBS, *HIDDEN, ACT)
    layers = [a * b for a, b in pairwise(sizes)]
    every, behind = sum(layers), sum(layers[1:])
    return 2.0 * samples * (2 * (2 * every + behind) + 2 * every + 4 * behind)


def one_by_one(params: MetaParams, batches: tuple[InnerBatch, ...], demos: Demonstrations) -> Any:
    """The plain definition, differentiated task by task."""

    def one_task(task: tuple[tuple[InnerBatch, ...], Demonstrations]) -> Any:
        batches, demos = jax.tree.map(lambda x: x[None], task)
        return jax.value_and_grad(meta_loss, has_aux=True)(params, batches, demos)

    (losses, _), gradients = jax.lax.map(one_task, (batches, demos))
    return (losses.mean(), losses), jax.tree.map(lambda g: g.mean(0), gradients)


def jax_sides(
    problem: Problem,
) -> tuple[dict[str, Callable[[], float]], dict[str, dict[str, np.ndarray]]]:
    """A timer of each side, and the gradients that it computes."""
    sides = {
        "gmps": lambda *problem: meta_value_and_grad(*problem)[:2],
        "vmap": jax.value_and_grad(meta_loss, has_aux=True),
        "map": one_by_one,
    }
    timers, gradients = {"matmul": matmul_timer()}, {}
    for name, side in sides.items():
        compiled = jax.jit(side)
        gradients[name] = named_params(compiled(*problem)[1])
        timers[name] = lambda compiled=compiled: timed(compiled, *problem)
    return timers, gradients


def matmul_timer() -> Callable[[], float]:
    """Times one product of two square matrices, which is compiled here."""
    square = jnp.asarray(np.random.default_rng(1).normal(size=(MATMUL, MATMUL)), jnp.float32)
    product = jax.jit(jnp.matmul)
    jax.block_until_ready(product(square, square))
    return lambda: timed(product, square, square)


def timed(function: Callable[..., Any], *args: Any) -> float:
    start = time.perf_counter()
    jax.block_until_ready(function(*args))
    return time.perf_counter() - start


def named(policy: GaussianPolicy) -> dict[str, np.ndarray]:
    """The trained leaves of a policy, as `torch_loop.py` calls them."""
    return {
        **{f"w{i}": np.asarray(x) for i, x in enumerate(policy.weights)},
        **{f"b{i}": np.asarray(x) for i, x in enumerate(policy.biases)},
        "bias_transform": np.asarray(policy.bias_transform),
        "log_std": np.asarray(policy.log_std),
    }


class Torch:
    """The worker process of the PyTorch side; `version` is None where there is no PyTorch."""

    def __init__(
        self,
        python: str | None,
        script: str,
        inputs: dict[str, np.ndarray],
        folder: Path,
        device: str = "cpu",
    ) -> None:
        self.folder = folder
        self.version: str | None = None
        self.process: subprocess.Popen[str] | None = None
        if not python:
            print("PyTorch side left out: no --torch-python (see --help).")
            return
        check = [python, "-c", "import torch, numpy"]
        try:
            subprocess.run(check, check=True, capture_output=True, text=True)
        except FileNotFoundError:
            raise SystemExit(f"--torch-python {python}: there is no such file.") from None
        except subprocess.CalledProcessError as error:
            reason = error.stderr.strip().splitlines()[-1]
            print(f"PyTorch side left out: {python} says {reason!r} (see --help).")
            return
        np.savez(folder / "inputs.npz", **inputs)  # pyright: ignore[reportArgumentType]
        command = [python, str(Path(__file__).with_name(script)), str(folder / "inputs.npz")]
        self.process = subprocess.Popen(
            [*command, "--threads", str(usable_cores()), "--device", device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.version = self.answer().split()[1]

    def __enter__(self) -> "Torch":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process:
            self.process.communicate()

    def answer(self) -> str:
        assert self.process and self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the PyTorch side ended with status {self.process.wait()}.")
        return line

    def ask(self, command: str) -> float:
        assert self.process and self.process.stdin
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return float(self.answer())

    def seconds(self) -> float:
        return self.ask("go")

    def results(self) -> dict[str, np.ndarray]:
        path = self.folder / "results.npz"
        self.ask(f"save {path}")
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}


def inputs(problem: Problem) -> dict[str, np.ndarray]:
    params, (batch,), demos = problem
    samples = {name: flat(getattr(batch, name)) for name in ("obs", "act", "advantage", "weight")}
    experts = {"demo_obs": np.asarray(demos.obs), "demo_act": np.asarray(demos.act)}
    return {**named_params(params), **samples, **experts}


def flat(x: jax.Array) -> np.ndarray:
    """One row for each sample of a task."""
    return np.asarray(x).reshape(x.shape[0], -1, *x.shape[3:])


def named_params(params: MetaParams) -> dict[str, np.ndarray]:
    """All that the outer loop learns."""
    step_sizes = {f"alpha_{name}": x for name, x in named(params.step_sizes).items()}
    return {**named(params.policy), **step_sizes}


def measure(timers: dict[str, Callable[[], float]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each side, timed in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(repeats):
        for name, timer in timers.items():
            time.sleep(PAUSE)
            timer()
            seconds[name] += [timer() for _ in range(BURST)]
    return seconds


def summary(times: list[float], work: float, peak: float) -> dict[str, float]:
    median = statistics.median(times)
    return {
        "median_ms": 1e3 * median,
        "min_ms": 1e3 * min(times),
        "max_ms": 1e3 * max(times),
        "gflop_per_s": work / median / 1e9,
        "share_of_matmul": work / median / peak,
        "repeats": len(times),
    }


def difference(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> float:
    """Largest difference in any leaf, relative to that leaf's largest entry."""
    return max(float(np.abs(a[k] - b[k]).max() / np.abs(b[k]).max()) for k in b if b[k].any())


def environment(load: tuple[float, float, float], torch: str | None) -> dict[str, Any]:
    git = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    packages = {name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "numpy")}
    return {
        "commit": git.stdout.strip() or None,
        "python": platform.python_version(),
        "packages": {**packages, "torch": torch},
        "machine": platform.machine(),
        "device": jax.devices()[0].device_kind,
        "cores": usable_cores(),
        "load_average_before_and_after": [round(load[0], 2), round(os.getloadavg()[0], 2)],
    }


def show(report: dict[str, Any]) -> None:
    print(f"{'':8s} {'median':>8s} {'min':>8s} {'max':>8s} ms  {'GFLOP/s':>8s}  of matmul")
    for name, r in report["results"].items():
        print(
            f"{name:8s} {r['median_ms']:8.1f} {r['min_ms']:8.1f} {r['max_ms']:8.1f}     "
            f"{r['gflop_per_s']:8.1f}  {r['share_of_matmul']:9.0%}"
        )
    if "torch_over_gmps" in report:
        print(f"PyTorch's time / gmps's time: {report['torch_over_gmps']:.2f}")
    for name, value in report["max_relative_gradient_difference"].items():
        print(f"largest relative gradient difference, {name}: {value:.1e}")


if __name__ == "__main__":
    main()
