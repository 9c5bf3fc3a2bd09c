"""What a user's own code defines: `FILE.py:NAME`, `package.module:NAME`, and entry points.

A family, a method and an expert are all named like that. Code that is named is executed.
"""

import functools
import importlib
import importlib.metadata
import importlib.util
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from gmps.errors import GmpsError


def is_code(spec: str) -> bool:
    """Whether this names something in a file or module, and not one of ours."""
    return ":" in spec


def name_in_code(spec: str) -> str:
    """The `NAME` of `FILE.py:NAME`; anything else as it is."""
    return spec.rpartition(":")[2]


def load_code(spec: str, what: str) -> Any:
    """What `FILE.py:NAME` or `package.module:NAME` names.

    A file is executed once, and finds its neighbours: they may be imported.

    Args:
        spec: as the user wrote it.
        what: what it is to be, in words, such as "an expert".

    Raises:
        GmpsError: there is no such file, module or name.
    """
    where, _, name = spec.rpartition(":")
    give = f"give {what} as FILE.py:NAME or package.module:NAME"
    if not where or not name:
        raise GmpsError(f"{spec!r} names nothing; {give}.")
    if where.endswith(".py"):
        if not Path(where).is_file():
            raise GmpsError(f"There is no file {where}; {give}.")
        module = _load_file(str(Path(where).resolve()))
    else:
        module = _import(where, give)
    if not hasattr(module, name):
        raise GmpsError(f"{where} has no {name}; {give}.")
    return getattr(module, name)


def loaded_files() -> list[ModuleType]:
    """The modules of users' files so far. No other process can import them."""
    return list(_FILES)


def file_of(module: ModuleType) -> str | None:
    """The file that a user named, where this is its module."""
    return module.__file__ if module in _FILES else None


def entry_points(group: str) -> dict[str, str]:
    """What installed packages offer to a group such as `gmps.methods`: names and where each is."""
    return {point.name: point.value for point in _entry_points(group)}


@functools.cache
def _entry_points(group: str) -> tuple[importlib.metadata.EntryPoint, ...]:
    return tuple(importlib.metadata.entry_points(group=group))


_GMPS = Path(__file__).resolve().parent
_FILES: list[ModuleType] = []
#: Folders and files of code that users named.
_PLACES: set[Path] = set()


def is_users(file: str) -> bool:
    """Whether a file is code that a user named, or lies beside or below it."""
    path = Path(file)
    if not path.is_absolute() or "site-packages" in path.parts or path.is_relative_to(_GMPS):
        return False
    return any(path == place or path.is_relative_to(place) for place in _PLACES)


@functools.cache
def _load_file(file: str) -> ModuleType:
    """Executed once: a class that exists twice would be two families."""
    path = Path(file)
    _PLACES.add(path.parent)
    # Not its own name, which may be that of an installed module.
    name = f"{path.stem}_{zlib.crc32(file.encode()):08x}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise GmpsError(f"{file} cannot be loaded as a Python module.")
    module = importlib.util.module_from_spec(spec)
    # Annotations that are strings are looked up there.
    sys.modules[name] = module
    try:
        with _neighbours_first(path.parent):
            spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    _FILES.append(module)
    # Help and version must do without it.
    import cloudpickle  # noqa: PLC0415

    cloudpickle.register_pickle_by_value(module)
    return module


@contextmanager
def _neighbours_first(folder: Path) -> Iterator[None]:
    """Let a file import the modules beside it, and no others of the same names: a run's copy takes
    the copies in the run, wherever the command is given and whatever was loaded before."""
    names = {file.stem for file in folder.glob("*.py")}
    names |= {file.parent.name for file in folder.glob("*/__init__.py")}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.partition(".")[0] in names and file and _is_elsewhere(name, file, folder):
            del sys.modules[name]
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        # Functions may import when they are called.
        if str(folder) not in sys.path:
            sys.path.append(str(folder))


def _is_elsewhere(name: str, file: str, folder: Path) -> bool:
    """Whether a module is a user's, neither Python's nor installed, and lies in another folder."""
    path = Path(file).resolve()
    installed = name.partition(".")[0] in sys.stdlib_module_names or "site-packages" in path.parts
    return not installed and not path.is_relative_to(folder)


def _import(module: str, give: str) -> ModuleType:
    try:
        # What runs as `__main__`, such as a notebook, is there and cannot be looked for.
        found = None if module == "__main__" else importlib.util.find_spec(module)
        if found is not None and found.origin is not None:
            origin = Path(found.origin).resolve()
            _PLACES.add(origin.parent if origin.name == "__init__.py" else origin)
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # something that the user's module imports
        raise GmpsError(f"There is no module {module}; install it, or {give}.") from None
