"""Per-task experts on a real two-node Ray cluster on loopback, one worker killed mid-way.

Twice the same training: once left alone, once with SIGKILL for the process of one task after a
third of its rounds. All experts must finish, and the metrics of every task, the killed one too,
must equal the undisturbed ones byte for byte.

Example:
    python benchmarks/ray_kill.py --out benchmarks/results/ray_kill.json
"""

import argparse
import json
import os
import signal
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from reports import write_report

from gmps.presets import expert_preset
from gmps.runs.run import METRICS, Run
from gmps.runs.versions import collect_versions
from gmps.tasks import make_family
from gmps.training.expert_sources import find_expert
from gmps.training.sac_apart import progress, train_apart

TASKS, ROUNDS, VICTIM = 4, 30, 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    # Before Ray is imported: both nodes listen on loopback.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    import ray  # noqa: PLC0415 - an extra
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - an extra

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    preset = expert_preset("sawyer-push")
    config = replace(
        preset, kind="per-task", tasks=TASKS, rounds=ROUNDS, episodes=4, gradient_steps=50,
        capacity=400, evaluate_every=10, checkpoint_every=5,
    )  # fmt: skip
    killed: list[int] = []
    reached: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as base:
        for name in ("undisturbed", "killed"):
            folder = Path(base) / name

            def watch(parts, folder=folder, name=name):
                if name == "killed" and not killed and parts[VICTIM][0] >= ROUNDS // 3:
                    pid = writer(folder / f"task-{VICTIM:03d}")
                    os.kill(pid, signal.SIGKILL)
                    killed.append(parts[VICTIM][0])

            start = time.perf_counter()
            with Run.create(folder, config):
                train_apart(folder, config, cluster.address, watch)
            reached[name] = time.perf_counter() - start
        nodes = sum(node["Alive"] for node in ray.nodes())
        parts = [f"task-{i:03d}" for i in range(TASKS)]
        equal = {
            part: (Path(base) / "undisturbed" / part / METRICS).read_bytes()
            == (Path(base) / "killed" / part / METRICS).read_bytes()
            for part in parts
        }
        done = {part: progress(Path(base) / "killed" / part) for part in parts}
        experts = find_expert((str(Path(base) / "killed"),), make_family("sawyer-push")).source
    report = {
        "benchmark": "ray_kill",
        "about": __doc__,
        "nodes": nodes,
        "killed_after_round": killed[0],
        "rounds_and_returns": done,
        "metrics_equal": equal,
        "seconds": reached,
        "experts": experts.partition(" from ")[0],
        "versions": collect_versions(),
    }
    print(json.dumps({k: v for k, v in report.items() if k not in ("about", "versions")}, indent=1))
    assert all(equal.values())
    write_report(report, args.out)
    ray.shutdown()
    cluster.shutdown()


def writer(run: Path) -> int:
    """The process that holds the lock of a run."""
    inode = (run / ".lock").stat().st_ino
    for line in Path("/proc/locks").read_text().splitlines():
        fields = line.split()
        if fields[1] == "FLOCK" and int(fields[5].split(":")[2]) == inode:
            return int(fields[4])
    raise RuntimeError(f"Nobody holds the lock of {run}.")


if __name__ == "__main__":
    main()
