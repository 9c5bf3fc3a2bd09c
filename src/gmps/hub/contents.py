"""What is handed on: which files of a run or a meta-policy, and how they are checked.

`gmps.json` lists them with sizes and digests. A name counts only if it is one of the project's
kinds, all of them data: JSON, arrays in safetensors or NumPy's format without objects, a film. Code
and pages of HTML are never among them.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from gmps.deploy import folder as meta_policy
from gmps.errors import GmpsError
from gmps.plain_json import parse_json
from gmps.runs.checkpoint import Checkpoints
from gmps.runs.run import CONFIG, FILM, HARNESS, METRICS, PATHS, SCORES, TIMING, VERSIONS
from gmps.training.expert_data import EXPERTS

LIST, CARD = "gmps.json", "README.md"
FORMAT = 1
Kind = Literal["run", "meta-policy"]
#: Of a list, bytes, and of its files.
MAX_LIST, MAX_FILES = 2**20, 200

_RUN = (
    *(CONFIG, VERSIONS, METRICS, TIMING, EXPERTS, SCORES, PATHS, HARNESS),
    *(FILM, CARD),
)
_CHECKPOINT = r"checkpoints/step_\d{10}\.safetensors"
_NAMES: dict[str, re.Pattern[str]] = {
    "run": re.compile("|".join([*map(re.escape, _RUN), _CHECKPOINT])),
    "meta-policy": re.compile(
        "|".join(map(re.escape, (meta_policy.META, meta_policy.WEIGHTS, meta_policy.CARD)))
    ),
}


@dataclass(frozen=True)
class Entry:
    """One file."""

    #: In bytes.
    size: int
    #: SHA-256, in hexadecimal.
    digest: str


@dataclass(frozen=True)
class Contents:
    """What a place holds."""

    kind: Kind
    files: Mapping[str, Entry]

    @property
    def size(self) -> int:
        """Of all files, in bytes."""
        return sum(entry.size for entry in self.files.values())

    def encode(self) -> bytes:
        """As `gmps.json`."""
        files = {name: asdict(entry) for name, entry in sorted(self.files.items())}
        content = {"format": FORMAT, "kind": self.kind, "files": files}
        return (json.dumps(content, indent=1) + "\n").encode()


def decode(data: bytes, place: object) -> Contents:
    """The content of a `gmps.json` that anybody may have written.

    Raises:
        GmpsError: it is damaged, or names anything that is not a file of the project's kinds.
    """
    try:
        content = parse_json(data)
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}, not {FORMAT}")
        kind, listed = content["kind"], content["files"]
        if kind not in get_args(Kind) or not isinstance(listed, dict) or not listed:
            raise ValueError("it lists nothing that is known")
        files = {name: _entry(value) for name, value in listed.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise GmpsError(f"{LIST} of {place} is damaged: {error}.") from None
    if len(files) > MAX_FILES:
        raise GmpsError(f"{place} lists {len(files)} files; at most {MAX_FILES} are taken.")
    for name in files:
        # Whole names of fixed forms: none leads out of the folder, and none is code.
        if not _NAMES[kind].fullmatch(name):
            raise GmpsError(f"{place} lists {name!r}, which is no file of a {kind}.")
    return Contents(kind, files)


def _entry(value: Any) -> Entry:
    size, digest = value["size"], value["digest"]
    if type(size) is not int or size < 0 or not re.fullmatch("[0-9a-f]{64}", str(digest)):
        raise ValueError("a size or a digest is none")
    return Entry(size, digest)


def survey(folder: Path) -> tuple[Contents, dict[str, Path]]:
    """What a run or a meta-policy has to hand on, and where each file lies.

    Of a run's checkpoints the last and the best are taken.

    Raises:
        GmpsError: the folder is neither, or a run has no checkpoint, or takes code of its maker.
    """
    if (folder / meta_policy.META).is_file():
        meta_policy.read(folder)  # whole, or a sentence
        kind, names = "meta-policy", [meta_policy.META, meta_policy.WEIGHTS, meta_policy.CARD]
    elif (folder / CONFIG).is_file():
        kind, names = "run", [name for name in _RUN if name != CARD]
        require_plain(folder, "pushed")
        found = Checkpoints(folder / "checkpoints")
        chosen = {c.path.name for c in (found.latest(), found.best()) if c is not None}
        if not chosen:
            raise GmpsError(
                f"{folder} has no checkpoint yet; train it with `gmps resume {folder}`."
            )
        names += [f"checkpoints/{name}" for name in sorted(chosen)]
    else:
        raise GmpsError(
            f"{folder} is neither a run nor a meta-policy; name a folder that `gmps train` or "
            "`gmps export` wrote."
        )
    paths = {name: folder / name for name in names if (folder / name).is_file()}
    files = {name: entry_of(path) for name, path in paths.items()}
    return Contents(kind, files), paths


def entry_of(path: Path) -> Entry:
    """Size and digest of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Entry(path.stat().st_size, digest)


def require_plain(folder: Path, done: str) -> None:
    """That a run takes no code but gmps's own, and nobody's cluster.

    Using a run loads its family, method and expert by their names. A name of a file or a module
    is code that is executed, and a cluster's address is a machine that is trusted with that.

    Args:
        folder: the run.
        done: what is refused, in words.

    Raises:
        GmpsError: it does, or its settings are damaged.
    """
    try:
        config = parse_json((folder / CONFIG).read_bytes())
        named = [config["family"], config["method"], *config.get("expert", ())]
        address = config.get("address")
        if not all(isinstance(name, str) for name in named):
            raise ValueError("a name is no word")
    except (ValueError, KeyError, TypeError) as error:
        raise GmpsError(f"{CONFIG} of the run is damaged: {error}.") from None
    for name in named:
        if ":" in name:
            raise GmpsError(
                f"The run takes code of its maker's, {name}, so it is not {done}; "
                "`gmps export` makes a meta-policy of it, which takes none."
            )
    if address is not None:
        raise GmpsError(
            f"The run names a cluster, {address}, which others are not to connect to, so it is "
            f"not {done}; `gmps export` makes a meta-policy of it."
        )
