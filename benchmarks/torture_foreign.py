"""Recordings of other programs that are damaged and imported: a part of `torture.py`."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torture_commands import fork, start, wait
from torture_damage import Subject, fuzzed

#: Each kind of recording, by the name that `_sample` gives it.
KINDS = ("minari", "lerobot", "robomimic.hdf5", "arrays.npz", "npz-folder", "csv-folder")


@dataclass(frozen=True)
class Foreign:
    """Mutate recordings of every kind, and import them."""

    count: int = 2_000
    """Mutations, spread over the files."""
    seed: int = 0
    """Seed of the mutations; the one of number i is (seed, i)."""


def foreign(command: Foreign) -> dict[str, Any]:
    """Nothing but a sentence, or numbers that can be learned from. Nobody's digest tells whether
    these are the recorded ones."""
    subject = Subject(_sample, _files, _readers, ("traceback", "hang", "memory"), seconds=90)
    return fuzzed(subject, command.count, command.seed)


def _sample(place: Path) -> Path:
    """The same few episodes, recorded in every kind."""
    folder, log = place / "sample", place / "log"
    shown = place / "shown"
    record = ["demos", "record", "point-goal", "--episodes", "1", "--out", str(shown)]
    export = ["demos", "export", str(shown), "--family", "point-goal", "--out"]
    commands = [record]
    for kind in KINDS[:3]:
        commands.append([*export, str(folder / kind), "--format", kind.removesuffix(".hdf5")])
    folder.mkdir()
    for command in commands:
        assert wait(start(command, log)) == 0, log.read_text()
    assert wait(fork(lambda: _write_arrays(shown, folder))) == 0
    return folder


def _write_arrays(shown: Path, folder: Path) -> int:
    import numpy as np  # noqa: PLC0415 - JAX is not to be used before a fork

    from gmps.data.demos import load_demos  # noqa: PLC0415
    from gmps.tasks import make_family  # noqa: PLC0415

    demos = load_demos(shown, make_family("point-goal"))
    arrays = {"observations": demos.obs, "actions": demos.act, "rewards": demos.reward}
    np.savez(folder / "arrays.npz", goals=demos.tasks, **arrays)
    for kind in ("npz-folder", "csv-folder"):
        (folder / kind).mkdir()
    for i, episode in enumerate(zip(demos.obs[:3, 0], demos.act[:3, 0], strict=True)):
        named = dict(zip(("observations", "actions"), episode, strict=True))
        np.savez(folder / "npz-folder" / f"{i}.npz", goal=demos.tasks[i], **named)
        table = np.concatenate([*episode, np.tile(demos.tasks[i], (len(episode[0]), 1))], 1)
        names = [f"{k}_{j}" for k in ("observations", "actions", "goal") for j in range(2)]
        text = ",".join(names) + "\n" + "".join(",".join(map(str, row)) + "\n" for row in table)
        (folder / "csv-folder" / f"{i}.csv").write_text(text)
    return 0


def _files(folder: Path) -> dict[str, str]:
    files = (f.relative_to(folder) for f in folder.rglob("*") if f.is_file())
    return {str(f): f.parts[0] for f in files}


def _readers(folder: Path) -> dict[str, Callable[[], Any]]:
    import numpy as np  # noqa: PLC0415 - JAX is not to be used before a fork

    from gmps.data.demos import load_demos  # noqa: PLC0415
    from gmps.data.importing import import_demos  # noqa: PLC0415
    from gmps.tasks import make_family  # noqa: PLC0415

    family = make_family("point-goal")

    def reader(kind: str) -> Callable[[], Any]:
        def imported() -> Any:
            out = folder.parent / "imported"
            shutil.rmtree(out, ignore_errors=True)
            import_demos(folder / kind, family, out)
            demos = load_demos(out, family)
            arrays = [demos.obs, demos.act, demos.tasks, demos.alive]
            assert all(np.isfinite(x).all() for x in arrays), "numbers that are not finite"
            assert (np.abs(demos.act) <= 1).all(), "actions beyond their range"
            return [(x.shape, x.tobytes()) for x in arrays]

        return imported

    return {kind: reader(kind) for kind in KINDS}
