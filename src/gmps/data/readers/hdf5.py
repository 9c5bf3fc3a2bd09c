"""HDF5 files that other people made: nothing is allocated that the file cannot hold."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from gmps.errors import GmpsError

#: The most that HDF5's gzip unpacks a byte to.
_UNPACKED = 1040
#: Bytes of a dataset that unpacks to this much need no excuse.
_SMALL = 1 << 20


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file to read.

    Raises:
        GmpsError: it is none, or its start is damaged.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise GmpsError(f"{path} is damaged: {one_line(error)}.") from error
    with file:
        yield file


def one_line(error: object) -> str:
    """Words of a library on one line."""
    words = " ".join(str(error).split()).rstrip(".")
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in words)[:300]


def group(parent: Any, name: str, path: Path) -> h5py.Group:
    """A group within the same file."""
    found = parent.get(name)
    if not isinstance(found, h5py.Group):
        raise GmpsError(f"{path} lacks the group {parent.name.rstrip('/')}/{name}.")
    return found


def numbers(dataset: Any, path: Path, limit: int) -> np.ndarray:
    """The numbers of a dataset.

    Args:
        dataset: what stands under a name.
        path: the file, for messages.
        limit: bytes that it may have.

    Raises:
        GmpsError: it is no array of numbers, lies in another file, or declares more than the file
            holds or than `limit`.
    """
    if not isinstance(dataset, h5py.Dataset):
        raise GmpsError(f"{path} has a group where {getattr(dataset, 'name', '')} should be.")
    if dataset.dtype.kind not in "fiub":
        raise GmpsError(f"{dataset.name} of {path} holds {dataset.dtype}; numbers are needed.")
    if dataset.is_virtual or dataset.external:
        raise GmpsError(f"{dataset.name} of {path} lies in another file, which is never opened.")
    size = math.prod(dataset.shape) * dataset.dtype.itemsize
    stored = dataset.id.get_storage_size()
    if size > max(_SMALL, _UNPACKED * stored) or (size and not stored):
        raise GmpsError(
            f"{path} is damaged: {dataset.name} declares {size} bytes and stores {stored}."
        )
    chunk = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize
    if max(size, chunk) > limit:
        raise GmpsError(
            f"{path} is damaged or too large: {dataset.name} declares {max(size, chunk)} bytes, "
            f"and {limit} may be read at once."
        )
    return dataset[()]


def own(parent: h5py.Group, name: str, path: Path) -> Any:
    """What stands under a name, unless that is a link to another file."""
    if isinstance(parent.get(name, getlink=True), h5py.ExternalLink):
        raise GmpsError(f"{parent.name}/{name} of {path} lies in another file: never opened.")
    return parent.get(name)


def leaves(parent: h5py.Group, path: Path, prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """The datasets under a group by their names, those of inner groups with `/` between.

    Raises:
        GmpsError: there are too many, or groups within groups without end.
    """
    found: dict[str, Any] = {}
    if depth > 8 or len(parent) > 1000:
        raise GmpsError(f"{path} is damaged: {parent.name} is too deep or holds too much.")
    for name in map(str, parent):
        item = own(parent, name, path)
        if isinstance(item, h5py.Group):
            found |= leaves(item, path, f"{prefix}{name}/", depth + 1)
        elif isinstance(item, h5py.Dataset):
            found[f"{prefix}{name}"] = item
    return found


def text(value: Any) -> str | None:
    """An attribute that should be text."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None
