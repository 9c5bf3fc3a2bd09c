"""Pictures per second: OpenGL backends, the whole closed loop with its parts, the network, memory.

Backends: frames of 48 x 64 of an expert's states, by `Cameras` in a process for each backend, one
thread and all. Loop: `VisionWorld.rollout` with one policy for all tasks, and how long its parts
took, summed over the two halves that run at once. Network: `encode` and its gradient. Leak:
resident memory before and after 10,000 frames. Warp: mujoco-warp's ray tracer on the same states,
if an interpreter that has it is named; see `rendering_warp.py`.

Every figure is given by wall clock and by CPU second of this process: the latter is what counts
where other programs run beside it.

Example:
    python benchmarks/rendering.py --out benchmarks/results/rendering.json
    python benchmarks/rendering.py --warp warp/bin/python
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from model_xml import model_xml
from reports import write_report
from sampling import environment

from gmps.core.policy import PolicyActor, init_policy
from gmps.core.types import stack
from gmps.cores import usable_cores
from gmps.experts.base import ExpertActor
from gmps.sim.cameras import Cameras
from gmps.sim.episodes import pack
from gmps.sim.gl import free_camera
from gmps.sim.native import NativeSimulator
from gmps.tasks import make_family
from gmps.tasks.pixels import PixelFamily
from gmps.worlds import native_world
from gmps.worlds.factory import make_world


def main() -> None:
    args = parse()
    if args.backend:
        print(json.dumps(backend(args)))
        return
    load, results = os.getloadavg(), {}
    results["backends"] = [one_backend(name, args) for name in args.backends]
    results["loop"] = [loop(name, args) for name in args.families]
    results["network"] = network(args)
    if args.warp:
        results["mujoco-warp"] = [ray_traced(name, args) for name in args.families]
    report = {
        "benchmark": "rendering",
        "about": __doc__,
        **results,
        "threads": usable_cores(),
        "environment": environment(load),
    }
    print(json.dumps(results, indent=2))
    write_report(report, args.out)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--families", nargs="+", default=["sawyer-push-vision", "sawyer-door-vision"]
    )
    parser.add_argument("--backends", nargs="+", default=["egl", "osmesa"])
    parser.add_argument("--frames", type=int, default=2000, help="of one measurement (2000)")
    parser.add_argument("--leak-frames", type=int, default=10_000, help="drawn for memory (10000)")
    parser.add_argument("--tasks", type=int, default=10, help="tasks of the loop (10)")
    parser.add_argument("--episodes", type=int, default=8, help="episodes of a task (8)")
    parser.add_argument("--warp", help="an interpreter with mujoco-warp, to measure that too")
    parser.add_argument("--backend", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="write JSON here")
    return parser.parse_args()


def clocked(function: Callable[[], Any], count: int) -> dict[str, int]:
    """Pictures per second of wall clock and of CPU time."""
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return {
        "per_second": round(count / (time.perf_counter() - wall)),
        "per_cpu_second": round(count / (time.process_time() - cpu)),
    }


def one_backend(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """A measurement in a process of its own: a backend is chosen once."""
    command = [sys.executable, __file__, "--backend", name, "--families", *args.families]
    command += ["--frames", str(args.frames), "--leak-frames", str(args.leak_frames)]
    env = {**os.environ, "MUJOCO_GL": name}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        return {"backend": name, "failed": done.stderr.strip().splitlines()[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def backend(args: argparse.Namespace) -> dict[str, Any]:
    rows, leak = [], {}
    for name in args.families:
        family = make_family(name)
        assert isinstance(family, PixelFamily)
        states = expert_states(family, args.frames)
        frames = np.empty((args.frames, family.view.height, family.view.width, 3), np.uint8)
        for threads in sorted({1, usable_cores()}):
            cameras = Cameras(family, threads)
            cameras.draw(states[:50], frames[:50])
            timed = clocked(partial(cameras.draw, states, frames), args.frames)
            rows.append({"family": name, "threads": threads, **timed})
            if threads == 1 and not leak:
                before = resident_mb()
                for _ in range(args.leak_frames // args.frames):
                    cameras.draw(states, frames)
                leak = {"frames": args.leak_frames, "grown_mb": round(resident_mb() - before, 1)}
            cameras.close()
    return {"backend": args.backend, "drawing": rows, "memory": leak}


def expert_states(family: PixelFamily, count: int) -> np.ndarray:
    """Packed states of the scripted expert's episodes, repeated as often as need be."""
    tasks = family.tasks("train", 4)
    blind = native_world.NativeWorld(family, 1)
    assert family.expert is not None
    actor = ExpertActor(family.expert, family.spec.act_size)
    roll = blind.rollout(actor, jnp.full(4, 0.3), tasks, 1, jax.random.key(0))
    states = np.asarray(jax.vmap(jax.vmap(jax.vmap(pack)))(roll.states))
    flat = states.reshape(-1, states.shape[-1])
    return np.resize(flat, (count, flat.shape[1]))


def ray_traced(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """The whole square picture and the learner's size of it, by mujoco-warp on a CPU."""
    family = make_family(name)
    assert isinstance(family, PixelFamily)
    qpos = expert_states(family, args.frames)[:, : family.model().nq]
    script, rows = Path(__file__).with_name("rendering_warp.py"), []
    with tempfile.TemporaryDirectory() as folder:
        scene, states = Path(folder) / "scene.xml", Path(folder) / "qpos.npy"
        np.save(states, qpos)
        for size in ((family.view.rendered,) * 2, (family.view.height, family.view.width)):
            scene.write_text(scene_xml(family, *size))
            words = [args.warp, script, scene, states]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode:
                return {"family": name, "failed": done.stderr.strip().splitlines()[-1]}
            rows.append(json.loads(done.stdout.splitlines()[-1]))
    return {"family": name, "drawing": rows}


def scene_xml(family: PixelFamily, height: int, width: int) -> str:
    """The family's scene with its camera, for programs that read MuJoCo's XML."""
    model = family.model()
    camera = free_camera(model, family.view.camera)
    azimuth, elevation = np.deg2rad([camera.azimuth, camera.elevation])
    level = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    forward = np.cos(elevation) * level + [0.0, 0.0, np.sin(elevation)]
    right = np.array([level[1], -level[0], 0.0])
    axes = np.concatenate([right, np.cross(right, forward)])
    position = camera.lookat - camera.distance * forward
    numbers = {"pos": position, "xyaxes": axes, "fovy": [model.vis.global_.fovy]}
    fields = " ".join(f'{k}="{" ".join(map(str, v))}"' for k, v in numbers.items())
    view = f'<camera name="view" {fields} resolution="{width} {height}"/>'
    return model_xml(family).replace("</worldbody>", f"{view}</worldbody>")


def resident_mb() -> float:
    """Resident memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def loop(name: str, args: argparse.Namespace) -> dict[str, Any]:
    world = make_world(make_family(name))
    family = world.family
    assert isinstance(family, PixelFamily)
    tasks = family.tasks("train", args.tasks)
    shown, act_size = family.proprioception_size, family.spec.act_size
    policy = init_policy(jax.random.key(0), shown, act_size, camera=True)
    actor = PolicyActor(act_size, needs_frames=True)
    count = args.tasks * args.episodes * family.spec.horizon

    def roll() -> None:
        policies = stack(policy, args.tasks)
        world.rollout(actor, policies, tasks, args.episodes, jax.random.key(0))

    roll()
    speed = clocked(roll, count)
    with profile() as seconds:
        wall = time.perf_counter()
        roll()
        whole = time.perf_counter() - wall
    return {
        "family": name,
        "batch": args.tasks * args.episodes,
        **speed,
        "profile": {
            "wall_seconds": round(whole, 3),
            **{part: round(x, 3) for part, x in seconds.items()},
        },
    }


@contextlib.contextmanager
def profile() -> Iterator[dict[str, float]]:
    """Wall-clock seconds of the loop's parts, of both halves together."""
    seconds = {"drawing": 0.0, "policy": 0.0, "physics": 0.0, "after_the_episodes": 0.0}

    def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            result = jax.block_until_ready(function(*args, **kwargs))
            seconds[part] += time.perf_counter() - start
            return result

        return run

    plain = Cameras.draw, native_world._decider, NativeSimulator.step, native_world.ep.finish
    Cameras.draw = timed("drawing", plain[0])
    native_world._decider = lambda *x: timed("policy", plain[1](*x))
    NativeSimulator.step = timed("physics", plain[2])
    native_world.ep.finish = timed("after_the_episodes", plain[3])
    try:
        yield seconds
    finally:
        Cameras.draw, native_world._decider, NativeSimulator.step, native_world.ep.finish = plain


def network(args: argparse.Namespace) -> dict[str, Any]:
    """Pictures per second through the convolutions, forwards and for a gradient."""
    frames = np.random.default_rng(0).integers(0, 256, (args.frames, 48, 64, 3), dtype=np.uint8)
    hand = np.zeros((args.frames, 3), np.float32)
    encoder = init_policy(jax.random.key(0), 3, 3, camera=True).encoder
    forward = jax.jit(lambda e, obs, f: e(obs, f))
    gradient = jax.jit(jax.grad(lambda e, obs, f: (e(obs, f) ** 2).sum()))
    rows = {}
    for name, function in (("forward", forward), ("gradient", gradient)):
        jax.block_until_ready(function(encoder, hand, frames))
        rows[name] = clocked(
            lambda f=function: jax.block_until_ready(f(encoder, hand, frames)), args.frames
        )
    return rows


if __name__ == "__main__":
    main()
