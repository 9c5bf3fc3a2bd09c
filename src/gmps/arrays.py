"""Arrays of `.npz` files that may lie: declared sizes are compared with the file before anything is
allocated, and nothing is ever unpickled."""

import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from gmps.errors import GmpsError

#: Share of this machine's memory that the arrays of a file may take.
SHARE = 0.5


def open_archive(path: Path) -> zipfile.ZipFile:
    """The archive of an `.npz` file.

    Raises:
        GmpsError: it is damaged, or no zip archive.
    """
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise GmpsError(f"{path} is damaged or cut short: {one_line(error)}.") from error


def members(archive: zipfile.ZipFile) -> dict[str, str]:
    """The names of the arrays, and of the file in the archive that holds each."""
    files = [n for n in archive.namelist() if n.endswith(".npy")]
    return {one_line(n.removesuffix(".npy")): n for n in files}


def unpacked_size(archive: zipfile.ZipFile, names: list[str]) -> int:
    """Bytes that these files of the archive say to hold."""
    return sum(archive.getinfo(name).file_size for name in names)


def read_member(
    path: Path, archive: zipfile.ZipFile, name: str, member: str, kinds: str = "fiub"
) -> np.ndarray:
    """One array.

    Args:
        path: the file, for errors.
        archive: the open file.
        name: what errors call the array.
        member: its file in the archive.
        kinds: NumPy's letters of the types that it may have; `U` is text.

    Raises:
        GmpsError: it is damaged, shorter than it says, or of another type.
    """
    # Whatever goes wrong while untrusted bytes are parsed means the same to the caller.
    try:
        with archive.open(member) as file:
            shape, dtype = _header(file)
            missing = math.prod(shape) * dtype.itemsize - archive.getinfo(member).file_size
    except Exception as error:
        raise _damaged(path, name, error) from error
    if dtype.hasobject:
        raise GmpsError(
            f"The array {name} of {path} holds Python objects, which are never loaded because that "
            "can run code; save plain arrays of numbers."
        )
    if dtype.kind not in kinds:
        raise GmpsError(f"The array {name} of {path} has the type {dtype}; numbers are needed.")
    if missing > 0:
        raise GmpsError(f"The array {name} of {path} is damaged: {missing} bytes are missing.")
    try:
        with archive.open(member) as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except Exception as error:
        raise _damaged(path, name, error) from error


def one_line(text: object) -> str:
    """On one line: what damaged bytes say may hold line breaks."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def _damaged(path: Path, name: str, error: Exception) -> GmpsError:
    return GmpsError(f"The array {name} of {path} is damaged: {one_line(error)}.")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise GmpsError(f"version {version} of the .npy format is not supported")
    shape, _, dtype = readers[version](file)
    return shape, dtype
