"""Results appear under their name when they are whole, or not at all."""

import os
import re
import shutil
import socket
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gmps.errors import GmpsError

#: Start of the names of what is being written; process and machine follow. A crash may leave it.
TEMPORARY = ".writing-"
_NAME = re.compile(re.escape(TEMPORARY) + r"(\d+)@(.+)-\w+")


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write a file so that at any moment `path` holds the old content or the new, never a part.

    The data go to a temporary file in the same folder, reach the disk, and are renamed. Temporary
    files of processes that are gone are removed.

    Raises:
        OSError: it cannot be written; names `path`. The old content is as it was.
    """
    path = Path(path)
    remove_leftovers(path.parent)
    temporary = path.with_name(f"{_start()}{zlib.crc32(os.fsencode(path.name)):08x}")
    with naming(path):
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        if (
            os.name == "posix"
        ):  # elsewhere folders cannot be opened, and renames are written through
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Let an OSError of the block name `path`: of a full disk it would name nothing."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:  # the system's own
            error.filename = str(path)
        raise


def remove_leftovers(folder: Path) -> None:
    """Remove what processes of this machine that are gone were writing when they ended."""
    for path in folder.glob(f"{TEMPORARY}*"):
        if _is_left(path.name):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink()


def _start() -> str:
    return f"{TEMPORARY}{os.getpid()}@{socket.gethostname()}-"


def _is_left(name: str) -> bool:
    found = _NAME.fullmatch(name)
    if found is None or found[2] != socket.gethostname() or os.name != "posix":
        return False  # not ours to judge: a signal of number 0 is a question on POSIX alone
    try:
        os.kill(int(found[1]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False


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
        OSError: nothing can be written there; names `out`.
    """
    refuse_taken(out)
    target = Path(os.path.abspath(out))
    made = [p for p in (target.parent, *target.parent.parents) if not p.exists()]
    with naming(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    try:
        remove_leftovers(target.parent)
        with naming(target):
            staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=_start()))
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
