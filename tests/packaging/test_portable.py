"""What Linux alone has is not needed."""

import os
import subprocess
import sys

#: Windows lacks these modules, macOS the folder /proc, and both lack the affinity; no fork either.
ELSEWHERE = """
import os, sys

for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
del os.sched_getaffinity
if hasattr(os, "process_cpu_count"):  # which asks for the affinity on Linux alone
    os.process_cpu_count = os.cpu_count

def refuse(event, args):
    path = args[0] if args else None
    if event in ("open", "os.listdir", "os.scandir") and isinstance(path, str):
        if path.startswith(("/proc", "/sys")):
            raise FileNotFoundError(path)
    if event in ("os.fork", "os.forkpty"):
        raise OSError("there is no fork here")

sys.addaudithook(refuse)
"""
TRIAL = """
import importlib, pkgutil, tempfile, warnings
from dataclasses import dataclass
from pathlib import Path

import gmps

for module in pkgutil.walk_packages(gmps.__path__, "gmps."):
    if module.name != "gmps.__main__":
        importlib.import_module(module.name)

import numpy as np
from gmps.commands.examining import facts
from gmps.hub.places import place
from gmps.hub.transfer import pull, push
from gmps.runs.run import Run
from gmps.tracking.follow import follow

class Done:
    round, metrics, timing = 1, {"loss": 1.0}, {"seconds": 1.0}

@dataclass(frozen=True)
class Settings:
    family: str = "point-goal"
    method: str = "gmps"
    seed: int = 0
    rounds: int = 1

with tempfile.TemporaryDirectory() as folder:
    with Run.create(Path(folder) / "run", Settings()) as run:
        run.log(0, {"loss": 1.0})
        run.save(0, {"x": np.ones(2, np.float32)})
    with Run.open(Path(folder) / "run") as run:
        assert run.restore({"x": np.zeros(2, np.float32)}).step == 0
        with follow(run, ("tensorboard",), "meta", "none") as tracking:
            tracking(Done())
    assert list((Path(folder) / "run" / "tracking" / "events").iterdir())
    push(Path(folder) / "run", place(f"{folder}/shelf"))
    pull(place(f"{folder}/shelf"), Path(folder) / "pulled", 10**6)
assert facts()["cores"]["usable"] >= 1
print("fine")
"""


def test_everything_is_imported_and_a_run_made_without_what_linux_alone_has():
    # What draws without a window on Linux is not chosen elsewhere.
    variables = {k: v for k, v in os.environ.items() if k not in ("MUJOCO_GL", "PYOPENGL_PLATFORM")}
    found = subprocess.run(
        [sys.executable, "-c", ELSEWHERE + TRIAL],
        capture_output=True,
        text=True,
        check=False,
        env=variables,
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.endswith("fine\n")
