"""Foreign files are read in a process of its own that can be stopped.

A library that parses damaged bytes may ask for all memory or never return, and cannot be called
back. So it runs under a bound of memory, and is ended when it shows no progress.
"""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from gmps.data.readers.child import ERROR
from gmps.data.readers.kinds import Kind
from gmps.data.readers.options import Wanted
from gmps.data.recording import Recording, open_recording
from gmps.errors import GmpsError
from gmps.forks import expected_fork

#: Bytes of memory that reading may take.
MEMORY = 6 << 30
#: Seconds without progress after which reading is given up.
PATIENCE = 60.0
#: What is done with episodes, to how many, and how many there are.
Progress = Callable[[str, int, int], None]


@contextmanager
def recorded(
    kind: Kind,
    source: Path,
    wanted: Wanted | None = None,
    progress: Progress | None = None,
    memory: int = MEMORY,
    patience: float = PATIENCE,
) -> Iterator[Recording]:
    """The episodes of a source. Their arrays lie in a temporary folder that goes with the block.

    Args:
        kind: what `recognise` told.
        source: the file or folder.
        wanted: options of the reader.
        progress: called now and then.
        memory: bytes that reading may take.
        patience: seconds without progress after which it is given up.

    Raises:
        GmpsError: it is damaged, not of its kind, takes more memory than it may, or stalls.
    """
    with tempfile.TemporaryDirectory(prefix="gmps-demos-", ignore_cleanup_errors=True) as place:
        _read(kind, source, Path(place), wanted or Wanted(), progress, memory, patience)
        yield open_recording(Path(place))


def _read(
    kind: Kind,
    source: Path,
    place: Path,
    wanted: Wanted,
    progress: Progress | None,
    memory: int,
    patience: float,
) -> None:
    words = [kind, str(source), str(place), str(memory), json.dumps(asdict(wanted))]
    # One thread: each of a library's own reserves memory. Paths as here, also of a checkout.
    paths = {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    environment = os.environ | paths | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with expected_fork():
        process = subprocess.Popen(
            [sys.executable, "-m", "gmps.data.readers.child", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environment,
        )
    try:
        said = _watch(process, progress, patience)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
    name = f"The Minari dataset {source}" if kind == "minari" else f"{source}"
    if said is None:
        raise GmpsError(
            f"{name} is damaged or too slow: reading it showed no progress for {patience:.0f} "
            "seconds."
        )
    error = place / ERROR
    if error.is_file():
        raise GmpsError(error.read_text(encoding="utf-8"))
    if process.returncode:
        last = said.strip().splitlines()[-1:] or [f"status {process.returncode}"]
        raise GmpsError(f"{name} is damaged: the process that read it ended with {last[0]}.")


def _watch(
    process: subprocess.Popen[str], progress: Progress | None, patience: float
) -> str | None:
    """What the process said on stderr; None if it stalled."""
    lines: queue.Queue[str | None] = queue.Queue()
    errors: list[str] = []
    assert process.stdout is not None and process.stderr is not None
    stdout, stderr = process.stdout, process.stderr

    def forward() -> None:
        for line in stdout:
            lines.put(line)
        lines.put(None)

    threads = [
        threading.Thread(target=forward, daemon=True),
        threading.Thread(target=lambda: errors.append(stderr.read()), daemon=True),
    ]
    for thread in threads:
        thread.start()
    while True:
        try:
            line = lines.get(timeout=patience)
        except queue.Empty:
            return None
        if line is None:
            break
        counts = line.split()
        if progress is not None and len(counts) == 2 and all(x.isdigit() for x in counts):
            progress("read", int(counts[0]), int(counts[1]))
    process.wait()
    for thread in threads:
        thread.join()
    return "".join(errors)
