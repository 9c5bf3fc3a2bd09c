"""Control steps per second of MuJoCo Warp, by batch size, open and closed loop.

MuJoCo Warp needs a later MuJoCo than this project's lock holds, so this file runs in an environment
of its own and imports nothing of gmps; `warp_models.py` writes what it reads:

    python benchmarks/warp_models.py build/warp-models
    python -m venv warp && warp/bin/pip install mujoco==4.0.0 mujoco-warp==4.0.0 warp-lang==1.19.0
    warp/bin/python benchmarks/warp_throughput.py build/warp-models --out speed.json

The worlds repeat the 64 recorded episodes. A control step is one CUDA graph: the control, then the
family's frame skip of physics steps. Open loop, the control is a recorded one; closed loop, that of
a 2 x 100 policy for each of 16 tasks, with noise, computed by kernels in the same graph. Speeds are
medians over repeats from the start states, after one that compiles. `threads` is one
`mujoco.rollout` of the same controls on this machine's CPU threads, in the same run.

`difference` says how far the recorded motion is from the one that MuJoCo (the version beside
MuJoCo Warp, in float64) makes of the same controls: the median over worlds, and the most, of the
largest difference in a position (m, rad) after so many control steps. Also, how far the policies'
first actions are from ours.
`overflowed` counts worlds whose contacts or constraints did not fit.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mujoco
import mujoco.rollout
import mujoco_warp
import numpy as np
import warp as wp

#: Room for contacts and constraints, relative to the most that were recorded.
ROOM = 1.5
#: Control steps after which the motion is compared.
COMPARED = (1, 5, 20)
#: Standard deviation of the closed loop's noise, as when the motions were recorded.
STD = 1.0
#: Worlds of the CPU threads' call.
THREADED = 1024


@wp.kernel
def observe(
    qpos: wp.array2d(dtype=float), qvel: wp.array2d(dtype=float), obs: wp.array2d(dtype=float)
):
    """Positions; and, where there is room, velocities and the rotation matrix of the quaternion at
    qpos[3:7], by rows."""
    world = wp.tid()
    nq, nv = qpos.shape[1], qvel.shape[1]
    for i in range(nq):
        obs[world, i] = qpos[world, i]
    if obs.shape[1] > nq:
        for i in range(nv):
            obs[world, nq + i] = qvel[world, i]
        rotation = wp.quat_to_matrix(
            wp.quat(qpos[world, 4], qpos[world, 5], qpos[world, 6], qpos[world, 3])
        )
        for i in range(3):
            for j in range(3):
                obs[world, nq + nv + 3 * i + j] = rotation[i, j]


@wp.kernel
def layer(
    x: wp.array2d(dtype=float),
    weight: wp.array3d(dtype=float),
    bias: wp.array2d(dtype=float),
    hidden: bool,
    out: wp.array2d(dtype=float),
):
    """One layer of the policies; each has the same number of neighbouring worlds."""
    world, unit = wp.tid()
    task = world * weight.shape[0] // x.shape[0]
    total = bias[task, unit]
    for i in range(weight.shape[1]):
        total += x[world, i] * weight[task, i, unit]
    if hidden:
        total = wp.max(total, 0.0)
    out[world, unit] = total


@wp.kernel
def add_noise(act: wp.array2d(dtype=float), std: float, count: wp.array(dtype=int)):
    """Normal noise, other in each step, and clipping to [-1, 1]."""
    world, i = wp.tid()
    state = wp.rand_init(count[0], world * act.shape[1] + i)
    act[world, i] = wp.clamp(act[world, i] + std * wp.randn(state), -1.0, 1.0)


@wp.kernel
def move_target(
    act: wp.array2d(dtype=float), low: wp.vec3, high: wp.vec3, size: wp.vec3,
    target: wp.array2d(dtype=wp.vec3),
):  # fmt: skip
    """The mocap body moves by the action."""
    world = wp.tid()
    move = wp.cw_mul(size, wp.vec3(act[world, 0], act[world, 1], act[world, 2]))
    target[world, 0] = wp.min(wp.max(target[world, 0] + move, low), high)


@wp.kernel
def replay(
    controls: wp.array3d(dtype=float),
    count: wp.array(dtype=int),
    ctrl: wp.array2d(dtype=float),
    target: wp.array2d(dtype=wp.vec3),
):
    """The recorded control of this step."""
    world = wp.tid()
    row, t, n = world % controls.shape[0], count[0], ctrl.shape[1]
    for i in range(n):
        ctrl[world, i] = controls[row, t, i]
    if target.shape[1] > 0:
        target[world, 0] = wp.vec3(
            controls[row, t, n], controls[row, t, n + 1], controls[row, t, n + 2]
        )


@wp.kernel
def advance(count: wp.array(dtype=int)):
    """One more control step is done."""
    count[0] = count[0] + 1


class Worlds:
    """A batch of one model: `open` and `closed` are control steps on the device."""

    def __init__(self, model: mujoco.MjModel, record: dict[str, np.ndarray], count: int):
        self.model, self.record, self.count = model, record, count
        self.frame_skip = int(record["frame_skip"])
        self.m = mujoco_warp.put_model(model)
        self.d = mujoco_warp.make_data(
            model,
            nworld=count,
            nconmax=int(ROOM * record["contacts"]) + 1,
            njmax=int(ROOM * record["constraints"]) + 1,
        )
        self.controls = wp.array(record["controls"], dtype=float)
        self.done = wp.zeros(1, dtype=int)
        nq, nv, nmocap = record["state_sizes"]
        starts = np.resize(record["starts"], (count, record["starts"].shape[1]))
        cuts = np.split(starts.astype(np.float32), [nq, nq + nv], axis=1)
        self.first = [wp.array(x, dtype=float) for x in cuts[:2]]
        if nmocap:
            self.first.append(wp.array(cuts[2].reshape(count, 1, 3), dtype=wp.vec3))
        names = [f"w{i}" for i in range(sum(x.startswith("w") for x in record))]
        self.weights = [wp.array(record[x], dtype=float) for x in names]
        self.biases = [wp.array(record["b" + x[1:]], dtype=float) for x in names]
        widths = [self.weights[0].shape[1], *(w.shape[2] for w in self.weights)]
        self.units = [wp.zeros((count, width), dtype=float) for width in widths]
        self.target = [wp.vec3(*row) for row in record["target"]]

    def reset(self) -> None:
        """To the start states."""
        for array, first in zip(
            (self.d.qpos, self.d.qvel, self.d.mocap_pos), self.first, strict=False
        ):
            wp.copy(array, first)
        self.done.zero_()

    def think(self) -> None:
        """The policies' mean actions, in the last of `units`."""
        wp.launch(observe, self.count, [self.d.qpos, self.d.qvel], [self.units[0]])
        last = len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            out = self.units[i + 1]
            wp.launch(layer, out.shape, [self.units[i], weight, bias, i < last], [out])

    def closed(self) -> None:
        """One control step of the policies."""
        act = self.units[-1]
        self.think()
        wp.launch(add_noise, act.shape, [act, STD, self.done])
        if self.model.nmocap:
            wp.launch(move_target, self.count, [act, *self.target], [self.d.mocap_pos])
        else:
            wp.copy(self.d.ctrl, act)
        self._step()

    def open(self) -> None:
        """One control step of the recording."""
        outputs = [self.d.ctrl, self.d.mocap_pos]
        wp.launch(replay, self.count, [self.controls, self.done], outputs)
        self._step()

    def _step(self) -> None:
        for _ in range(self.frame_skip):
            mujoco_warp.step(self.m, self.d)
        wp.launch(advance, 1, [self.done])


def main() -> None:
    args = parse()
    wp.config.log_level = wp.LOG_ERROR
    wp.init()
    device, results = wp.get_device(args.device), []
    memory = device.total_memory if device.is_cuda else None
    report = {
        "benchmark": "warp_throughput",
        "about": __doc__,
        "results": results,
        "device": {"kind": device.name, "cuda": device.is_cuda, "memory": memory},
        "environment": environment(),
    }
    with wp.ScopedDevice(device):
        for path in sorted(args.models.glob("*.xml")):
            with np.load(path.with_suffix(".npz"), allow_pickle=False) as file:
                record = {name: file[name] for name in file.files}
            model = mujoco.MjModel.from_xml_path(str(path))
            results.append({"family": path.stem, "difference": differences(model, record, args)})
            results.append({"family": path.stem, "threads": threaded(model, record, args)})
            for count in args.worlds:
                for loop in ("open", "closed"):
                    results.append({"family": path.stem, **speed(model, record, count, loop, args)})
                    # What was measured is kept, whatever becomes of the rest.
                    args.out.parent.mkdir(parents=True, exist_ok=True)
                    args.out.write_text(json.dumps(report, indent=1) + "\n")
                    print(results[-1], flush=True)
    report["environment"]["load_average_at_the_end"] = round(os.getloadavg()[0], 2)
    args.out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"wrote {args.out}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", type=Path, help="folder that warp_models.py wrote")
    parser.add_argument("--worlds", nargs="+", type=int, default=[8192, 32768])
    parser.add_argument("--steps", type=int, help="control steps (as many as were recorded)")
    parser.add_argument("--repeats", type=int, default=3, help="timed repeats (3)")
    parser.add_argument("--device", help="a Warp device, such as cpu or cuda:0 (Warp's default)")
    parser.add_argument("--out", type=Path, required=True, help="write JSON here")
    return parser.parse_args()


def differences(
    model: mujoco.MjModel, record: dict[str, np.ndarray], args: argparse.Namespace
) -> dict[str, Any]:
    """How far the recorded motions are from MuJoCo's, and the policies' actions from ours."""
    count, steps = len(record["starts"]), min(max(COMPARED), args.steps or max(COMPARED))
    worlds = Worlds(model, record, count)
    worlds.reset()
    worlds.think()
    act = np.abs(worlds.units[-1].numpy() - record["means"]).max()
    with Threads(model, record, count, steps) as threads:
        states = threads.run()[..., 1:]
    found = {}
    for t in range(1, steps + 1):
        worlds.open()
        if t in COMPARED:
            expected = states[:, t * worlds.frame_skip - 1, : model.nq]
            apart = np.abs(worlds.d.qpos.numpy() - expected).max(1)
            found[t] = {"median": float(np.median(apart)), "largest": float(apart.max())}
    return {"first_action": float(act), "position_after_steps": found}


def speed(
    model: mujoco.MjModel,
    record: dict[str, np.ndarray],
    count: int,
    loop: str,
    args: argparse.Namespace,
) -> dict[str, Any]:
    """The median speed of `count` worlds."""
    steps = args.steps or record["controls"].shape[1]
    compiling = time.perf_counter()
    worlds = Worlds(model, record, count)
    step: Callable[[], None] = getattr(worlds, loop)
    worlds.reset()
    step()
    if wp.get_device().is_cuda:
        with wp.ScopedCapture() as capture:
            step()

        def step() -> None:
            wp.capture_launch(capture.graph)

    wp.synchronize()
    compiling = time.perf_counter() - compiling
    seconds = []
    for _ in range(args.repeats):
        worlds.reset()
        wp.synchronize()
        start = time.perf_counter()
        for _ in range(steps):
            step()
        wp.synchronize()
        seconds.append(time.perf_counter() - start)
    qpos = worlds.d.qpos.numpy()
    return {
        "loop": loop,
        "worlds": count,
        "control_steps": steps,
        "physics_steps_each": worlds.frame_skip,
        "control_steps_per_second": round(count * steps / statistics.median(seconds)),
        "seconds": [round(x, 4) for x in seconds],
        "first_seconds": round(compiling, 1),
        "overflowed": int((worlds.d.overflow.numpy() != 0).sum()),
        "not_finite": int((~np.isfinite(qpos)).any(1).sum()),
    }


class Threads:
    """MuJoCo's own rollout of the recorded controls on all cores, with all buffers ready."""

    def __init__(
        self, model: mujoco.MjModel, record: dict[str, np.ndarray], count: int, steps: int
    ):
        self.model, self.threads = model, len(os.sched_getaffinity(0))
        rows, skip = np.arange(count) % len(record["starts"]), int(record["frame_skip"])
        controls = record["controls"][rows, :steps].astype(np.float64)
        self.controls = np.repeat(controls, skip, axis=1)
        self.first = np.zeros((count, 1 + model.nq + model.nv))
        self.first[:, 1:] = record["starts"][rows, : model.nq + model.nv]
        self.states = np.empty((count, steps * skip, self.first.shape[1]))
        self.sensors = np.empty((count, steps * skip, model.nsensordata))
        self.data = [mujoco.MjData(model) for _ in range(self.threads)]
        self.pool = mujoco.rollout.Rollout(nthread=self.threads)

    def __enter__(self) -> "Threads":
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.close()

    def run(self) -> np.ndarray:
        """The states `(world, physics step, [time, qpos, qvel])`."""
        spec = mujoco.mjtState.mjSTATE_CTRL.value
        if self.model.nmocap:
            spec |= mujoco.mjtState.mjSTATE_MOCAP_POS.value
        self.pool.rollout(
            self.model,
            self.data,
            self.first,
            self.controls,
            control_spec=spec,
            state=self.states,
            sensordata=self.sensors,
        )
        return self.states


def threaded(
    model: mujoco.MjModel, record: dict[str, np.ndarray], args: argparse.Namespace
) -> dict[str, Any]:
    """The speed of MuJoCo's rollout on all cores, open loop."""
    count, steps = min(THREADED, max(args.worlds)), args.steps or record["controls"].shape[1]
    seconds = []
    with Threads(model, record, count, steps) as threads:
        for _ in range(args.repeats + 1):
            start = time.perf_counter()
            threads.run()
            seconds.append(time.perf_counter() - start)
    return {
        "threads": threads.threads,
        "worlds": count,
        "control_steps_per_second": round(count * steps / statistics.median(seconds[1:])),
    }


def environment() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "packages": {
            "mujoco": mujoco.__version__,
            "mujoco-warp": mujoco_warp.__version__,
            "warp-lang": wp.__version__,
            "numpy": np.__version__,
        },
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average_at_the_start": round(os.getloadavg()[0], 2),
    }


if __name__ == "__main__":
    main()
