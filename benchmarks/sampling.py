"""How much of MuJoCo's open-loop speed remains when a policy closes the loop.

Closed loop: `World.rollout`, all of it (start states, noise, a 2 x 100 policy per task, physics,
rewards, episodes). Open loop: one `mujoco.rollout` call on the same model, batch, start states and
controls. Both run in this process, in turn; the figures are medians. The controls are those of the
closed loop, so both simulate the same motion; the run stops if their ends differ.

Example:
    python benchmarks/sampling.py --out benchmarks/results/sampling.json
    python benchmarks/sampling.py --families ant-goal --batches 400 --repeats 11
"""

import argparse
import importlib.metadata
import os
import platform
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import mujoco.rollout
import numpy as np
from reports import write_report

from gmps.core.policy import PolicyActor, init_policy
from gmps.cores import usable_cores
from gmps.sim.episodes import draw_starts, state_sizes, unpack
from gmps.sim.native import markov_model
from gmps.tasks import make_family
from gmps.tasks.base import MujocoFamily
from gmps.worlds.factory import make_world

_CTRL = mujoco.mjtState.mjSTATE_CTRL.value | mujoco.mjtState.mjSTATE_MOCAP_POS.value


def main() -> None:
    args = parse()
    threads = args.threads or usable_cores()
    results, load = [], os.getloadavg()
    for name in args.families:
        family = make_family(name)
        if not isinstance(family, MujocoFamily):
            raise SystemExit(
                f"{name} has no MuJoCo model, so there is no open loop to compare with."
            )
        for batch in args.batches:
            results.append(measure(family, batch, args.tasks, threads, args.repeats))
            print(line(results[-1]), flush=True)
    report = {
        "benchmark": "sampling",
        "about": __doc__,
        "results": results,
        "threads": threads,
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
    parser.add_argument("--threads", type=int, help="physics threads (all cores)")
    parser.add_argument("--repeats", type=int, default=9, help="timed pairs per batch (9)")
    parser.add_argument("--out", type=Path, help="write JSON here")
    args = parser.parse_args()
    for batch in args.batches:
        if batch % args.tasks:
            parser.error(f"batch {batch} is no multiple of {args.tasks} tasks")
    return args


def measure(family: MujocoFamily, batch: int, tasks: int, threads: int, repeats: int) -> dict:
    """Median seconds of both loops; batches below 400 are repeated more often."""
    world = make_world(family, threads)
    goals = family.tasks("train", tasks, jax.random.key(1))
    keys = jax.random.split(jax.random.key(2), tasks)
    spec = family.spec
    policies = jax.vmap(lambda key: init_policy(key, spec.obs_size, spec.act_size))(keys)
    actor = PolicyActor(spec.act_size, stochastic=True)

    def closed() -> Any:
        key = jax.random.key(3)
        return jax.block_until_ready(world.rollout(actor, policies, goals, batch // tasks, key))

    rollout = closed().trajectories
    start_key, _ = jax.random.split(jax.random.key(3))
    starts = draw_starts(family, batch // tasks, goals, start_key)
    controls = commanded(family, starts, rollout)
    loops = {
        "closed": closed,
        "open": open_loop(markov_model(family.model()), family, starts, controls, threads),
        "open_warm_start": open_loop(family.model(), family, starts, controls, threads),
    }
    check_same_motion(family, loops["open"](), controls, rollout)
    repeats = repeats * max(1, min(5, 400 // batch))
    seconds = {name: np.empty(repeats) for name in loops}
    for i in range(repeats):
        for name in list(loops)[:: 1 if i % 2 else -1]:
            seconds[name][i] = timed(loops[name])
    steps = batch * family.spec.horizon
    return {
        "family": family.name,
        "batch": batch,
        "tasks": tasks,
        "repeats": repeats,
        "control_steps_per_second": {
            k: round(steps / float(np.median(v))) for k, v in seconds.items()
        },
        "closed_over_open": ratios(seconds["open"], seconds["closed"]),
        "closed_over_open_warm_start": ratios(seconds["open_warm_start"], seconds["closed"]),
    }


def commanded(family: MujocoFamily, starts: Any, rollout: Any) -> np.ndarray:
    """The controls of a rollout, `(batch, t, control)`."""
    act = jnp.clip(rollout.act, -1, 1).reshape(len(starts), family.spec.horizon, -1)

    def step(state, act):
        control = family.control(state, act)
        return state._replace(mocap_pos=control.mocap_pos), jnp.concatenate(control)

    first = unpack(starts, state_sizes(family))
    controls = jax.vmap(lambda *x: jax.lax.scan(step, *x)[1])(first, act)
    return np.asarray(controls, np.float64)


def check_same_motion(family: MujocoFamily, states: Any, controls: Any, rollout: Any) -> None:
    """Stop unless the open loop ends where the closed loop ended."""
    sizes = state_sizes(family)
    mocap = controls[:, -1, controls.shape[-1] - sizes[2] :]
    final = np.concatenate([states[:, -1, 1:], mocap], -1).astype(np.float32)
    last = jax.vmap(family.observe)(unpack(jnp.asarray(final), sizes))
    ours = np.asarray(rollout.last_obs).reshape(len(final), -1)
    ran_on = np.asarray(rollout.alive.all(-1)).reshape(-1)
    if not np.allclose(last[ran_on], ours[ran_on], rtol=0, atol=1e-6):
        raise SystemExit(f"{family.name}: closed and open loop simulated different motions.")


def open_loop(
    model: mujoco.MjModel, family: MujocoFamily, starts: Any, controls: np.ndarray, threads: int
) -> Callable[[], Any]:
    """The whole episode in one call, with all buffers ready; returns `(batch, step, state)`."""
    first = np.zeros((len(starts), 1 + model.nq + model.nv))
    first[:, 1:] = np.asarray(starts)[:, : model.nq + model.nv]
    held = np.repeat(controls, family.frame_skip, axis=1)
    batch, steps = held.shape[:2]
    states = np.empty((batch, steps, first.shape[1]))
    sensors = np.empty((batch, steps, model.nsensordata))
    pool = mujoco.rollout.Rollout(nthread=threads)
    data = [mujoco.MjData(model) for _ in range(threads)]
    spec = _CTRL if model.nmocap else mujoco.mjtState.mjSTATE_CTRL.value

    def run() -> Any:
        pool.rollout(model, data, first, held, control_spec=spec, state=states, sensordata=sensors)
        return states

    return run


def timed(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def ratios(reference: np.ndarray, seconds: np.ndarray) -> dict[str, Any]:
    """Speed relative to the reference, over pairs measured one after the other."""
    low, median, high = np.quantile(reference / seconds, [0.25, 0.5, 0.75])
    return {
        "of_medians": round(float(np.median(reference) / np.median(seconds)), 3),
        "of_fastest": round(float(reference.min() / seconds.min()), 3),
        "pairs_median": round(float(median), 3),
        "pairs_quartiles": [round(float(low), 3), round(float(high), 3)],
    }


def line(result: dict) -> str:
    speed, ratio = result["control_steps_per_second"], result["closed_over_open"]
    return (
        f"{result['family']:12s} batch {result['batch']:4d}: closed {speed['closed']:6d} steps/s, "
        f"open {speed['open']:6d}, with warm starts {speed['open_warm_start']:6d}; closed/open "
        f"{ratio['of_medians']:.2f} (pairs {ratio['pairs_median']:.2f})"
    )


def environment(load: tuple[float, float, float]) -> dict[str, Any]:
    git = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parent,
    )
    packages = ("jax", "jaxlib", "mujoco", "numpy", "gymnasium", "equinox")
    return {
        "commit": git.stdout.strip() or None,
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "machine": platform.machine(),
        "cores": usable_cores(),
        "load_average_before_and_after": [round(load[0], 2), round(os.getloadavg()[0], 2)],
    }


if __name__ == "__main__":
    main()
