"""Kill a training run with SIGKILL at random moments and resume it until it is done.

Its metrics must equal an uninterrupted run's byte for byte, and after every kill every checkpoint
under its final name must load.

example:
  python benchmarks/kill_resume.py --kills 20
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import tyro
from reports import write_report

from gmps.methods.gmps_settings import GmpsConfig
from gmps.presets import preset
from gmps.runs.checkpoint import verify
from gmps.runs.run import CONFIG, Run
from gmps.runs.versions import collect_versions
from gmps.training.config import TrainConfig
from gmps.training.experiment import prepare
from gmps.training.train import train


@dataclass(frozen=True)
class Kill:
    """Settings."""

    kills: int = 20
    """Kills."""
    rounds: int = 240
    """Rounds of the run."""
    family: str = "point-goal"
    """Task family."""
    seed: int = 0
    """Seed of the moments."""
    out: str = "benchmarks/results/kill_resume.json"
    """File of the results."""
    worker: str | None = None
    """Used by the script itself: train in this folder."""


def settings_of(command: Kill) -> TrainConfig:
    method = GmpsConfig(
        episodes=6, hidden=(32,), outer_steps=5, labels=50, pretrain_steps=100, capacity=2000
    )
    return replace(preset(command.family), rounds=command.rounds, settings=method)


def work(command: Kill, folder: Path) -> None:
    """Start or go on with the run, as `gmps train` and `gmps resume` do."""
    config = settings_of(command)
    going_on = (folder / CONFIG).exists()
    with Run.open(folder) if going_on else Run.create(folder, config) as run:
        train(run, config, prepare(config))


def start(command: Kill, folder: Path, cache: Path) -> subprocess.Popen:
    words = [sys.executable, __file__, "--worker", str(folder)]
    words += ["--rounds", str(command.rounds), "--family", command.family]
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(cache)}
    environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    return subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL)


def main(command: Kill) -> None:
    rng, kills = random.Random(command.seed), []
    with tempfile.TemporaryDirectory() as scratch:
        whole, killed, cache = (Path(scratch) / n for n in ("whole", "killed", "cache"))
        assert start(command, whole, cache).wait() == 0
        while len(kills) < command.kills:
            before = _rounds(killed)
            process = start(command, killed, cache)
            # The first sign of life is a new round; the moment is random from there on.
            while process.poll() is None and _rounds(killed) <= before:
                time.sleep(0.005)
            time.sleep(rng.uniform(0.0, 1.0))
            if process.poll() is not None:
                break
            process.send_signal(signal.SIGKILL)
            process.wait()
            for file in (killed / "checkpoints").glob("step_*.safetensors"):
                verify(file)
            kills.append(_rounds(killed))
            print(f"kill {len(kills)}: after {kills[-1]} rounds", flush=True)
        assert start(command, killed, cache).wait() == 0
        one, other = ((f / "metrics.jsonl").read_bytes() for f in (whole, killed))
        result = {
            "benchmark": "kill_resume",
            "versions": collect_versions(),
            "family": command.family,
            "rounds": command.rounds,
            "kills": len(kills),
            "rounds_logged_at_each_kill": kills,
            "metrics_equal_byte_for_byte": one == other,
            "checkpoints_damaged": 0,
        }
    write_report(result, Path(command.out))
    print(json.dumps(result, indent=1))
    if one != other or len(kills) < command.kills:
        raise SystemExit("The killed run differs from the uninterrupted one, or ended too early.")


def _rounds(folder: Path) -> int:
    file = folder / "metrics.jsonl"
    return len(file.read_bytes().splitlines()) if file.exists() else 0


if __name__ == "__main__":
    chosen = tyro.cli(Kill, description=__doc__)
    if chosen.worker:
        work(chosen, Path(chosen.worker))
    else:
        main(chosen)
