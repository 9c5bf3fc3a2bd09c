"""Results appear under their name when they are whole, or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gmps.errors import GmpsError

#: Start of the names of what is being written. A crash may leave it behind.
TEMPORARY = ".writing-"


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write a file so that at any moment `path` holds the old content or the new, never a part.

    The data go to a temporary file in the same folder, reach the disk, and are renamed.
    """
    path = Path(path)
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    if os.name == "posix":  # elsewhere folders cannot be opened, and renames are written through
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def refuse_taken(out: str | Path) -> None:
    """Raise GmpsError, in one sentence, where something is already; an empty folder is nothing."""
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise GmpsError(f"{out} already exists; choose another name with --out.")


@contextmanager
def aside(out: str | Path) -> Iterator[Path]:
    """A path to write a folder or a file at, which is moved to `out` when the block ends well.

    Folders on the way to `out` are made. If the block fails, nothing is left: not what it wrote,
    and none of the folders made for it.

    Args:
        out: where the result goes; relative paths count from the working directory at the start.

    Yields:
        An absolute path, with the name of `out`, where nothing is yet.

    Raises:
        GmpsError: `out` is taken.
    """
    refuse_taken(out)
    target = Path(os.path.abspath(out))
    made = [p for p in (target.parent, *target.parent.parents) if not p.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=TEMPORARY))
        try:
            yield staging / target.name
            with suppress(FileNotFoundError, NotADirectoryError):
                target.rmdir()  # an empty folder; a file cannot replace it
            os.replace(staging / target.name, target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except BaseException:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        raise
