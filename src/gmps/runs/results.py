"""Files of results: a frozen dataclass as JSON, checked when it is read.

A result whose field `format` is a `Literal` number is of that format and of no other.
"""

import json
import typing
from pathlib import Path
from typing import Any, TypeVar

from gmps.aside import write_atomically
from gmps.errors import GmpsError
from gmps.runs.config_json import Misfit, decode_config, encode_config

Result = TypeVar("Result")


def write_result(path: Path, result: Any) -> Path:
    """Write a result, replacing an older one.

    Raises:
        GmpsError: a number in it is not finite.
    """
    text = json.dumps(encode_config(result), indent=2, allow_nan=False) + "\n"
    write_atomically(path, text.encode())
    return path


def read_result(path: Path, cls: type[Result], command: str) -> Result | None:
    """The result in a file, or None where there is no file.

    Args:
        path: the file.
        cls: the dataclass that it holds.
        command: what writes it again.

    Raises:
        GmpsError: it is damaged, or of another version.
    """
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise GmpsError(f"{path} is damaged: {error}; write it again with `{command}`.") from error
    found = content.get("format") if isinstance(content, dict) else None
    wanted = typing.get_args(typing.get_type_hints(cls).get("format"))
    if wanted and found not in wanted:
        raise GmpsError(
            f"{path} has format {found}, but this version of gmps reads format {wanted[0]}; write "
            f"it again with `{command}`."
        )
    try:
        return decode_config(cls, content)
    except Misfit as error:
        raise GmpsError(
            f"{path} does not hold what it should: {error.problem}; write it again with "
            f"`{command}`."
        ) from error
