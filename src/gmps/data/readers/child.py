"""The process in which foreign files are read, under bounds: see `gmps.data.bounded`.

python -m gmps.data.readers.child KIND SOURCE FOLDER MEMORY OPTIONS
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from gmps.data.readers import folder, lerobot, minari, robomimic
from gmps.data.readers.hdf5 import one_line, opened
from gmps.data.readers.options import Wanted
from gmps.data.recording import Sink
from gmps.errors import GmpsError

#: The file with the sentence about a mistake.
ERROR = "error.txt"


def main(argv: list[str]) -> int:
    """Read a source into a folder; a mistake is one sentence in `error.txt`, status 2."""
    kind, source, out, memory, options = argv
    bound_memory(int(memory))
    words = json.loads(options)
    size = words.pop("picture_size")
    wanted = Wanted(
        filter=words["filter"],
        pictures=tuple(words["pictures"]),
        picture_size=None if size is None else (size[0], size[1]),
    )
    try:
        read(kind, Path(source), Path(out), wanted)
    except Exception as error:  # whatever goes wrong with foreign bytes means the same
        (Path(out) / ERROR).write_text(sentence(kind, source, error), encoding="utf-8")
        return 2
    return 0


def read(kind: str, source: Path, out: Path, wanted: Wanted) -> None:
    """Read a source into a folder.

    Raises:
        GmpsError: it is damaged or not of its kind.
    """
    name = f"the Minari dataset {source}" if kind == "minari" else f"{source}"
    sink = Sink(out, name)
    readers: dict[str, Callable[[Path, Sink, Wanted], None]] = {
        "minari": minari.read,
        "lerobot": lerobot.read,
        "folder": folder.read,
        "hdf5": _hdf5,
    }
    files = [p for p in source.rglob("*") if p.is_file()] if source.is_dir() else [source]
    sink.require_room(sum(p.stat().st_size for p in files))
    readers[kind](source, sink, wanted)
    sink.close()


def _hdf5(path: Path, sink: Sink, wanted: Wanted) -> None:
    with opened(path) as file:
        if not robomimic.is_robomimic(file):
            found = ", ".join(list(file)[:5]) or "nothing"
            raise GmpsError(
                f"{path} is an HDF5 file of no known kind: it holds {found}. robomimic's has "
                "data/demo_0/actions and data/demo_0/obs; of a Minari dataset give the folder."
            )
        robomimic.read(path, file, sink, wanted)


def sentence(kind: str, source: str, error: Exception) -> str:
    """One sentence about what went wrong."""
    words = one_line(error) or type(error).__name__
    if isinstance(error, MemoryError):
        words = "it takes more memory than reading is given"
    if isinstance(error, GmpsError) and (kind != "minari" or "Minari dataset" in words):
        return f"{words}."
    what = f"The Minari dataset {source}" if kind == "minari" else source
    return f"{what} is damaged: {words}."


def bound_memory(size: int) -> None:
    """Let this process have so many bytes, where the system can say so."""
    try:
        import resource  # noqa: PLC0415 - not on Windows
    except ImportError:  # Windows
        return
    try:
        resource.setrlimit(resource.RLIMIT_AS, (size, size))
    except (ValueError, OSError):  # macOS takes no such bound
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
