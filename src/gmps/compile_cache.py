"""JAX's compiled programs, kept between processes: later commands start faster.

They lie in `gmps/compiled` in the user's cache folder, at most 512 MiB of them: those used longest
ago leave first. `GMPS_COMPILE_CACHE=0` switches it off; JAX's own variable
`JAX_COMPILATION_CACHE_DIR` chooses another folder, which is left alone.
"""

import os
import sys
import warnings
from pathlib import Path

#: Off with "0".
SWITCH = "GMPS_COMPILE_CACHE"
FOLDER = "JAX_COMPILATION_CACHE_DIR"
#: Most bytes, and what is left of them when there are more.
LIMIT, LEFT = 512 * 1024**2, 384 * 1024**2


def keep_compiled_programs() -> None:
    """Let JAX keep what it compiles, in this process and in those that it starts.

    To be called before JAX is imported, which reads the variables that are set here. Nothing is
    done where the user said so already, or has no cache folder that nobody else writes.
    """
    if os.environ.get(SWITCH) == "0" or FOLDER in os.environ:
        return
    folder = _own_folder()
    if folder is None:
        return
    # JAX has a bound too. It takes a lock for every program, reads a file of each other one to
    # write one, and never writes again after a process was killed while it wrote.
    prune(folder)
    os.environ[FOLDER] = str(folder)
    # All programs: some hundred small ones are a fifth of what there is to save.
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    # A program that is being written or removed by another process is compiled, as without it.
    warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry")


def prune(folder: Path, limit: int = LIMIT, left: int = LEFT) -> None:
    """Remove what was used longest ago from a folder with more than `limit` bytes, down to `left`.
    Other processes may do the same meanwhile."""
    files = []
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            files.append((max(status.st_atime, status.st_mtime), status.st_size, entry.path))
    size = sum(n for _, n, _ in files)
    if size <= limit:
        return
    for _, n, path in sorted(files):
        if size <= left:
            return
        Path(path).unlink(missing_ok=True)
        size -= n


def _own_folder() -> Path | None:
    """The user's folder; None where there is none that only the user writes: programs that are read
    from it are run."""
    try:
        folder = _caches() / "gmps" / "compiled"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.stat()
    except (OSError, RuntimeError):  # no home, or nothing can be written there
        return None
    if not os.access(folder, os.W_OK | os.X_OK):
        return None
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & 0o022):
        return None
    return folder


def _caches() -> Path:
    named = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(named):
        return Path(named)
    if sys.platform == "win32" and "LOCALAPPDATA" in os.environ:
        return Path(os.environ["LOCALAPPDATA"])
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
