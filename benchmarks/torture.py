"""What the promises of docs/reliability.md are tested by: kills, signals, rivals, damage, length.

    python benchmarks/torture.py kills --kills 50      # SIGKILL at random moments, then equal bytes
    python benchmarks/torture.py signals               # SIGTERM, SIGHUP, Ctrl-C, Ctrl-C twice
    python benchmarks/torture.py rivals                # two processes, one folder; one sweep
    python benchmarks/torture.py damage --count 10000  # every file of a run, mutated and read
    python benchmarks/torture.py foreign --count 2000  # recordings of other programs, imported
    python benchmarks/torture.py length --rounds 500   # memory and open files of a long training

Each part writes its counts into `benchmarks/results/torture.json` and leaves those of the others.
Commands are run in forks of this process, which has imported everything and computed nothing.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tyro
from reports import write_report
from torture_damage import Damage, damage
from torture_foreign import Foreign, foreign
from torture_kills import Kills, Rivals, Signals, kills, rivals, signals
from torture_length import Length, length

from gmps.runs.versions import collect_versions

RESULTS = Path("benchmarks/results/torture.json")
PARTS: dict[type, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    Kills: ("kills", kills),
    Signals: ("signals", signals),
    Rivals: ("rivals", rivals),
    Damage: ("damage", damage),
    Foreign: ("foreign", foreign),
    Length: ("length", length),
}


def run_part(command: Kills | Signals | Rivals | Damage | Foreign | Length) -> None:
    name, work = PARTS[type(command)]
    # Compiled programs are kept between the commands.
    subprocess.run([sys.executable, "-m", "gmps", "--version"], check=True)
    result = work(command)
    earlier: dict[str, Any] = (
        json.loads(RESULTS.read_text()) if RESULTS.exists() else {"benchmark": "torture"}
    )
    # Parts, and cases that are killed, are run on other days and machines: each says by what.
    versions = collect_versions()
    if name == "kills":
        told = {case: {**found, "versions": versions} for case, found in result.items()}
        result = earlier.get(name, {}) | told
    else:
        result["versions"] = versions
    write_report({**earlier, name: result}, RESULTS)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    run_part(tyro.cli(Kills | Signals | Rivals | Damage | Foreign | Length, description=__doc__))
