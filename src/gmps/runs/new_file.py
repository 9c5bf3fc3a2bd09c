"""Where results are to be written: asked before anything is computed."""

import os
from pathlib import Path

from gmps.errors import GmpsError


def require_new_file(path: str | Path) -> Path:
    """The path, if a new file can be written there; its folder need not exist yet.

    Raises:
        GmpsError: it exists, or its folder cannot be written to.
    """
    path = Path(path)
    if path.exists():
        raise GmpsError(f"{path} already exists; choose another file with --out.")
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        reason = "it is a file" if folder.is_file() else "it cannot be written to"
        raise GmpsError(
            f"{path} cannot be written: {folder} is no folder to write to ({reason}); choose "
            "another file with --out."
        )
    return path
