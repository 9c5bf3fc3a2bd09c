"""Work on a real two-node Ray cluster on loopback, with processes that are killed mid-way.

Per-task experts: SIGKILL for the process of one task after a third of its rounds. A training whose
rollouts lie on the cluster: all processes of one of the two nodes die in the midst of it. Each is
done twice, once left alone; it must finish, and its metrics must equal the undisturbed ones byte
for byte. A sweep that loses a node is tests/commands/test_sweep_ray.py.

Example:
    python benchmarks/ray_kill.py --out benchmarks/results/ray_kill.json
"""

import argparse
import json
import os
import signal
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from reports import write_report
from torture_commands import differing

import gmps
from gmps.methods.gmps_settings import GmpsConfig
from gmps.presets import expert_preset, preset
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

    quiet: dict[str, Any] = {"num_cpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=quiet)
    other = cluster.add_node(num_cpus=1)
    report: dict[str, Any] = {"benchmark": "ray_kill", "about": __doc__}
    with tempfile.TemporaryDirectory() as base:
        address: Any = cluster.address
        report["experts"] = experts(Path(base), address)
        report["training"] = training(
            Path(base), address, lambda: cluster.remove_node(other, allow_graceful=False)
        )
    report["training"]["nodes_left"] = sum(node["Alive"] for node in ray.nodes())
    report["versions"] = collect_versions()
    print(json.dumps({k: v for k, v in report.items() if k not in ("about", "versions")}, indent=1))
    write_report(report, args.out)
    ray.shutdown()
    cluster.shutdown()


def experts(base: Path, address: str) -> dict[str, Any]:
    """Experts of their own tasks, one process of which is killed."""
    config = replace(
        expert_preset("sawyer-push"), kind="per-task", tasks=TASKS, rounds=ROUNDS, episodes=4,
        gradient_steps=50, capacity=400, evaluate_every=10, checkpoint_every=5,
    )  # fmt: skip
    killed: list[int] = []
    reached: dict[str, float] = {}
    for name in ("undisturbed", "killed"):
        folder = base / name

        def watch(parts, folder=folder, name=name):
            if name == "killed" and not killed and parts[VICTIM][0] >= ROUNDS // 3:
                pid = writer(folder / f"task-{VICTIM:03d}")
                os.kill(pid, signal.SIGKILL)
                killed.append(parts[VICTIM][0])

        start = time.perf_counter()
        with Run.create(folder, config):
            train_apart(folder, config, address, watch)
        reached[name] = time.perf_counter() - start
    parts = [f"task-{i:03d}" for i in range(TASKS)]
    metrics = {
        name: [(base / name / part / METRICS).read_bytes() for part in parts] for name in reached
    }
    assert metrics["undisturbed"] == metrics["killed"]
    told = find_expert((str(base / "killed"),), make_family("sawyer-push")).source
    return {
        "killed_after_round": killed[0],
        "rounds_and_returns": {part: progress(base / "killed" / part) for part in parts},
        "metrics_equal": True,
        "seconds": reached,
        "experts": told.partition(" from ")[0],
    }


def training(base: Path, address: str, kill_node: Any) -> dict[str, Any]:
    """A training whose rollouts lie on the cluster, a node of which dies."""
    config = preset("sawyer-push", "gmps")
    assert isinstance(config.settings, GmpsConfig)
    few = replace(config.settings, episodes=10, pretrain_steps=100, outer_steps=5)
    config = replace(config, settings=few, rounds=ROUNDS, on="ray", address=address, threads=1)
    killed: list[int] = []
    reached: dict[str, float] = {}
    for name in ("undisturbed", "killed"):
        folder = base / f"training-{name}"

        def lose(folder=folder):
            while rounds_of(folder) < ROUNDS // 3:
                time.sleep(0.02)
            kill_node()
            killed.append(rounds_of(folder))

        if name == "killed":
            threading.Thread(target=lose, daemon=True).start()
        start = time.perf_counter()
        gmps.train(config, run=folder, evaluate=False)
        reached[name] = time.perf_counter() - start
    differ = differing(base / "training-undisturbed", base / "training-killed")
    assert not differ, differ
    assert killed[0] < ROUNDS, "the node was lost when all was done"
    return {"killed_after_round": killed[0], "rounds": ROUNDS, "equal": True, "seconds": reached}


def rounds_of(run: Path) -> int:
    metrics = run / METRICS
    return metrics.read_bytes().count(b"\n") if metrics.exists() else 0


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
