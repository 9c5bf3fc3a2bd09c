"""What a user waits for before anything is learned: help, a refusal, and the first result.

Each command runs in a process of its own. `gmps train point-goal --rounds 1`, with its evaluation,
runs with no compiled programs kept, and again with those of the first time; how many programs there
are, and how long they take, is what JAX says of itself. Figures are seconds of cores (user and
system), which a busy machine lengthens less than the wall's; both are written, with the load.

    python benchmarks/first_result.py --out benchmarks/results/first_result.json
    python benchmarks/first_result.py --trees before=../old/src after=src --out both.json

Several source trees are measured in turn, so that a change of the machine's load meets all alike.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from reports import write_report

#: Commands that read their options, and end.
SHORT = (
    "--help",
    "train point-goal --help",
    "train point-goal --bogus 1",
    "train sawyer-push --method maml --help",
    "eval --help",
    "sweep point-goal --help",
    "demos import --help",
)
TRAIN = "train point-goal --rounds 1"
#: Runs a command and says what JAX compiled.
COUNTED = """
import json, sys
from gmps.compile_cache import keep_compiled_programs
keep_compiled_programs()
import jax.monitoring
told = {}

def listen(event, seconds, **_):
    name = event.rpartition("/")[2]
    count, total = told.get(name, (0, 0.0))
    told[name] = count + 1, total + seconds

jax.monitoring.register_event_duration_secs_listener(listen)
from gmps.commands.cli import main
status = main(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    json.dump(told, file)
sys.exit(status)
"""
#: JAX's name of a duration, and ours.
PARTS = {
    "backend_compile_duration": "compiling",
    "jaxpr_trace_duration": "tracing",
    "jaxpr_to_mlir_module_duration": "lowering",
}


def measured(words: list[str], source: str, **environment: str) -> dict[str, float]:
    """Seconds of cores and of the wall of one process, and the load of the machine before it."""
    own = os.environ | {"PYTHONPATH": source, "XLA_FLAGS": ""} | environment
    load, before = os.getloadavg()[0], resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *words], env=own, capture_output=True, text=True, check=False
    )
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode not in (0, 2):
        raise SystemExit(f"{' '.join(words[-6:])}: {done.stderr}")
    cores = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cores": round(cores, 2), "wall": round(wall, 2), "load": round(load, 1)}


def trained(source: str, folder: Path, cache: Path) -> dict[str, Any]:
    """One training, with the compiled programs that `cache` holds."""
    told = folder / "told.json"
    run = folder / f"run-{time.time_ns()}"
    words = ["-c", COUNTED, str(told), *TRAIN.split(), "--run", str(run)]
    found: dict[str, Any] = measured(words, source, XDG_CACHE_HOME=str(cache))
    events = json.loads(told.read_text())
    found["programs"] = events["backend_compile_duration"][0]
    found["seconds_of"] = {
        ours: round(events[theirs][1], 2) for theirs, ours in PARTS.items() if theirs in events
    }
    return found


def in_short(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The least and the median of each figure, and all rows."""
    cores = [row["cores"] for row in rows]
    return {"least_cores": min(cores), "median_cores": statistics.median(cores), "all": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trees", nargs="+", default=["now=src"], metavar="NAME=SRC")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--trainings", type=int, default=3)
    parser.add_argument("--conditions", default="", help="in words, such as what else ran")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    trees = {
        name: os.path.abspath(src) for name, _, src in (x.partition("=") for x in options.trees)
    }
    short: dict[str, dict[str, list]] = {name: {words: [] for words in SHORT} for name in trees}
    first: dict[str, list] = {name: [] for name in trees}
    again: dict[str, list] = {name: [] for name in trees}

    def write() -> None:
        report = {
            "machine": {"cpus": os.cpu_count(), "python": platform.python_version()},
            "conditions": options.conditions,
            "command": f"gmps {TRAIN}",
            "trees": {
                name: {
                    "commands": {w: in_short(rows) for w, rows in short[name].items() if rows},
                    "first": in_short(first[name]) if first[name] else None,
                    "again": in_short(again[name]) if again[name] else None,
                }
                for name in trees
            },
        }
        write_report(report, options.out)

    for _ in range(options.repeats):
        for words in SHORT:
            for name, source in trees.items():
                short[name][words].append(measured(["-m", "gmps", *words.split()], source))
    write()
    for _ in range(options.trainings):
        for name, source in trees.items():
            with tempfile.TemporaryDirectory() as folder:
                cache = Path(folder) / "cache"
                first[name].append(trained(source, Path(folder), cache))
                again[name].append(trained(source, Path(folder), cache))
            print(name, "first", first[name][-1], "again", again[name][-1], flush=True)
            write()


if __name__ == "__main__":
    main()
