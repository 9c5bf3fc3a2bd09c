"""Demonstrations: read from `.npz` files or Minari datasets, checked, and given to the learner.

An `.npz` file holds `observations (task, episode, t, obs)`, `actions (task, episode, t, act)`,
`goals (task, d)` and, if known, `rewards (task, episode, t)`. A Minari dataset holds the task
parameter in the option `task` of each episode.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, UInt8

from gmps.core.types import Demonstrations
from gmps.data.minari_io import (
    Episodes,
    dataset_id,
    find_dataset,
    read_dataset,
    refuse_dataset,
    write_dataset,
)
from gmps.data.npz import read_npz
from gmps.errors import GmpsError
from gmps.tasks.base import TaskFamily
from gmps.tasks.pixels import PixelFamily


@dataclass(frozen=True)
class DemoReport:
    """What was found in a file and what was done to it; `str` gives it as lines of text."""

    source: Path
    #: `"npz file"` or `"Minari dataset"`.
    kind: str
    family: str
    tasks: int
    episodes: int
    steps: int
    #: Longest episode, in steps.
    longest: int
    #: Numbers per observation, in the file and as the family has it.
    obs_size_in: int
    obs_size: int
    act_size: int
    #: Numbers of actions outside [-1, 1], which were clipped, of all numbers of actions.
    clipped: int
    act_numbers: int
    #: Largest absolute number of an action before clipping.
    largest_action: float
    has_reward: bool
    #: Arrays in the file that were not read.
    ignored: tuple[str, ...] = ()
    #: The Minari dataset that was written, if any.
    written: Path | None = None

    @property
    def clipped_fraction(self) -> float:
        """Share of the numbers of actions that were outside [-1, 1]."""
        return self.clipped / self.act_numbers

    def __str__(self) -> str:
        lines = [
            f"{self.source} ({self.kind}) for {self.family}",
            f"  {self.tasks} tasks, {self.episodes} episodes, {self.steps} steps, the longest "
            f"episode {self.longest}",
            f"  observations: {self.obs_size} numbers"
            + (f", taken from the file's {self.obs_size_in}" if self._converted else ""),
            f"  actions: {self.act_size} numbers; {self.clipped} of {self.act_numbers} "
            f"({self.clipped_fraction:.1%}) were outside [-1, 1]"
            + (f" and clipped, the largest {self.largest_action:.3g}" if self.clipped else ""),
            f"  rewards: {'yes' if self.has_reward else 'none (not needed to imitate)'}",
        ]
        if self.ignored:
            lines.append(f"  not read: {', '.join(self.ignored)}")
        if self.written is not None:
            lines.append(f"  written: {self.written}, Minari id {dataset_id(self.written)}")
            lines.append("  last observation of each episode: repeated, as the file has none")
        return "\n".join(lines)

    @property
    def _converted(self) -> bool:
        return self.obs_size_in != self.obs_size


class DemoSet(NamedTuple):
    """Checked demonstrations; what lies beyond an episode's end is 0 and not `alive`."""

    #: Observations as the family has them, float32.
    obs: Float[np.ndarray, "task ep t obs"]
    #: Actions clipped to [-1, 1], float32.
    act: Float[np.ndarray, "task ep t act"]
    reward: Float[np.ndarray, "task ep t"] | None
    #: Task parameters, float32.
    tasks: Float[np.ndarray, "task d"]
    alive: Bool[np.ndarray, "task ep t"]
    report: DemoReport
    #: What the camera showed, where the family has one.
    frames: UInt8[np.ndarray, "task ep t height width 3"] | None = None

    def select(self, tasks: Sequence[int]) -> "DemoSet":
        """The demonstrations of some tasks, by index.

        Raises:
            GmpsError: if an index is out of range.
        """
        for i in tasks:
            if not 0 <= i < len(self.tasks):
                raise GmpsError(
                    f"There is no task {i} in {self.report.source}; it has the tasks 0 to "
                    f"{len(self.tasks) - 1}."
                )
        index = np.asarray(tasks, int)
        reward = None if self.reward is None else self.reward[index]
        return DemoSet(
            self.obs[index],
            self.act[index],
            reward,
            self.tasks[index],
            self.alive[index],
            self.report,
            None if self.frames is None else self.frames[index],
        )

    def demonstrations(self) -> Demonstrations:
        """All steps of each task in one row, for the outer loop."""
        n = len(self.tasks)
        return Demonstrations(
            jnp.asarray(self.obs.reshape(n, -1, self.obs.shape[-1])),
            jnp.asarray(self.act.reshape(n, -1, self.act.shape[-1])),
            jnp.asarray(self.alive.reshape(n, -1)),
            None if self.frames is None else self.frames.reshape(n, -1, *self.frames.shape[3:]),
        )


def load_demos(source: str | Path, family: TaskFamily) -> DemoSet:
    """Read and check demonstrations for a family.

    Observations of another size are given to the family's optional method
    `convert_observations(obs) -> obs | None`.

    Args:
        source: an `.npz` file, a folder with a Minari dataset, or the id of a dataset in Minari's
            own store.
        family: the task family they are for.

    Raises:
        GmpsError: in one sentence, if the source is missing or damaged, lacks an array, has
            arrays whose shapes do not match, numbers that are not finite, or does not fit the
            family. Actions outside [-1, 1] are clipped and counted, which is no error.
    """
    episodes, kind, ignored = _read(Path(source))
    spec = family.spec
    name = f"{source}"
    for what, size, expected in (
        ("actions", episodes.act.shape[-1], spec.act_size),
        ("goals", episodes.tasks.shape[-1], spec.context_size),
    ):
        if size != expected:
            raise GmpsError(
                f"The {what} of {name} have {size} numbers, but {family.name} takes {expected}."
            )
    obs = _converted(name, episodes.obs, family)
    outside = (np.abs(episodes.act) > 1) & episodes.alive[..., None]
    report = DemoReport(
        source=Path(source),
        kind=kind,
        family=family.name,
        tasks=len(episodes.tasks),
        episodes=int(episodes.alive.any(-1).sum()),
        steps=int(episodes.alive.sum()),
        longest=int(episodes.alive.sum(-1).max()),
        obs_size_in=episodes.obs.shape[-1],
        obs_size=obs.shape[-1],
        act_size=episodes.act.shape[-1],
        clipped=int(outside.sum()),
        act_numbers=int(episodes.alive.sum()) * episodes.act.shape[-1],
        largest_action=float(np.abs(episodes.act).max()),
        has_reward=episodes.reward is not None,
        ignored=ignored,
    )
    act = np.clip(episodes.act, -1, 1)
    frames = _frames(name, episodes, family)
    return DemoSet(obs, act, episodes.reward, episodes.tasks, episodes.alive, report, frames)


def _frames(source: str, episodes: Episodes, family: TaskFamily) -> np.ndarray | None:
    """The frames, where the family's learner sees any."""
    if not isinstance(family, PixelFamily):
        return None
    if episodes.frames is None:
        raise GmpsError(
            f"The demonstrations in {source} hold no frames, which {family.name} takes; record "
            f"some with `gmps demos record {family.name}`."
        )
    wanted = (family.view.height, family.view.width, 3)
    if episodes.frames.shape[3:] != wanted:
        raise GmpsError(
            f"The frames of {source} have shape {episodes.frames.shape[3:]}, but {family.name} "
            f"takes {wanted}."
        )
    return episodes.frames


def import_npz(path: str | Path, family: TaskFamily, out: str | Path) -> DemoReport:
    """Check an `.npz` file and write it as a Minari dataset.

    Args:
        path: the file.
        family: the task family it is for.
        out: folder to write. Its name is the dataset's Minari id, with `-v0` if it has no version.

    Raises:
        GmpsError: see `load_demos`; also if `out` is taken or `path` is no `.npz` file.
    """
    out = Path(out)
    refuse_dataset(out)
    if Path(path).is_dir():
        raise GmpsError(f"{path} is not an .npz file: it is a folder.")
    demos = load_demos(path, family)
    write_dataset(out, Episodes(*demos[:5]), family.name, Path(path).name)
    return replace(demos.report, written=out)


def info(source: str | Path) -> dict[str, Any]:
    """Facts about demonstrations, for tables; needs no family.

    Returns:
        `kind`, `tasks`, `episodes`, `steps`, `observation_size`, `action_size`, `action_low`,
        `action_high`, `clipped_fraction` (share of the numbers of actions outside [-1, 1]),
        `rewards` (whether known), `not_read` (other arrays), and `per_task`, a list with `goal`,
        `episodes`, `shortest` and `longest` (steps), and `return_mean`, `return_low`,
        `return_high` over episodes (None without rewards).

    Raises:
        GmpsError: see `load_demos`.
    """
    episodes, kind, ignored = _read(Path(source))
    act = episodes.act[episodes.alive]
    return {
        "kind": kind,
        "tasks": len(episodes.tasks),
        "episodes": int(episodes.alive.any(-1).sum()),
        "steps": int(episodes.alive.sum()),
        "observation_size": episodes.obs.shape[-1],
        "action_size": episodes.act.shape[-1],
        "action_low": float(act.min()),
        "action_high": float(act.max()),
        "clipped_fraction": float((np.abs(act) > 1).mean()),
        "rewards": episodes.reward is not None,
        "not_read": list(ignored),
        "per_task": [_task_info(episodes, i) for i in range(len(episodes.tasks))],
    }


def _task_info(episodes: Episodes, i: int) -> dict[str, Any]:
    lengths = episodes.alive[i].sum(-1)
    used = lengths > 0
    low = mean = high = None
    if episodes.reward is not None:
        returns = episodes.reward[i].sum(-1, dtype=np.float64)[used]
        low, mean, high = float(returns.min()), float(returns.mean()), float(returns.max())
    return {
        "goal": [float(x) for x in episodes.tasks[i]],
        "episodes": int(used.sum()),
        "shortest": int(lengths[used].min()),
        "longest": int(lengths.max()),
        "return_mean": mean,
        "return_low": low,
        "return_high": high,
    }


def _read(source: Path) -> tuple[Episodes, str, tuple[str, ...]]:
    """Arrays of an `.npz` file or a Minari dataset, checked as far as no family is needed."""
    folder = None if source.is_file() else find_dataset(source)
    if folder is not None:
        episodes, ignored, kind = read_dataset(folder), (), "Minari dataset"
    elif source.is_dir():
        raise GmpsError(f"The folder {source} holds no Minari dataset.")
    else:
        arrays, ignored = read_npz(source, ("observations", "actions", "goals"), ("rewards",))
        _check_shapes(source, arrays)
        obs = arrays["observations"]
        alive = np.ones(obs.shape[:3], bool)
        episodes = Episodes(obs, arrays["actions"], arrays.get("rewards"), arrays["goals"], alive)
        kind = "npz file"
    return _float32(source, episodes), kind, ignored


_AXES = {
    "observations": "(task, episode, t, obs)",
    "actions": "(task, episode, t, act)",
    "rewards": "(task, episode, t)",
    "goals": "(task, d)",
}


def _check_shapes(source: Path, arrays: dict[str, np.ndarray]) -> None:
    for name, array in arrays.items():
        if array.ndim != _AXES[name].count(",") + 1:
            raise GmpsError(
                f"The array {name} of {source} has shape {array.shape}, but needs the axes "
                f"{_AXES[name]}."
            )
    obs = arrays["observations"].shape
    for axis, what in enumerate(("tasks", "episodes", "steps")):
        if obs[axis] == 0:
            raise GmpsError(
                f"The demonstrations in {source} have no {what}: observations have shape {obs}."
            )
    for name in ("actions", "rewards"):
        if name in arrays and arrays[name].shape[:3] != obs[:3]:
            raise GmpsError(
                f"The arrays of {source} do not match: observations have shape {obs} and {name} "
                f"{arrays[name].shape}; the axes task, episode and t must be equal."
            )
    if len(arrays["goals"]) != obs[0]:
        raise GmpsError(
            f"The file {source} has {len(arrays['goals'])} goals for {obs[0]} tasks; each task "
            "needs one."
        )
    for name in ("observations", "actions", "goals"):
        if arrays[name].shape[-1] == 0:
            raise GmpsError(f"The array {name} of {source} is empty: {arrays[name].shape}.")


def _float32(source: Path, episodes: Episodes) -> Episodes:
    reward = episodes.reward
    return Episodes(
        obs=_finite(source, "observations", episodes.obs),
        act=_finite(source, "actions", episodes.act),
        reward=None if reward is None else _finite(source, "rewards", reward),
        tasks=_finite(source, "goals", episodes.tasks),
        alive=episodes.alive,
        frames=episodes.frames,
    )


def _finite(source: Path, name: str, array: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        single = np.asarray(array, np.float32)
    finite = np.isfinite(single)
    if not finite.all():
        index = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise GmpsError(
            f"The array {name} of {source} has the value {array[index]} at index {index}; all "
            "numbers must be finite."
        )
    return single


def _converted(source: str, obs: np.ndarray, family: TaskFamily) -> np.ndarray:
    size, expected = obs.shape[-1], family.spec.obs_size
    if size == expected:
        return obs
    convert = getattr(family, "convert_observations", None)
    converted = None if convert is None else convert(obs)
    if converted is None:
        other = "" if convert is None else " or a layout that it converts"
        raise GmpsError(
            f"The observations of {source} have {size} numbers, but {family.name} takes "
            f"{expected}{other}."
        )
    converted = np.asarray(converted, np.float32)
    if converted.shape != (*obs.shape[:-1], expected):
        raise GmpsError(
            f"{family.name}.convert_observations gave shape {converted.shape} for {obs.shape}; it "
            f"must keep all axes but the last, which must be {expected}."
        )
    return converted
