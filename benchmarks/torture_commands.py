"""Commands of gmps in forks, which can be killed, and what they leave: for `torture.py`."""

import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from gmps.commands.cli import main as gmps
from gmps.errors import GmpsError

SMALL = (
    "--threads 1 --train-tasks 4 --evaluation.steps 1 --evaluation.repeats 2 --evaluation.tasks 2 "
    "--evaluation.episodes 4 --evaluation.evaluation-episodes 1 --plain.steps 10 --plain.episodes 2"
)
GMPS = "--gmps.episodes 4 --gmps.hidden 16 --gmps.outer-steps 5 --gmps.labels 20"
GMPS += " --gmps.pretrain-steps 20 --gmps.capacity 400"
#: What is killed: words of the command that starts it, and of the one that goes on.
CASES = {
    "gmps": f"train point-goal --method gmps {SMALL} {GMPS}",
    "gmps-latent": f"train point-goal --method gmps-latent {SMALL} --gmps-latent.latent 2 "
    "--gmps-latent.episodes 4 --gmps-latent.hidden 16 --gmps-latent.outer-steps 5 "
    "--gmps-latent.labels 20 --gmps-latent.pretrain-steps 20 --gmps-latent.capacity 400 "
    "--gmps-latent.segments 5 --gmps-latent.advantage-hidden 4",
    "maml": f"train point-goal --method maml {SMALL} --maml.episodes 4 --maml.hidden 16",
    "pearl": f"train point-goal --method pearl {SMALL} --pearl.capacity 20 "
    "--pearl.gradient-steps 5",
    "sac": "expert train point-goal --threads 1 --tasks 4 --capacity 50 --gradient-steps 10 "
    "--checkpoint-every 2 --evaluate-every 5 --sac.hidden 16 16 --sac.batch 16",
    "sweep": "sweep point-goal --method gmps --grid gmps.std=0.3,0.5 --seeds 0",
}
#: Never equal in two runs: wall-clock figures, and what is made of them.
_CLOCK = ("timing.jsonl", "report.html", ".lock")


def start(words: Sequence[str], log: Path) -> int:
    """A command in a process of its own; what it says goes to a file. Returns its number."""

    def work() -> int:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        return gmps(words)

    return fork(work)


def fork(work: Callable[[], int]) -> int:
    """Work in a process of its own, which ends with the status that is returned. Its number."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        status = work()
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else 1
    except BaseException:
        import traceback  # noqa: PLC0415 - of a fault alone

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def ended(pid: int) -> int | None:
    """The exit status, minus the signal that ended it; None while it runs."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def words_of(case: str, folder: Path, rounds: int) -> list[str]:
    """The command that starts a case in a folder, or goes on there."""
    words = CASES[case].split()
    if case == "sac":
        return [*words, "--rounds", str(rounds), "--run", str(folder)]
    if case == "sweep":
        options = f"--rounds {rounds} {SMALL} {GMPS}"
        return [*words, "--runs", str(folder), f"--options={options}"]
    if (folder / "config.json").exists():
        return ["resume", str(folder), "--no-eval"]
    return [*words, "--rounds", str(rounds), "--no-eval", "--run", str(folder)]


def rounds_in(folder: Path) -> int:
    """Lines of all metrics in a folder."""
    return sum(f.read_bytes().count(b"\n") for f in folder.rglob("metrics.jsonl"))


def content(folder: Path) -> dict[str, bytes]:
    """The bytes of all files that a repetition gives again."""
    files = (f for f in folder.rglob("*") if f.is_file() and f.name not in _CLOCK)
    return {str(f.relative_to(folder)): f.read_bytes() for f in files}


def differing(one: Path, other: Path) -> list[str]:
    """Names of the files in which two folders differ."""
    a, b = content(one), content(other)
    return sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name))


def spoiled(folder: Path) -> list[str]:
    """Checkpoints under their final name that cannot be read; there are to be none."""
    from gmps.runs.checkpoint import verify  # noqa: PLC0415 - as the children do

    bad = []
    for file in folder.rglob("step_*.safetensors"):
        try:
            verify(file)
        except GmpsError:
            bad.append(str(file.relative_to(folder)))
    return bad


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="gmps-torture-") as folder:
        yield Path(folder)


_ENDED: dict[int, int] = {}


def ended_early(pid: int, forget: bool = False) -> int | None:
    """As `ended`, and asked any number of times."""
    if pid not in _ENDED and (status := ended(pid)) is not None:
        _ENDED[pid] = status
    return _ENDED.pop(pid, None) if forget else _ENDED.get(pid)
