"""What is said of a file that must be written again: its fault, then the command that writes it."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from gmps.errors import GmpsError


@contextlib.contextmanager
def written_again_by(command: str) -> Iterator[None]:
    """Errors of users within end with the command that writes the file again."""
    try:
        yield
    except GmpsError as error:
        fault = str(error).removesuffix(".")
        raise GmpsError(f"{fault}; write it again with `{command}`.") from error


def check_digest(path: Path, found: object, computed: str, mismatch: str) -> None:
    """Compare the digest in a file with that of what it holds; `mismatch` says that they differ.

    Raises:
        GmpsError: there is none, or it is another.
    """
    if found is None:
        raise GmpsError(f"{path} has no digest, as older versions of gmps wrote it.")
    if str(found) != computed:
        raise GmpsError(f"{path} is damaged: {mismatch}.")
