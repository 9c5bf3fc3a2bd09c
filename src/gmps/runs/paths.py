"""`paths.npz`: arrays to draw, with a digest, read without trust."""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from gmps.arrays import members, open_archive, read_member, unpacked_size
from gmps.aside import write_atomically
from gmps.errors import GmpsError
from gmps.runs.remedy import check_digest, written_again_by

_DIGEST = "digest"
#: What the arrays may take together, bytes.
MAX_SIZE = 2**30


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write numeric and string arrays, replacing older ones."""
    buffer = io.BytesIO()
    sealed = {**arrays, _DIGEST: np.array(_digest(arrays))}
    np.savez_compressed(buffer, allow_pickle=False, **sealed)
    write_atomically(path, buffer.getvalue())
    return path


def read_arrays(path: Path, command: str) -> dict[str, np.ndarray] | None:
    """The arrays of a file, or None where there is none.

    Args:
        path: the file.
        command: what writes it again.

    Raises:
        GmpsError: it is damaged, unpacks to more than 1 GiB, or was written without a digest.
    """
    if not path.exists():
        return None
    with written_again_by(command):
        found = _read(path)
        digest = found.pop(_DIGEST, None)
        mismatch = "its arrays do not match their digest"
        check_digest(path, digest, _digest(found), mismatch)
    return found


def _read(path: Path) -> dict[str, np.ndarray]:
    with open_archive(path) as archive:
        found = members(archive)
        size = unpacked_size(archive, list(found.values()))
        if size > MAX_SIZE:
            raise GmpsError(f"{path} is damaged: it unpacks to {size / 2**30:.3g} GiB.")
        return {n: read_member(path, archive, n, m, "fiubU") for n, m in found.items()}


def _digest(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name])
        digest.update(f"{name}|{array.dtype.str}|{array.shape}|".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
