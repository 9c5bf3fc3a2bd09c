"""JSON of files that may be damaged: any fault is one error, in a line."""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from gmps.errors import GmpsError

#: Larger files are not parsed, bytes: JSON takes ten times as much memory.
MAX_SIZE = 2**28


def read_json(path: Path) -> Any:
    """Plain values of a JSON file that may be damaged.

    Raises:
        GmpsError: it is too large, no JSON, nested too deeply, or has a number that is not finite.
    """
    size = path.stat().st_size
    if size > MAX_SIZE:
        raise GmpsError(f"{path} is damaged: it has {size / 2**20:,.0f} MiB.")
    try:
        return parse_json(path.read_bytes())
    except ValueError as error:
        raise GmpsError(f"{path} is damaged: {error}.") from error


def parse_json(text: str | bytes) -> Any:
    """Plain values of a JSON text that may be damaged.

    Raises:
        ValueError: it is no JSON, nested too deeply, or has a number that is not finite.
    """
    try:
        return json.loads(text, parse_constant=_refuse_number, parse_float=_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def digest_of(content: Mapping[str, Any]) -> str:
    """The digest of plain JSON values, whatever their layout in a file."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _refuse_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _refuse_number(text[:20])
