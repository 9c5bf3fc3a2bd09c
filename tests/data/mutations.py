"""Read damaged files, each in a process of its own, and count what becomes of it.

    python tests/data/mutations.py KIND SOURCE COUNT SEED

Prints one JSON object: how many were refused in a sentence, accepted, or stopped from outside
because they hung or took the library down. Anything else ends it with status 1.
"""

import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import av  # noqa: F401  # imported before forking, once for all
import pyarrow.parquet  # noqa: F401

from gmps.data.readers import child
from gmps.data.readers.options import Wanted

SECONDS, MEMORY = 20, 3 << 30
ACCEPTED, REFUSED, WRONG = 0, 3, 4


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Flip bits, overwrite, cut out, or repeat a piece."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 8])):
        at, size = rng.randrange(len(out)), rng.choice([1, 2, 4, 8])
        kind = rng.randrange(5)
        if kind == 0:
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at : at + size] = rng.randbytes(size)
        elif kind == 2:
            out[at : at + size] = rng.choice([b"\xff", b"\0", b"\x7f"]) * size
        elif kind == 3:
            del out[at : at + rng.choice([size, 1000])]
        else:
            out[at:at] = out[at : at + size]
        if not out:
            out = bytearray(b"\0")
    return bytes(out)


def attempt(kind: str, source: Path) -> int:
    """Read a source in a forked process; its exit status, or minus the signal that ended it."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    status = WRONG
    try:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        signal.alarm(SECONDS)
        place = Path(tempfile.mkdtemp(dir=source.parent))
        try:
            child.read(kind, source, place, Wanted(pictures=("*",)))
            status = ACCEPTED
        except Exception as error:
            words = child.sentence(kind, str(source), error)
            good = "\n" not in words and words.endswith(".") and words.isprintable()
            status = REFUSED if good else WRONG
        shutil.rmtree(place)
    finally:
        os._exit(status)


def main() -> int:
    kind, source, count, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    rng = random.Random(seed)
    whole = attempt(kind, source)
    if whole != ACCEPTED:
        print(f"the whole source is not accepted: {whole}", file=sys.stderr)
        return 1
    files = sorted(p for p in source.rglob("*") if p.is_file()) if source.is_dir() else [source]
    counts = {"refused": 0, "accepted": 0, "stopped": 0}
    for i in range(count):
        path = rng.choice(files)
        data = path.read_bytes()
        path.write_bytes(mutate(data, rng))
        status = attempt(kind, source)
        if status == WRONG or (status not in (ACCEPTED, REFUSED) and status >= 0):
            print(f"mutation {i} of {path} ended with {status}", file=sys.stderr)
            return 1
        path.write_bytes(data)
        counts[{ACCEPTED: "accepted", REFUSED: "refused"}.get(status, "stopped")] += 1
    print(json.dumps(counts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
