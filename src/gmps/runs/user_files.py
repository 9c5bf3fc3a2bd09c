"""The user's own files that a run was made with: copies in its folder, so that it can be moved.

`RUN/code/PART/` holds the file of a `FILE.py:NAME`, the modules beside it that it imports and the
files beside it that these name, with their hashes in `files.json`; `PART` is what they define, such
as `family`.
"""

import ast
import hashlib
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

from gmps.errors import GmpsError
from gmps.runs.results import read_result, write_result

FOLDER, LIST = "code", "files.json"
#: Larger files beside are not copied, bytes.
MAX_SIZE = 2**24


@dataclass(frozen=True)
class KeptFiles:
    """The content of `files.json`."""

    #: What the user named.
    spec: str
    #: Where the first file lay.
    original: Path
    #: SHA-256 of each file, by its name from the folder of the first.
    files: dict[str, str]


def split_spec(spec: str) -> tuple[Path, str] | None:
    """File and name of `FILE.py:NAME`; None for anything else."""
    file, separator, name = spec.rpartition(":")
    return (Path(file), name) if separator and file.endswith(".py") else None


def keep_user_file(run: Path, part: str, spec: str) -> None:
    """Copy the file that `spec` names, and what it needs of its folder, into a run's folder.

    Nothing is done where `spec` names no file.
    """
    found = split_spec(spec)
    if found is None:
        return
    original = found[0].resolve()
    folder = run / FOLDER / part
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for name, file in _with_neighbours(original).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, folder / name)
        files[name] = _hash(file)
    write_result(folder / LIST, KeptFiles(spec, original, files))


def kept_spec(run: Path, part: str, spec: str) -> tuple[str, bool]:
    """What to load for a spec of the run's settings, and whether that is the run's copy.

    The original counts while it is as it was; beside it lie the files that it may read. A changed
    or absent one is replaced by the run's copy.

    Raises:
        GmpsError: the copy is damaged.

    Warns:
        UserWarning: the original has changed since the run was made.
    """
    folder, found = run / FOLDER / part, split_spec(spec)
    if found is None or not (folder / LIST).is_file():
        return spec, False
    try:
        kept = read_result(folder / LIST, KeptFiles, "gmps train")
    except GmpsError as error:
        if found[0].is_file():
            warnings.warn(
                f"{str(error).partition('; write it again')[0]}; it is not known whether "
                f"{found[0]} has changed since the run was made.",
                stacklevel=3,
            )
            return spec, False
        raise
    assert kept is not None
    original, files = kept.original, kept.files
    if kept.spec != spec:
        return spec, False
    if _same(original.parent, files):
        return f"{original}:{found[1]}", False
    if not _same(folder, files):
        raise GmpsError(
            f"The run's copy of {original} in {folder} is damaged; put the original, as it was, "
            "back in its place."
        )
    if original.is_file():
        warnings.warn(
            f"{original} has changed since the run {run} was made; the run's own copy is used"
            + (f" (--family {spec} takes the file as it is)." if part == "family" else "."),
            stacklevel=3,
        )
    return f"{folder / original.name}:{found[1]}", True


def _same(folder: Path, files: dict[str, str]) -> bool:
    """Whether all files are there, as they were."""
    return all((folder / f).is_file() and _hash(folder / f) == h for f, h in files.items())


def _hash(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _with_neighbours(file: Path) -> dict[str, Path]:
    """The file and, in turn, what it needs of its folder, by the names there."""
    root, found, waiting = file.parent, {}, [file]
    while waiting:
        one = waiting.pop()
        name = str(one.relative_to(root))
        if name not in found:
            found[name] = one
            waiting += _needed(one, root) if one.suffix == ".py" else []
    return found


def _needed(file: Path, root: Path) -> list[Path]:
    """Modules that a module imports, and files that it names, as far as they lie in the folder."""
    try:
        tree = ast.parse(file.read_bytes())
    except SyntaxError:
        return []  # whoever loads it says so
    files = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            files += _named_file(root, node.value)
        if isinstance(node, ast.Import):
            files += [f for alias in node.names for f in _module_files(root, alias.name)]
        if isinstance(node, ast.ImportFrom):
            start = file.parents[node.level - 1] if node.level else root
            named = [".".join(filter(None, (node.module, a.name))) for a in node.names]
            if start.is_relative_to(root):
                files += [f for name in named for f in _module_files(start, name)]
    return files


def _named_file(root: Path, name: str) -> list[Path]:
    """The file of that name, which may be any text, if it may be copied."""
    if not name or len(name) > 200 or not name.isprintable():
        return []
    file = (root / name).resolve()
    fits = file.is_file() and file.is_relative_to(root) and file.stat().st_size <= MAX_SIZE
    return [file] if fits else []


def _module_files(start: Path, module: str) -> list[Path]:
    """The files that importing a module from a folder runs, as far as they lie there."""
    parts = module.split(".")
    paths = [start.joinpath(*parts[: i + 1]) for i in range(len(parts))]
    files = [f for path in paths for f in (path.with_suffix(".py"), path / "__init__.py")]
    return [f for f in files if f.is_file()]
