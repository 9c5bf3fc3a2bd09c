"""Demonstrations as padded arrays, from an `.npz` file or a Minari dataset that says its tasks."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from gmps.data.bounded import recorded
from gmps.data.episodes import Episodes, repeats
from gmps.data.npz import read_npz
from gmps.data.padding import find_padding, said_alive
from gmps.data.readers.kinds import Kind
from gmps.data.readers.options import Wanted
from gmps.data.recording import Recording, bounds_note, from_bounds, split
from gmps.errors import GmpsError
from gmps.tasks.base import TaskFamily
from gmps.tasks.pixels import PixelFamily


class Padded(NamedTuple):
    """What a file holds, as far as no family is needed."""

    episodes: Episodes
    kind: str
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    success: np.ndarray | None = None


def read(
    kind: Kind,
    path: Path,
    source: Path,
    family: TaskFamily | None,
    goals_needed: bool = True,
) -> Padded:
    """Arrays of an `.npz` file or a Minari dataset, checked as far as no family is needed.

    Without goals, where none are needed, task parameters have no numbers.

    Raises:
        GmpsError: see `gmps.data.demos.load_demos`.
    """
    if kind == "npz":
        return _read_arrays(source, family, goals_needed)
    pictures = ("*",) if isinstance(family, PixelFamily) else ()
    with recorded(kind, path, Wanted(pictures=pictures)) as recording:
        return of_recording(path, recording)


def _read_arrays(source: Path, family: TaskFamily | None, goals_needed: bool) -> Padded:
    """The arrays of an `.npz` file, checked."""
    required = ("observations", "actions")
    optional = ("goals", "rewards", "lengths", "mask")
    arrays, ignored = read_npz(source, required, optional)
    if "goals" not in arrays and goals_needed:
        found = ", ".join([*arrays, *ignored])
        whose = "the family" if family is None else f"{family.name} with {family.spec.context_size}"
        raise GmpsError(
            f"{source} lacks the array goals; it holds {found}. A task is simulated and rewarded "
            f"by its parameter, goals (task, d), of {whose} numbers: an index alone does not do."
        )
    known = "goals" in arrays
    if not known:
        arrays["goals"] = np.zeros((*arrays["observations"].shape[:1], 1), np.float32)
    _check_shapes(source, arrays)
    obs, act, reward = arrays["observations"], arrays["actions"], arrays.get("rewards")
    alive = said_alive(f"{source}", obs.shape[:3], arrays.get("lengths"), arrays.get("mask"))
    note = None
    if alive is None:
        alive, note = find_padding(obs, act, reward)
    if not alive.any((1, 2)).all():
        task = int(np.argmin(alive.any((1, 2))))
        raise GmpsError(f"Task {task} of {source} has no steps; leave it out of the arrays.")
    still = lambda x: np.where(alive.reshape(alive.shape + (1,) * (x.ndim - 3)), x, 0)  # noqa: E731
    whole = bool(alive.all())
    episodes = Episodes(
        obs if whole else still(obs),
        act if whole else still(act),
        reward if whole or reward is None else still(reward),
        arrays["goals"] if known else arrays["goals"][:, :0],
        alive,
    )
    return _checked(source, Padded(episodes, "npz file", ignored, () if note is None else (note,)))


def says_tasks(recording: Recording) -> bool:
    """Whether a Minari dataset says tasks and observations as this project writes them."""
    known = {"observations", "observations/state"} & recording.columns.keys()
    return bool(known) and all(goal is not None for goal in recording.facts.goals)


def of_recording(folder: Path, recording: Recording) -> Padded:
    """The padded episodes of a Minari dataset, by task.

    Raises:
        GmpsError: it does not say the tasks of its episodes, or has other observations.
    """
    facts, columns = recording.facts, recording.columns
    for i, goal in enumerate(facts.goals):
        if goal is None:
            raise GmpsError(
                f"Episode {i} of the Minari dataset {folder} does not say its task: its options "
                "lack `task`."
            )
    if len({len(goal or ()) for goal in facts.goals}) != 1:
        raise GmpsError(f"The tasks of the Minari dataset {folder} differ in their size.")
    name = "observations/state" if "observations/state" in columns else "observations"
    if name not in columns or columns[name].ndim != 2:
        raise GmpsError(
            f"The Minari dataset {folder} has no observations (step, number), but "
            f"{', '.join(columns)}; choose among them with `gmps demos import {folder} --map "
            "COLUMN=obs`."
        )
    keys = [
        tuple(g or ()) if t is None else t for t, g in zip(facts.tasks, facts.goals, strict=True)
    ]
    order = list(dict.fromkeys(keys))
    members: list[list[slice]] = [[] for _ in order]
    numbers: list[list[int]] = [[] for _ in order]
    place = {key: i for i, key in enumerate(order)}
    for i, rows in split(recording):
        members[place[keys[i]]].append(rows)
        numbers[place[keys[i]]].append(i)
    shape = (len(order), max(map(len, members)), max(facts.lengths))
    alive = np.zeros(shape, bool)
    success = np.full(shape[:2], -1)

    def padded(column: np.ndarray) -> np.ndarray:
        out = np.zeros((*shape, *column.shape[1:]), column.dtype)
        for i, group in enumerate(members):
            for j, rows in enumerate(group):
                out[i, j, : rows.stop - rows.start] = column[rows]
        return out

    for i, group in enumerate(members):
        for j, rows in enumerate(group):
            alive[i, j, : rows.stop - rows.start] = True
            said = facts.success[numbers[i][j]]
            success[i, j] = -1 if said is None else int(said)
    act, notes = padded(columns["actions"]), list(recording.notes)
    act, note = _scaled(act, alive, recording)
    frames = columns.get("observations/frame")
    reward = columns.get("rewards")
    episodes = Episodes(
        padded(columns[name]),
        act,
        None if reward is None else padded(reward),
        np.stack([np.asarray(facts.goals[n[0]]) for n in numbers]),
        alive,
        None if frames is None else padded(frames),
    )
    notes += [] if note is None else [note]
    known = None if (success < 0).all() else success
    return _checked(folder, Padded(episodes, recording.kind, (), tuple(notes), known))


def _scaled(
    act: np.ndarray, alive: np.ndarray, recording: Recording
) -> tuple[np.ndarray, str | None]:
    """Actions brought from the bounds of the file's action space to [-1, 1]."""
    if recording.action_bounds is None:
        return act, None
    low, high = (np.asarray(side) for side in recording.action_bounds)
    if len(low) != act.shape[-1] or ((low == -1) & (high == 1)).all():
        return act, None
    factor, offset = from_bounds(low, high)
    scaled = np.where(alive[..., None], act * factor + offset, 0)
    return scaled, bounds_note(recording.action_bounds)


_AXES = {
    "observations": "(task, episode, t, obs)",
    "actions": "(task, episode, t, act)",
    "rewards": "(task, episode, t)",
    "goals": "(task, d)",
}


def _check_shapes(source: Path, arrays: dict[str, np.ndarray]) -> None:
    for name, array in arrays.items():
        if name in _AXES and array.ndim != _AXES[name].count(",") + 1:
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


def _checked(source: Path, found: Padded) -> Padded:
    """The same with finite numbers of float32, and a note where episodes of these repeat others."""
    reward = found.episodes.reward
    episodes = found.episodes._replace(
        obs=_finite(source, "observations", found.episodes.obs),
        act=_finite(source, "actions", found.episodes.act),
        reward=None if reward is None else _finite(source, "rewards", reward),
        tasks=_finite(source, "goals", found.episodes.tasks),
    )
    note = repeats(episodes)
    notes = found.notes if note is None else (*found.notes, note)
    return found._replace(episodes=episodes, notes=notes)


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
