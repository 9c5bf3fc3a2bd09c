"""Files of results: a frozen dataclass as JSON, checked when it is read.

A file ends with a digest of its content, so that a changed figure is noticed. A result whose field
`format` is a `Literal` number is of that format and of no other.
"""

import json
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from gmps.aside import write_atomically
from gmps.errors import GmpsError
from gmps.plain_json import digest_of, read_json
from gmps.runs.config_json import Misfit, decode_config, encode_config
from gmps.runs.remedy import check_digest, written_again_by

Result = TypeVar("Result")
DIGEST = "digest"


def write_result(path: Path, result: Any) -> Path:
    """Write a result, replacing an older one.

    Raises:
        GmpsError: a number in it is not a number.
    """
    text = json.dumps(sealed(encode_config(result)), indent=2, allow_nan=False) + "\n"
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
    with written_again_by(command):
        content = read_json(path)
        if not isinstance(content, dict):
            raise GmpsError(f"{path} is damaged: it holds no result.")
        found = content.get("format")
        wanted = typing.get_args(typing.get_type_hints(cls).get("format"))
        if wanted and found not in wanted:
            raise GmpsError(
                f"{path} has format {json.dumps(found)[:60]}, but this version of gmps reads "
                f"format {wanted[0]}."
            )
        digest = content.pop(DIGEST, None)
        mismatch = "its content does not match its digest"
        check_digest(path, digest, digest_of(content), mismatch)
        try:
            return decode_config(cls, content)
        except Misfit as error:
            problem = f"it does not hold what it should: {error.problem}"
            raise GmpsError(f"{path} is damaged: {problem}.") from error


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Plain JSON values with their digest at the end."""
    return {**content, DIGEST: digest_of(content)}
