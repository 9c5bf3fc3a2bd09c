"""Reading `.npz` files that other people made: no pickle is ever loaded, nothing is trusted."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gmps.arrays import SHARE, members, open_archive, read_member, unpacked_size
from gmps.errors import GmpsError
from gmps.memory import usable_memory

#: How other files start, and what to do with them.
_STARTS = {
    b"PK": "it is a zip archive that is damaged or cut short",
    b"\x93NUMPY": "it is a single .npy array; save the arrays together with numpy.savez",
    b"\x89HDF\r\n": "it is an HDF5 file; make a dataset of it with `gmps demos import`",
    b"PAR1": "it is a parquet table; make a dataset of its folder with `gmps demos import`",
}


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
    with open_archive(path) as archive:
        found = members(archive)
        for name in required:
            if name not in found:
                listed = ", ".join(found) or "no array at all"
                raise GmpsError(f"{path} lacks the array {name}; it holds {listed}.")
        wanted = [name for name in (*required, *optional) if name in found]
        size = unpacked_size(archive, [found[name] for name in wanted])
        most = usable_memory()
        if size > SHARE * most:
            raise GmpsError(
                f"{path} unpacks to {size / 1e9:.3g} GB, and this machine has "
                f"{most / 1e9:.3g} GB of memory; split it, or save it as a Minari dataset."
            )
        arrays = {name: read_member(path, archive, name, found[name]) for name in wanted}
    return arrays, tuple(name for name in found if name not in wanted)


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
