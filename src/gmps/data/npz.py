"""Reading `.npz` files that other people made: no pickle is ever loaded, nothing is trusted."""

import math
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np

from gmps.errors import GmpsError

#: How other files start, and what to do with them.
_STARTS = {
    b"PK": "it is a zip archive that is damaged or cut short",
    b"\x93NUMPY": "it is a single .npy array; save the arrays together with numpy.savez",
    b"\x89HDF\r\n": "it is an HDF5 file; make a dataset of it with `gmps demos import`",
    b"PAR1": "it is a parquet table; make a dataset of its folder with `gmps demos import`",
}
#: Share of this machine's memory that the arrays of a file may take.
_SHARE = 0.5


def read_npz(
    path: str | Path, required: Sequence[str], optional: Sequence[str] = ()
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Read named numeric arrays.

    Args:
        path: an `.npz` file.
        required: names that must be there.
        optional: names that are read if there.

    Returns:
        The arrays, and the names of others in the file, which are not read.

    Raises:
        GmpsError: if the file is missing, is no `.npz`, is damaged, lacks an array, holds
            something other than numbers under one of the names, or unpacks to more than half of
            this machine's memory.
    """
    path = Path(path)
    if not path.exists():
        raise GmpsError(f"There is no file {path}.")
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise GmpsError(f"{path} is not an .npz file: {_what_instead(path)}.")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise GmpsError(f"{path} is damaged or cut short: {_printable(error)}.") from error
    with archive:
        files = [n for n in archive.namelist() if n.endswith(".npy")]
        members = {_printable(n.removesuffix(".npy")): n for n in files}
        for name in required:
            if name not in members:
                found = ", ".join(members) or "no array at all"
                raise GmpsError(f"{path} lacks the array {name}; it holds {found}.")
        wanted = [name for name in (*required, *optional) if name in members]
        size = sum(archive.getinfo(members[name]).file_size for name in wanted)
        if size > _SHARE * _memory():
            raise GmpsError(
                f"{path} unpacks to {size / 1e9:.3g} GB, and this machine has "
                f"{_memory() / 1e9:.3g} GB of memory; split it, or save it as a Minari dataset."
            )
        arrays = {name: _read_array(path, archive, name, members[name]) for name in wanted}
    return arrays, tuple(name for name in members if name not in wanted)


def _memory() -> int:
    """Bytes of memory that this machine has; where it does not say, 8 GB."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 8 << 30


def _printable(text: object) -> str:
    """On one line: what damaged bytes say may hold line breaks."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def _what_instead(path: Path) -> str:
    if not path.is_file():
        return "it is a folder"
    with path.open("rb") as file:
        start = file.read(8)
    if not start:
        return "it is empty"
    for magic, words in _STARTS.items():
        if start.startswith(magic):
            return words
    if start[:1] == b"\x80" or path.suffix in (".pkl", ".pickle"):
        return (
            "it looks like a pickle, which can run code and is never loaded; save the arrays with "
            "numpy.savez"
        )
    return "it is no zip archive of arrays; save the arrays with numpy.savez"


def _read_array(path: Path, archive: zipfile.ZipFile, name: str, member: str) -> np.ndarray:
    # Whatever goes wrong while untrusted bytes are parsed means the same to the caller.
    try:
        with archive.open(member) as file:
            shape, dtype = _header(file)
            missing = math.prod(shape) * dtype.itemsize - archive.getinfo(member).file_size
    except Exception as error:
        raise GmpsError(f"The array {name} of {path} is damaged: {_printable(error)}.") from error
    if dtype.hasobject:
        raise GmpsError(
            f"The array {name} of {path} holds Python objects, which are never loaded because that "
            "can run code; save plain arrays of numbers."
        )
    if dtype.kind not in "fiub":
        raise GmpsError(f"The array {name} of {path} has the type {dtype}; numbers are needed.")
    if missing > 0:
        raise GmpsError(f"The array {name} of {path} is damaged: {missing} bytes are missing.")
    try:
        with archive.open(member) as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except Exception as error:
        raise GmpsError(f"The array {name} of {path} is damaged: {_printable(error)}.") from error


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
