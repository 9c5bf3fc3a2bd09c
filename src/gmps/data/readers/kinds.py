"""What kind of demonstrations a path holds, told by its contents and not by its name."""

import os
import zipfile
from pathlib import Path
from typing import Literal

from gmps.data.readers.folder import episode_files, holds_episodes
from gmps.data.readers.lerobot import is_lerobot
from gmps.errors import GmpsError

Kind = Literal["npz", "minari", "hdf5", "lerobot", "folder"]

_HDF5 = b"\x89HDF\r\n\x1a\n"
KNOWN = (
    "an .npz file, a Minari dataset, a robomimic HDF5 file, a LeRobot folder, or a folder of one "
    ".npz or .csv file an episode"
)


def find_minari(path: str | Path) -> Path | None:
    """The data folder of a Minari dataset given as folder or as id of Minari's own store."""
    store = os.environ.get("MINARI_DATASETS_PATH") or Path.home() / ".minari" / "datasets"
    path = Path(path)
    near = [path, path / "data"]
    if path.name == "main_data.hdf5":
        near.append(path.parent)
    for folder in (*near, Path(store) / path / "data"):
        if (folder / "metadata.json").is_file():
            return folder
    return None


def recognise(source: str | Path) -> tuple[Kind, Path]:
    """The kind of demonstrations, and the file or folder where they lie.

    `folder` is also a file of episodes of one task.

    Raises:
        GmpsError: nothing is there, or it is of no known kind.
    """
    path = Path(source)
    if not path.is_file() or path.name == "main_data.hdf5":
        minari = find_minari(path)
        if minari is not None:
            return "minari", minari
    if path.is_dir():
        if is_lerobot(path):
            return "lerobot", path
        if episode_files(path):
            return "folder", path
        raise GmpsError(f"The folder {path} holds no Minari dataset and no other: {KNOWN}.")
    if not path.exists():
        raise GmpsError(f"There is no file {path}.")
    if zipfile.is_zipfile(path):
        return ("folder" if holds_episodes(path) else "npz"), path
    start = b""
    if path.is_file():
        with path.open("rb") as file:
            start = file.read(8)
    if start == _HDF5:
        return "hdf5", path
    if start[:4] == b"PAR1":
        raise GmpsError(
            f"{path} is one parquet table; give the LeRobot folder with meta/info.json."
        )
    # The sentences of `read_npz` say what such bytes look like.
    return "npz", path
