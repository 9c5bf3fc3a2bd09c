"""Files that are damaged and read, those of a run here: a part of `torture.py`."""

import json
import os
import random
import resource
import shutil
import signal
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from torture_commands import CASES, fork, scratch, start, wait

from gmps.errors import GmpsError

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from damaged_bytes import mutated

#: Bytes that one damaged file may take.
MEMORY = 8 << 30


@dataclass(frozen=True)
class Damage:
    """Mutate every file of a run, and read it as `report`, `resume`, `eval` and `adapt` do."""

    count: int = 10_000
    """Mutations, spread over the files."""
    seed: int = 0
    """Seed of the mutations; the one of number i is (seed, i)."""
    run: str | None = None
    """A run that is copied; by default one with every kind of file is made."""


Outcome = Literal["clean", "accepted-equal", "accepted-different", "traceback", "hang", "memory"]
#: None of these is to happen to files that hold a digest.
BAD: tuple[Outcome, ...] = ("accepted-different", "traceback", "hang", "memory")


class Subject(NamedTuple):
    """What is damaged."""

    #: Makes a folder with all files in a place.
    sample: Callable[[Path], Path]
    #: Its files that somebody reads, each with the key of its reader.
    files: Callable[[Path], dict[str, str]]
    #: The readers.
    readers: Callable[[Path], dict[str, Callable[[], Any]]]
    #: What is not to happen.
    bad: tuple[Outcome, ...] = BAD
    #: Seconds that one damaged file may take.
    seconds: int = 20


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
        return plain([found.meta, dict(found.arrays), vars(found.spaces)])

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
    given = command.run

    def whole(place: Path) -> Path:
        return sample(place) if given is None else shutil.copytree(given, place / "sample")

    return fuzzed(Subject(whole, readers_of_files, readers), command.count, command.seed)


def fuzzed(subject: Subject, count: int, seed: int) -> dict[str, Any]:
    """Mutations spread over the files, each read in a process with bounds: how many ended how."""
    found: dict[str, Counter[str]] = {}
    examples: list[dict[str, Any]] = []
    with scratch() as place:
        folder = subject.sample(place)
        names = sorted(subject.files(folder))
        pieces = [range(count)[i : i + 250] for i in range(0, count, 250)]
        for piece in pieces:
            todo = list(piece)
            while todo:
                # A child that dies says by what it has not answered which one it was.
                answers, death = _in_child(subject, folder, names, seed, todo)
                for number, name, outcome, words in answers:
                    found.setdefault(name, Counter())[outcome] += 1
                    if outcome in subject.bad:
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
        "mutations": count,
        "seed": seed,
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
    found = {
        name: next(key for key in keys if key in name)
        for f in run.rglob("*")
        if f.is_file() and f.name not in skipped
        for name in [str(f.relative_to(run))]
        if any(key in name for key in keys) and not name.startswith(("tracking/", "demos/"))
    }
    return {n: "code/" if n.startswith("code/") else k for n, k in found.items()}


def _in_child(
    subject: Subject, folder: Path, names: list[str], seed: int, todo: list[int]
) -> tuple[list[tuple[int, str, Outcome, str]], Outcome | None]:
    """Read mutations in a fork with bounds; the answers, and how it died if it did."""
    answers = folder.parent / "answers"
    answers.unlink(missing_ok=True)
    status = wait(fork(lambda: _read_all(subject, folder, names, seed, todo, answers)))
    lines = answers.read_text().splitlines() if answers.exists() else []
    assert status <= 0, "this script failed, not what it reads: see above"
    death: Outcome | None = None if status == 0 else "memory"
    if status == -signal.SIGALRM:
        death = "hang"
    return [tuple(json.loads(line)) for line in lines], death


def _read_all(
    subject: Subject, folder: Path, names: list[str], seed: int, todo: list[int], answers: Path
) -> int:
    own = folder.parent / f"copy-{os.getpid()}" / folder.name
    try:
        shutil.copytree(folder, own)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        read, key_of = subject.readers(own), subject.files(own)
        whole = {}
        for key in set(key_of.values()):
            outcome, words, whole[key] = _outcome(read[key], None)
            assert outcome.startswith("accepted"), f"{key} of the whole files: {words}"
        with answers.open("w") as out:
            for number in todo:
                name = names[number % len(names)]
                path = own / name
                data = path.read_bytes()
                key = key_of[name]
                try:
                    path.write_bytes(mutated(data, random.Random(f"{seed} {number}")))
                    signal.alarm(subject.seconds)
                    outcome, words, _ = _outcome(read[key], whole[key])
                    signal.alarm(0)
                finally:
                    path.write_bytes(data)
                out.write(json.dumps([number, name, outcome, words[:300]]) + "\n")
                out.flush()
    finally:
        shutil.rmtree(own.parent, ignore_errors=True)
    return 0


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
