"""How long imports of demonstrations take, and how much memory.

    python benchmarks/demos_import.py --out benchmarks/results/demos_import.json

Episodes of pushing, 50 steps each, of 50 tasks are written in each format and imported by the
command. Wall-clock and processor time of the whole command, start included, and the most memory
that it or its reading process held. The machine's load at the start stands beside it.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from gmps.data.episodes import Shown
from gmps.data.exporting import write_as
from gmps.runs.versions import collect_versions
from gmps.tasks import make_family

TASKS, STEPS = 50, 50


def episodes(n: int) -> Iterator[Shown]:
    """Random episodes near the table's middle."""
    rng = np.random.default_rng(0)
    goals = rng.uniform([-0.2, 0.6], [0.2, 0.8], (TASKS, 2)).astype(np.float32)
    middle = np.array([0, 0.6, 0.1, 0, 0.65, 0.02])
    for i in range(n):
        yield Shown(
            obs=(middle + 0.05 * rng.normal(size=(STEPS, 6))).astype(np.float32),
            act=rng.uniform(-1, 1, (STEPS, 3)).astype(np.float32),
            reward=rng.normal(size=STEPS).astype(np.float32),
            frames=None,
            task_index=i % TASKS,
            task=goals[i % TASKS],
            last_obs=None,
            terminated=False,
            success=True,
        )


def write(kind: str, out: Path, n: int) -> Path:
    """A source of a kind; returns where it lies."""
    family = make_family("sawyer-push")
    if kind == "npz":
        shown = list(episodes(n - n % TASKS))
        stack = lambda arrays: np.stack(arrays).reshape(-1, TASKS, *arrays[0].shape).swapaxes(0, 1)  # noqa: E731
        path = out / "demos.npz"
        np.savez(
            path,
            observations=stack([s.obs for s in shown]),
            actions=stack([s.act for s in shown]),
            rewards=stack([s.reward for s in shown]),
            goals=np.stack([s.task for s in shown[:TASKS]]),
        )
        return path
    path = out / ("demos.hdf5" if kind == "robomimic" else kind)
    write_as(kind, path, episodes(n), family, "a benchmark")  # pyright: ignore[reportArgumentType]
    return path


def measure(source: Path, out: Path) -> dict[str, float]:
    """Seconds and megabytes of one import."""
    words = ["demos", "import", str(source), "--family", "sawyer-push", "--out", str(out)]
    load, start = os.getloadavg()[0], time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "gmps", *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - start
    if status:
        raise SystemExit(f"importing {source} ended with {status}")
    return {
        "wall_s": round(wall, 1),
        "processor_s": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mb": round(usage.ru_maxrss / 1024),
        "load_at_start": round(load, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--episodes", type=int, default=10_000)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--kinds", nargs="+", default=["npz", "minari", "robomimic", "lerobot"])
    options = parser.parse_args()
    results = {}
    for kind in options.kinds:
        with tempfile.TemporaryDirectory() as folder:
            source = write(kind, Path(folder), options.episodes)
            files = [p for p in source.rglob("*") if p.is_file()] if source.is_dir() else [source]
            size = sum(p.stat().st_size for p in files) / 1e6
            results[kind] = {"source_mb": round(size, 1), **measure(source, Path(folder) / "out")}
        print(kind, results[kind], flush=True)
    record = {
        "episodes": options.episodes,
        "steps": STEPS,
        "results": results,
        "versions": collect_versions(),
    }
    if options.out is not None:
        options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
