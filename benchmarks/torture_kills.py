"""Trainings that are killed, ended by signals, and started twice: parts of `torture.py`."""

import contextlib
import json
import os
import random
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torture_commands import (
    CASES,
    differing,
    ended_early,
    rounds_in,
    scratch,
    spoiled,
    start,
    wait,
    words_of,
)


@dataclass(frozen=True)
class Kills:
    """Kill each case at random moments, go on, and compare it with one that was left alone."""

    kills: int = 50
    """Kills of each case."""
    rounds: int = 30
    """Rounds of each training."""
    only: tuple[str, ...] = tuple(CASES)
    """Which cases."""
    seed: int = 0
    """Seed of the moments."""


@dataclass(frozen=True)
class Signals:
    """End a training by each signal, go on, and compare."""

    rounds: int = 30
    """Rounds of the training."""
    seed: int = 0
    """Seed of the moments."""


@dataclass(frozen=True)
class Rivals:
    """Start a second process on the folder of a training, and on that of a sweep."""

    rounds: int = 500
    """Rounds of each training: so many that the first still runs when the second starts."""


def kills(command: Kills) -> dict[str, Any]:
    found = {}
    for case in command.only:
        with scratch() as place:
            found[case] = _kill(command, case, place)
        print(case, json.dumps(found[case]), flush=True)
    return found


def _kill(command: Kills, case: str, place: Path) -> dict[str, Any]:
    rng = random.Random(f"{command.seed} {case}")
    whole, log = place / "whole" / "run", place / "log"
    status = wait(start(words_of(case, whole, command.rounds), log))
    assert status == 0, log.read_text()
    begun, trainings = time.time(), 0
    at: list[int] = []
    bad: list[str] = []
    differs: set[str] = set()
    left: list[str] = []
    while len(at) < command.kills:
        killed = place / f"killed{trainings}" / "run"
        trainings += 1
        while len(at) < command.kills and _killed(case, killed, command.rounds, log, rng):
            at.append(rounds_in(killed))
            bad += spoiled(killed)
        status = wait(start(words_of(case, killed, command.rounds), log))
        assert status == 0, log.read_text()
        differs.update(differing(whole, killed))
        left += [str(f.relative_to(killed)) for f in killed.rglob(".writing-*")]
        shutil.rmtree(killed.parent)
    return {
        "kills": len(at),
        "trainings": trainings,
        "rounds": rounds_in(whole),
        "rounds_at_each_kill": at,
        "damaged_checkpoints": bad,
        "files_that_differ": sorted(differs),
        "leftovers": left,
        "seconds": round(time.time() - begun),
    }


def _killed(case: str, folder: Path, rounds: int, log: Path, rng: random.Random) -> bool:
    """Start or go on, and kill; False where it was done before."""
    before = rounds_in(folder)
    pid = start(words_of(case, folder, rounds), log)
    # Half of them at any moment, half of them at a random moment after a new round.
    early = rng.random() < 0.5
    limit = time.time() + (rng.uniform(0, 20) if early else 600)
    while ended_early(pid) is None and rounds_in(folder) <= before and time.time() < limit:
        time.sleep(0.01)
    if not early:
        time.sleep(rng.uniform(0, 1))
    if ended_early(pid, forget=True) is not None:
        return False
    os.kill(pid, signal.SIGKILL)
    wait(pid)
    return True


def signals(command: Signals) -> dict[str, Any]:
    rng, found = random.Random(command.seed), {}
    sent = {
        "SIGTERM": [signal.SIGTERM],
        "SIGHUP": [signal.SIGHUP],
        "SIGINT": [signal.SIGINT],
        "SIGINT twice": [signal.SIGINT, signal.SIGINT],
    }
    for case in ("gmps", "sac"):
        with scratch() as place:
            whole, log = place / "whole" / "run", place / "log"
            assert wait(start(words_of(case, whole, command.rounds), log)) == 0, log.read_text()
            for name, numbers in sent.items():
                folder = place / name.replace(" ", "-") / "run"
                pid = start(words_of(case, folder, command.rounds), log)
                while ended_early(pid) is None and rounds_in(folder) < 2:
                    time.sleep(0.01)
                for number in numbers:
                    time.sleep(rng.uniform(0, 0.3))
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, number)
                status = wait(pid) if ended_early(pid) is None else ended_early(pid, forget=True)
                said = log.read_text()
                again = wait(start(words_of(case, folder, command.rounds), log))
                found[f"{case}, {name}"] = {
                    "status": status,
                    "traceback": "Traceback" in said,
                    "went_on": again == 0,
                    "files_that_differ": differing(whole, folder),
                }
                print(case, name, json.dumps(found[f"{case}, {name}"]), flush=True)
    return found


def rivals(command: Rivals) -> dict[str, Any]:
    found = {}
    for case in ("gmps", "sweep"):
        with scratch() as place:
            whole, shared = place / "whole" / "run", place / "shared" / "run"
            logs = [place / f"log{i}" for i in range(3)]
            assert wait(start(words_of(case, whole, command.rounds), logs[0])) == 0
            first = start(words_of(case, shared, command.rounds), logs[1])
            while ended_early(first) is None and rounds_in(shared) < 1:
                time.sleep(0.01)
            second = wait(start(words_of(case, shared, command.rounds), logs[2]))
            status = wait(first) if ended_early(first) is None else ended_early(first)
            found[case] = {
                "first": status,
                "second": second,
                "second_said": logs[2].read_text().strip().splitlines()[-1].split("/")[0],
                "traceback": any("Traceback" in log.read_text() for log in logs),
                "files_that_differ": differing(whole, shared),
            }
            print(case, json.dumps(found[case]), flush=True)
    return found
