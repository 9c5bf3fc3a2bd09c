"""What the promises of docs/reliability.md are tested by: kills, signals, rivals, damage, length.

    python benchmarks/torture.py kills --kills 50      # SIGKILL at random moments, then equal bytes
    python benchmarks/torture.py signals               # SIGTERM, SIGHUP, Ctrl-C, Ctrl-C twice
    python benchmarks/torture.py rivals                # two processes, one folder; one sweep
    python benchmarks/torture.py damage --count 10000  # every file of a run, mutated and read
    python benchmarks/torture.py length --rounds 500   # memory and open files of a long training

Each part writes its counts into `benchmarks/results/torture.json` and leaves those of the others.
Commands are run in forks of this process, which has imported everything and computed nothing.
"""

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NoReturn

import tyro
from matplotlib.figure import Figure
from reports import write_report

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from damaged_bytes import mutated
from gmps.commands.cli import main as gmps
from gmps.errors import GmpsError
from gmps.runs.versions import collect_versions

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
RESULTS = Path("benchmarks/results/torture.json")
#: Never equal in two runs: wall-clock figures, and what is made of them.
_CLOCK = ("timing.jsonl", "report.html", ".lock")
#: Seconds and bytes that one damaged file may take.
SECONDS, MEMORY = 20, 8 << 30


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

    rounds: int = 30
    """Rounds of each training."""


@dataclass(frozen=True)
class Damage:
    """Mutate every file of a run, and read it as `report`, `resume`, `eval` and `adapt` do."""

    count: int = 10_000
    """Mutations, spread over the files."""
    seed: int = 0
    """Seed of the mutations; the one of number i is (seed, i)."""
    run: str | None = None
    """A run that is copied; by default one with every kind of file is made."""


@dataclass(frozen=True)
class Length:
    """Train for long, and look at memory and open files after each round."""

    rounds: int = 500
    """Rounds of the training."""
    figure: str = "benchmarks/results/torture-length.png"
    """File of the picture."""


# -- Commands in forks ------------------------------------------------------------------------


def start(words: Sequence[str], log: Path) -> int:
    """A command in a process of its own; what it says goes to a file. Returns its number."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 70
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1)
        os.dup2(out, 2)
        status = gmps(words)
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


# -- Kills, signals, rivals -------------------------------------------------------------------


def kills(command: Kills) -> dict[str, Any]:
    found = {}
    for case in command.only:
        with scratch() as place:
            found[case] = _kill(command, case, place)
        print(case, json.dumps(found[case]), flush=True)
    return found


def _kill(command: Kills, case: str, place: Path) -> dict[str, Any]:
    rng = random.Random(f"{command.seed} {case}")
    whole, killed, log = place / "whole" / "run", place / "killed" / "run", place / "log"
    status = wait(start(words_of(case, whole, command.rounds), log))
    assert status == 0, log.read_text()
    at, bad, count, begun = [], [], 0, time.time()
    while count < command.kills:
        before = rounds_in(killed)
        pid = start(words_of(case, killed, command.rounds), log)
        # Half of them at any moment, half of them at a random moment after a new round.
        early = rng.random() < 0.5
        limit = time.time() + (rng.uniform(0, 20) if early else 600)
        while ended_early(pid) is None and rounds_in(killed) <= before and time.time() < limit:
            time.sleep(0.01)
        if not early:
            time.sleep(rng.uniform(0, 1))
        if ended_early(pid, forget=True) is not None:
            break  # it is done
        os.kill(pid, signal.SIGKILL)
        wait(pid)
        count += 1
        at.append(rounds_in(killed))
        bad += spoiled(killed)
    status = wait(start(words_of(case, killed, command.rounds), log))
    assert status == 0, log.read_text()
    left = [str(f.relative_to(killed)) for f in killed.rglob(".writing-*")]
    return {
        "kills": count,
        "rounds": rounds_in(whole),
        "rounds_at_each_kill": at,
        "damaged_checkpoints": bad,
        "files_that_differ": differing(whole, killed),
        "leftovers": left,
        "seconds": round(time.time() - begun),
    }


_ENDED: dict[int, int] = {}


def ended_early(pid: int, forget: bool = False) -> int | None:
    """As `ended`, and asked any number of times."""
    if pid not in _ENDED and (status := ended(pid)) is not None:
        _ENDED[pid] = status
    return _ENDED.pop(pid, None) if forget else _ENDED.get(pid)


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


# -- Damage -----------------------------------------------------------------------------------

Outcome = Literal["clean", "accepted-equal", "accepted-different", "traceback", "hang", "memory"]
#: None of these is to happen.
BAD: tuple[Outcome, ...] = ("accepted-different", "traceback", "hang", "memory")


def sample(place: Path) -> Path:
    """A run with every file that a run may have."""
    run = place / "sample"
    log = place / "log"
    code = place / "mine.py"
    code.write_text(
        "from gmps.tasks.point_goal import PointGoal\n\n\nclass Mine(PointGoal):\n"
        '    """Points."""\n\n    name = "mine"\n'
    )
    words = ["train", f"{code}:Mine", *CASES["gmps"].split()[2:], "--rounds", "4"]
    small = "--repeats 4 --episodes 2 --measure-episodes 1"
    certify = "--tasks 2 --adaptation-episodes 2 --sampling.repeats 2 --sampling.states 2"
    for command in (
        [*words, "--run", str(run)],
        ["diagnose", str(run), *small.split()],
        ["certify", str(run), *certify.split()],
        ["adapt", str(run), "--task", "0.5", "0.5", "--episodes", "4"],
        ["export", str(run)],
        ["demos", "record", "point-goal", "--episodes", "1", "--out", str(run / "demos")],
    ):
        assert wait(start(command, log)) == 0, log.read_text()
    return run


def readers(run: Path) -> dict[str, Callable[[], Any]]:
    """What reads each file of a run: by the end of its path."""
    import numpy as np  # noqa: PLC0415 - JAX is not to be used before a fork

    from gmps.deploy import load as load_deployed  # noqa: PLC0415
    from gmps.evaluation.diagnose import read_diagnosis  # noqa: PLC0415
    from gmps.report.runs import load_run  # noqa: PLC0415
    from gmps.runs.policy_file import load_policy  # noqa: PLC0415
    from gmps.runs.run import Run  # noqa: PLC0415
    from gmps.training.config import TrainConfig  # noqa: PLC0415
    from gmps.training.experiment import run_family  # noqa: PLC0415
    from gmps.training.expert_data import load_expert_data  # noqa: PLC0415

    def plain(x: Any) -> Any:
        """Something that can be compared."""
        if isinstance(x, dict):
            return {k: plain(v) for k, v in x.items()}
        if hasattr(x, "_asdict"):
            return plain(x._asdict())
        if isinstance(x, list | tuple):
            return [plain(v) for v in x]
        if hasattr(x, "dtype") and hasattr(x, "shape"):
            array = np.asarray(x)
            return (array.shape, str(array.dtype), array.tobytes())
        return repr(x)

    def opened() -> Run:
        return Run.open(run)

    def everything() -> Any:
        data, config = load_run(run), opened().load_config(TrainConfig)
        latest = opened().checkpoints.latest()
        return plain([vars(data), config, latest and latest._asdict()])

    def experts() -> Any:
        config = opened().load_config(TrainConfig)
        data = load_expert_data(run, run_family(opened(), config))
        return plain(data._replace(clone=None)) if data is not None else None

    def policy() -> Any:
        import jax  # noqa: PLC0415

        found, facts = load_policy(next(run.glob("adapted-*")))
        return plain([jax.tree.leaves(found), facts])

    def deployed() -> Any:
        found = load_deployed(run / "policy")
        return plain([found.meta, vars(found.network), vars(found.spaces)])

    def code() -> Any:
        config = opened().load_config(TrainConfig)
        return plain([run_family(opened(), config).name])

    return {
        ".jsonl": everything,
        "config.json": everything,
        "versions.json": everything,
        "scores.json": everything,
        "certificate.json": everything,
        "paths.npz": everything,
        "step_": everything,
        "experts.safetensors": experts,
        "diagnosis.json": lambda: plain(read_diagnosis(run)),
        "adapted-": policy,
        "policy/": deployed,
        "code/": code,
    }


def damage(command: Damage) -> dict[str, Any]:
    found: dict[str, Counter[str]] = {}
    examples: list[dict[str, Any]] = []
    with scratch() as place:
        run = place / "sample"
        if command.run is None:
            sample(place)
        else:
            shutil.copytree(command.run, run)
        names = sorted(readers_of_files(run))
        pieces = [range(command.count)[i : i + 250] for i in range(0, command.count, 250)]
        for piece in pieces:
            todo = list(piece)
            while todo:
                # A child that dies says by what it has not answered which one it was.
                answers, death = _in_child(run, names, command.seed, todo)
                for number, name, outcome, words in answers:
                    found.setdefault(name, Counter())[outcome] += 1
                    if outcome in BAD:
                        examples.append({"number": number, "file": name, outcome: words})
                todo = todo[len(answers) :]
                if todo and death is not None:
                    name = names[todo[0] % len(names)]
                    found.setdefault(name, Counter())[death] += 1
                    examples.append({"number": todo[0], "file": name, death: ""})
                    todo = todo[1:]
            total = sum(found.values(), Counter())
            print(f"{piece.stop}: {dict(total)}", flush=True)
    return {
        "mutations": command.count,
        "seed": command.seed,
        "total": dict(sum(found.values(), Counter())),
        "files": {name: dict(counts) for name, counts in sorted(found.items())},
        "examples": examples[:50],
    }


def readers_of_files(run: Path) -> dict[str, str]:
    """The files of a run that somebody reads, each with the key of its reader."""
    keys = (
        *(".jsonl", "config.json", "versions.json", "scores.json", "certificate.json"),
        *("paths.npz", "step_", "experts.safetensors", "diagnosis.json", "adapted-", "policy/"),
        *("code/family/files.json",),
    )
    skipped = ("README.md",)
    return {
        name: next(key for key in keys if key in name)
        for f in run.rglob("*")
        if f.is_file() and f.name not in skipped
        for name in [str(f.relative_to(run))]
        if any(key in name for key in keys) and not name.startswith(("tracking/", "demos/"))
    }


def _in_child(
    run: Path, names: list[str], seed: int, todo: list[int]
) -> tuple[list[tuple[int, str, Outcome, str]], Outcome | None]:
    """Read mutations in a fork with bounds; the answers, and how it died if it did."""
    answers = run.parent / "answers"
    answers.unlink(missing_ok=True)
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        _read_all(run, names, seed, todo, answers)
    status = wait(pid)
    lines = answers.read_text().splitlines() if answers.exists() else []
    death: Outcome | None = None if status == 0 else "memory"
    if status == -signal.SIGALRM:
        death = "hang"
    return [tuple(json.loads(line)) for line in lines], death


def _read_all(run: Path, names: list[str], seed: int, todo: list[int], answers: Path) -> NoReturn:
    own = run.parent / f"copy-{os.getpid()}" / run.name
    status = 1
    try:
        shutil.copytree(run, own)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        read = readers(own)
        keys = readers_of_files(own)
        key_of = {n: "code/" if n.startswith("code/") else k for n, k in keys.items()}
        whole = {}
        for key in set(key_of.values()):
            outcome, words, whole[key] = _outcome(read[key], None)
            assert outcome.startswith("accepted"), f"{key} of the whole run: {words}"
        with answers.open("w") as out:
            for number in todo:
                name = names[number % len(names)]
                path = own / name
                data = path.read_bytes()
                key = key_of[name]
                try:
                    path.write_bytes(mutated(data, random.Random(f"{seed} {number}")))
                    signal.alarm(SECONDS)
                    outcome, words, _ = _outcome(read[key], whole[key])
                    signal.alarm(0)
                finally:
                    path.write_bytes(data)
                out.write(json.dumps([number, name, outcome, words[:300]]) + "\n")
                out.flush()
        status = 0
    except BaseException:
        import traceback  # noqa: PLC0415 - of a fault of this script alone

        traceback.print_exc()
    finally:
        shutil.rmtree(own.parent, ignore_errors=True)
        os._exit(status)


def _outcome(read: Callable[[], Any], whole: Any) -> tuple[Outcome, str, Any]:
    """What becomes of reading, in words; and what was read."""
    said: list[str] = []
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            value = read()
        said = [str(w.message) for w in caught]
    except GmpsError as error:
        good = "\n" not in str(error) and str(error).endswith(".")
        return ("clean" if good else "traceback"), str(error), None
    except MemoryError as error:
        return "memory", repr(error), None
    except Exception as error:
        return "traceback", repr(error), None
    if said:
        return "clean", said[0], value
    return ("accepted-equal" if value == whole else "accepted-different"), "", value


# -- Length -----------------------------------------------------------------------------------


def length(command: Length) -> dict[str, Any]:
    from gmps.presets import preset  # noqa: PLC0415 - JAX is not to be used before a fork
    from gmps.runs.run import Run  # noqa: PLC0415
    from gmps.training.experiment import prepare  # noqa: PLC0415
    from gmps.training.train import Round, train  # noqa: PLC0415

    config = replace(preset("point-goal"), rounds=command.rounds, threads=1, train_tasks=4)
    settings: Any = config.settings
    small = {"episodes": 4, "outer_steps": 5, "labels": 20, "pretrain_steps": 20}
    config = replace(config, settings=replace(settings, hidden=(16,), capacity=400, **small))
    page = os.sysconf("SC_PAGE_SIZE")
    memory, files = [], []

    def look(_: Round) -> None:
        memory.append(int(Path("/proc/self/statm").read_text().split()[1]) * page / 2**20)
        files.append(len(os.listdir("/proc/self/fd")))

    with scratch() as place, Run.create(place / "run", config) as run:
        train(run, config, prepare(config), [look])
    _draw(memory, files, command.figure)
    tenth = max(1, len(memory) // 10)
    return {
        "rounds": len(memory),
        "memory_mib": [round(x, 1) for x in memory[::tenth]],
        "memory_mib_after_first_tenth": round(memory[tenth], 1),
        "memory_mib_at_the_end": round(memory[-1], 1),
        "open_files": [min(files[tenth:]), max(files[tenth:])],
    }


def _draw(memory: list[float], files: list[int], path: str) -> None:
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    left = figure.subplots()
    left.plot(memory, color="C0", label="resident memory, MiB")
    left.set(xlabel="round", ylabel="MiB", ylim=(0, None))
    right = left.twinx()
    right.plot(files, color="C1", label="open files")
    right.set(ylabel="open files", ylim=(0, max(files) + 5))
    figure.legend(loc="lower right")
    figure.savefig(path, dpi=110)


PARTS: dict[type, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    Kills: ("kills", kills),
    Signals: ("signals", signals),
    Rivals: ("rivals", rivals),
    Damage: ("damage", damage),
    Length: ("length", length),
}


def run_part(command: Kills | Signals | Rivals | Damage | Length) -> None:
    name, work = PARTS[type(command)]
    # Compiled programs are kept between the commands.
    subprocess.run([sys.executable, "-m", "gmps", "--version"], check=True)
    result = work(command)
    earlier = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"benchmark": "torture"}
    if name == "kills":
        result = earlier.get(name, {}) | result
    write_report(earlier | {"versions": collect_versions(), name: result}, RESULTS)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    run_part(tyro.cli(Kills | Signals | Rivals | Damage | Length, description=__doc__))
