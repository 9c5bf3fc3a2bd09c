"""A meta-policy's folder: weights, what is said about them, and a model card."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from gmps.aside import aside
from gmps.errors import GmpsError
from gmps.plain_json import digest_of, parse_json

FORMAT = 1
META, WEIGHTS, CARD = "meta.json", "policy.safetensors", "README.md"
#: The digest of all else in `meta.json`, at its end.
_SEAL = "seal"


def read(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What `meta.json` says, and the arrays.

    Raises:
        GmpsError: the folder lacks a file, is damaged, or was written by another version.
    """
    for name in (META, WEIGHTS):
        if not (folder / name).is_file():
            raise GmpsError(
                f"{folder} is no meta-policy: it has no {name}; name a folder that `gmps export` "
                "wrote."
            )
    try:
        meta = parse_json((folder / META).read_bytes())
        if not isinstance(meta, dict):
            raise ValueError("it holds no object")
    except ValueError as error:
        raise GmpsError(f"{folder / META} is damaged: {error}.") from error
    if meta.get("format") != FORMAT:
        raise GmpsError(
            f"{folder} has format {meta.get('format')!r}, and this version of gmps reads format "
            f"{FORMAT}; export it again, or install the version that wrote it."
        )
    if meta.pop(_SEAL, None) != digest_of(meta):
        raise GmpsError(
            f"{folder / META} is not as it was written, or is of an older version; export it again."
        )
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    if digest != meta.get("digest"):
        raise GmpsError(
            f"{folder / WEIGHTS} is not the file that {META} belongs to: its digest differs; "
            "copy the folder again."
        )
    try:
        return meta, load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise GmpsError(f"{folder} is damaged: {error!r}; copy it again.") from error


def save(
    folder: str | Path,
    meta: dict[str, Any],
    arrays: dict[str, np.ndarray],
    card: str,
    beside: Callable[[Path], object] | None = None,
) -> Path:
    """Write a meta-policy's folder: weights, what `load` reads about them, and a model card.

    It is written aside and renamed, so no half of it is ever found. `beside` may write further
    files into the folder that it is given.

    Raises:
        GmpsError: the folder exists and is not empty.
    """
    with aside(folder) as staging:
        staging.mkdir()
        # Not `ascontiguousarray`, which makes vectors of single numbers.
        plain = {name: np.asarray(x, order="C") for name, x in arrays.items()}
        save_file(plain, staging / WEIGHTS)
        digest = hashlib.sha256((staging / WEIGHTS).read_bytes()).hexdigest()
        content = {"format": FORMAT, **meta, "digest": digest}
        # What is read again is what is sealed: tuples become lists.
        content = json.loads(json.dumps(content, allow_nan=False))
        text = json.dumps({**content, _SEAL: digest_of(content)}, indent=2) + "\n"
        (staging / META).write_text(text, encoding="utf-8")
        (staging / CARD).write_text(card, encoding="utf-8")
        if beside is not None:
            beside(staging)
    return Path(folder)
