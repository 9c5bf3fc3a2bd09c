"""Named arrays and facts in one `.safetensors` file, with a digest; never pickled.

The file's header holds, as JSON under the key `gmps`, the facts and a digest of names, shapes and
data, so that a damaged file is noticed. Equal content gives equal bytes.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from gmps.aside import write_atomically
from gmps.errors import GmpsError
from gmps.plain_json import parse_json

FORMAT = "gmps-checkpoint-1"
_ENTRY = "gmps"


def write_tensors(
    path: str | Path,
    arrays: Mapping[str, np.ndarray],
    metadata: Mapping[str, Any],
    keys: Mapping[str, str],
) -> None:
    """Write arrays and metadata to one file, atomically.

    Args:
        path: file to write or replace; its folder must exist.
        arrays: arrays of numbers, by name.
        metadata: anything JSON can hold; no NaN.
        keys: which arrays are random keys, and the implementation of each.

    Raises:
        GmpsError: the metadata do not fit into JSON.
    """
    try:
        plain = json.loads(json.dumps(dict(metadata), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise GmpsError(f"The metadata of a checkpoint must fit into JSON: {error}.") from error
    header = {"format": FORMAT, "metadata": plain, "keys": dict(keys)}
    header["digest"] = _digest(arrays, header)
    # One entry: the library writes several in no fixed order.
    entry = {_ENTRY: json.dumps(header, sort_keys=True)}
    write_atomically(path, safetensors.numpy.save(dict(arrays), entry))


def read_tensors(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of a file, and its header: `metadata` and `keys`.

    Raises:
        GmpsError: if the file is missing, truncated, changed or not one of gmps.
    """
    path = Path(path)
    if not path.is_file():
        raise GmpsError(f"There is no checkpoint {path}.")
    try:
        with safetensors.safe_open(path, "numpy") as file:
            entry = (file.metadata() or {}).get(_ENTRY)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = parse_json(entry) if entry is not None else {}
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise GmpsError(f"The checkpoint {path} is damaged or cut short: {error}.") from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise GmpsError(f"The file {path} is not a checkpoint of gmps ({FORMAT}).")
    for part in ("metadata", "keys"):
        if not isinstance(header.get(part), dict):
            raise GmpsError(f"The checkpoint {path} is damaged: it has no {part}.")
    if header.get("digest") != _digest(arrays, header):
        raise GmpsError(f"The checkpoint {path} is damaged: its data do not match its digest.")
    return arrays, header


def read_metadata(path: str | Path) -> dict[str, Any]:
    """The metadata alone, unverified and fast.

    Raises:
        safetensors.SafetensorError, KeyError, TypeError, ValueError: the file is damaged.
    """
    with safetensors.safe_open(path, "numpy") as file:
        return parse_json(file.metadata()[_ENTRY])["metadata"]


def _digest(arrays: Mapping[str, np.ndarray], header: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in header.items() if name != "digest"}
    digest = hashlib.sha256(json.dumps(rest, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        digest.update(f"{name}|{array.dtype}|{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
