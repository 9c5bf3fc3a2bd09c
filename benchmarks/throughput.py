"""Steps per second of a closed loop: ours against the physical limit, and other libraries.

Ours: control steps per second of whole rollouts with a 2 x 100 policy per task, as a ratio to one
open-loop `mujoco.rollout` call on the same model and controls (see `sampling.py`, which measures
it). Others: Gymnasium's SyncVectorEnv and AsyncVectorEnv of Ant-v5 with our model (gear 30, steps
of 0.01 s), and EnvPool's Ant-v5 with its own model (gear 150) without frame skip, both with a NumPy
policy of the same size (see `vector_envs.py`). AsyncVectorEnv starts one process for each
environment, so it is measured at the batches of --async-batches alone.

The others are no dependencies: give the interpreter of an environment that has them
(`pip install envpool gymnasium imageio mujoco==3.3.0`).

Example:
    python benchmarks/throughput.py --out benchmarks/results/throughput.json \
        --others-python OTHERS/bin/python
"""

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

import mujoco
import numpy as np
from reports import write_report
from sampling import environment, line, measure

from gmps.cores import usable_cores
from gmps.tasks import make_family
from gmps.tasks.ant import _ant_xml
from gmps.tasks.ant_goal import AntGoal
from gmps.tasks.base import MujocoFamily


def main() -> None:
    args = parse()
    threads, load = usable_cores(), os.getloadavg()
    results, others = [], []
    for name in args.families:
        family = make_family(name)
        assert isinstance(family, MujocoFamily)
        for batch in args.batches:
            results.append(measure(family, batch, args.tasks, threads, args.repeats))
            print(line(results[-1]), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        xml = Path(folder) / "ant.xml"
        # Gymnasium's ant has motors of gear 150; ours of 30.
        xml.write_text(_ant_xml().read_text().replace('gear="150"', 'gear="30"'))
        assert np.array_equal(
            mujoco.MjModel.from_xml_path(str(xml)).actuator_gear, AntGoal().model().actuator_gear
        )
        for batch in args.batches if args.others_python else ():
            for library in ("gymnasium-sync", "gymnasium-async", "envpool"):
                if library == "gymnasium-async" and batch not in args.async_batches:
                    continue
                others.append(other(args.others_python, library, batch, threads, xml, args))
                speed = others[-1]["control_steps_per_second"]
                print(f"{library:15s} batch {batch:4d}: {speed:6d} steps/s", flush=True)
    report = {
        "benchmark": "throughput",
        "about": __doc__,
        "results": results,
        "other_libraries_on_the_ant": others,
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
    parser.add_argument("--async-batches", nargs="*", type=int, default=[20])
    parser.add_argument("--tasks", type=int, default=20, help="policies in the batch (20)")
    parser.add_argument("--repeats", type=int, default=9, help="timed pairs per batch (9)")
    parser.add_argument("--steps", type=int, default=200, help="steps of the others' repeats (200)")
    parser.add_argument("--others-python", help="interpreter that has them; without: left out")
    parser.add_argument("--out", type=Path, help="write JSON here")
    args = parser.parse_args()
    for batch in args.batches:
        if batch % args.tasks:
            parser.error(f"batch {batch} is no multiple of {args.tasks} tasks")
    return args


def other(
    python: str, library: str, batch: int, threads: int, xml: Path, args: argparse.Namespace
) -> dict:
    """A measurement in a process of its own."""
    script = Path(__file__).with_name("vector_envs.py")
    options = {
        "batch": batch,
        "tasks": args.tasks,
        "steps": args.steps,
        "repeats": args.repeats,
        "threads": threads,
        "xml": xml,
    }
    command = [python, str(script), library]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{library} failed:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
