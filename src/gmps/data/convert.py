"""Recorded episodes as a family's: columns taken, scaled, at its rate, told apart by task."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gmps.data import rates
from gmps.data.bounded import Progress
from gmps.data.episodes import Shown
from gmps.data.layout import Layout, lay_out
from gmps.data.mapping import Mapping, Rule
from gmps.data.recording import Recording, bounds_note, split
from gmps.errors import GmpsError
from gmps.tasks.base import TaskFamily

_TABLE_BYTES = 1 << 26
#: Progress is told each time so many episodes are done.
_TELL = 200


@dataclass
class Tally:
    """What was seen while episodes were converted."""

    episodes: int = 0
    steps: int = 0
    shortest: int = 0
    longest: int = 0
    clipped: int = 0
    act_numbers: int = 0
    largest_action: float = 0.0
    #: Least and greatest of each number of the observation, over all steps and at the start.
    obs_low: Any = field(default_factory=lambda: np.inf)
    obs_high: Any = field(default_factory=lambda: -np.inf)
    start_low: Any = field(default_factory=lambda: np.inf)
    start_high: Any = field(default_factory=lambda: -np.inf)

    def count(self, obs: np.ndarray, act: np.ndarray) -> None:
        """Take note of an episode, its actions not clipped yet."""
        steps = len(act)
        self.shortest = min(self.shortest, steps) if self.episodes else steps
        self.longest = max(self.longest, steps)
        self.episodes, self.steps = self.episodes + 1, self.steps + steps
        self.clipped += int((np.abs(act) > 1).sum())
        self.act_numbers += act.size
        self.largest_action = max(self.largest_action, float(np.abs(act).max()))
        self.obs_low = np.minimum(self.obs_low, obs.min(0))
        self.obs_high = np.maximum(self.obs_high, obs.max(0))
        self.start_low = np.minimum(self.start_low, obs[0])
        self.start_high = np.maximum(self.start_high, obs[0])


class Conversion:
    """A recording as a family's episodes, and what is to be said about that."""

    def __init__(self, recording: Recording, family: TaskFamily, mapping: Mapping, source: str):
        """Find columns, tasks and rate.

        Raises:
            GmpsError: something that the family needs is missing or does not fit.
        """
        self.recording, self._family, self._mapping = recording, family, mapping
        self._source = source
        self.notes: list[str] = list(recording.notes)
        self.layout: Layout = lay_out(recording, family, mapping, source)
        self.tally = Tally()
        #: Steps of the recording in one of the family's.
        self.ratio = self._ratio()
        self._kept = self._without_failures()
        #: Task of each kept episode, and the tasks' parameters.
        self.task_of, self.tasks = self._told_apart()
        self._say_scale()

    @property
    def kind(self) -> str:
        """What was read, in words."""
        return self.recording.kind

    @property
    def has_reward(self) -> bool:
        """Whether the recording has rewards."""
        return self.layout.reward is not None

    @property
    def obs_size_in(self) -> int:
        """Numbers of an observation before the family converts it."""
        columns = self.recording.columns
        return sum(rule.take(columns[rule.column][:1]).shape[1] for rule in self.layout.obs)

    def episodes(self, progress: Progress | None = None) -> Iterator[Shown]:
        """The episodes in order, actions clipped to [-1, 1]; `progress` is told of those taken."""
        facts = self.recording.facts
        for i, rows in split(self.recording):
            if i not in self.task_of:
                continue
            yield self._episode(i, rows, f"{facts.names[i]} of {self._source}")
            if progress is not None and self.tally.episodes % _TELL == 0:
                progress("written", self.tally.episodes, len(self.task_of))

    def _episode(self, i: int, rows: slice, name: str) -> Shown:
        recording, layout, family = self.recording, self.layout, self._family
        obs = self._taken(layout.obs, rows)
        act = self._taken(layout.act, rows)
        act = act - self._taken(layout.act_from, rows) if layout.act_from else act
        after = self._after(i)
        reward = None
        if layout.reward is not None:
            reward = self._taken((layout.reward,), rows)[:, 0] * layout.reward_factor
        frames = None if layout.frame is None else recording.columns[layout.frame][rows]
        if self.ratio != 1:
            when = rates.steps(len(obs), self.ratio)
            if not len(when.start):
                raise GmpsError(f"{name} is shorter than one step of {family.name}.")
            raw = self._taken(layout.act, rows)
            kind: Any = (self._mapping.actions or "rate").partition(":")[0]
            act = rates.actions(raw, kind, when)
            if layout.act_from:
                at = self._taken(layout.act_from, rows)
                act = act - rates.states(at, None, when.start)
            end = rates.states(obs, after, when.end[-1:])[0]
            obs = rates.states(obs, after, when.start)
            after = None if after is None else end
            reward = None if reward is None else rates.rewards(reward, when)
            frames = None if frames is None else frames[rates.frames(when, rows.stop - rows.start)]
        obs = self._own(obs, name)
        after = None if after is None else self._own(after[None], name)[0]
        act = _single(act * layout.act_factor + layout.act_offset, "actions", name)
        self.tally.count(obs, act)
        task = self.task_of[i]
        return Shown(
            obs=obs,
            act=np.clip(act, -1, 1),
            reward=None if reward is None else _single(reward, "rewards", name),
            frames=None if frames is None else np.asarray(frames),
            task_index=task,
            task=self.tasks[task],
            last_obs=after,
            terminated=recording.facts.terminated[i],
            success=recording.facts.success[i],
        )

    def _taken(self, rules: tuple[Rule, ...], rows: slice) -> np.ndarray:
        columns = self.recording.columns
        return np.concatenate(
            [np.asarray(rule.take(columns[rule.column][rows]), np.float64) for rule in rules], 1
        )

    def _after(self, i: int) -> np.ndarray | None:
        last = self.recording.last
        if any(rule.column not in last for rule in self.layout.obs):
            return None
        taken = [rule.take(last[rule.column][i : i + 1])[0] for rule in self.layout.obs]
        return np.concatenate(taken).astype(np.float64)

    def _own(self, obs: np.ndarray, name: str) -> np.ndarray:
        """Observations as the family has them."""
        obs = _single(obs, "observations", name)
        converted = convert_observations(obs, self._family, self._source)
        return np.asarray(converted * self.layout.obs_factor, np.float32)

    def _ratio(self) -> float:
        own = 1 / self._family.spec.control_dt
        hz = self._mapping.hz or self.recording.hz
        if hz is None or abs(hz / own - 1) < 0.01:
            return 1.0
        if self._mapping.actions is None:
            raise GmpsError(
                f"{self._source} has {hz:g} steps a second and {self._family.name} {own:g}: say "
                "what an action is with --actions displacement, rate or target:PART, or the "
                "recording's true rate with --hz."
            )
        self.notes.append(
            f"brought from {hz:g} to {own:g} steps a second; rewards are means over a step"
        )
        return hz / own

    def _without_failures(self) -> list[int]:
        facts = self.recording.facts
        everything = list(range(len(facts.names)))
        failed = {i for i in everything if facts.success[i] is False}
        if not failed or self._mapping.failures == "keep":
            return everything
        words = ", ".join(facts.names[i] for i in sorted(failed)[:8])
        words += ", ..." if len(failed) > 8 else ""
        if len(failed) == len(everything):
            raise GmpsError(f"All episodes of {self._source} failed, by its own word; give others.")
        self.notes.append(
            f"{len(failed)} of {len(everything)} episodes failed by the recording's own word and "
            f"are left out ({words}); --failures keep takes them"
        )
        return [i for i in everything if i not in failed]

    def _told_apart(self) -> tuple[dict[int, int], np.ndarray]:
        """The task of each episode that is kept, and each task's parameter."""
        facts = self.recording.facts
        goals = self._goals()
        ends = bool(self.layout.goal) and any(rule.at for rule in self.layout.goal)
        index: dict[Any, int] = {}
        members: list[list[np.ndarray]] = []
        task_of: dict[int, int] = {}
        for i in self._kept:
            task = facts.tasks[i]
            key = tuple(goals[i].tolist()) if task is None else task
            if key not in index:
                index[key] = len(index)
                members.append([])
            task_of[i] = index[key]
            members[index[key]].append(goals[i])
            if not ends and (members[index[key]][0] != goals[i]).any():
                raise GmpsError(
                    f"Task {key} of {self._source} has the goals "
                    f"{members[index[key]][0].tolist()} and {goals[i].tolist()} "
                    f"({facts.names[i]}); a task has one."
                )
        tasks = np.stack([np.mean(rows, 0) for rows in members]).astype(np.float32)
        return task_of, tasks

    def _goals(self) -> dict[int, np.ndarray]:
        """The task parameter of each kept episode."""
        recording, size = self.recording, self._family.spec.context_size
        found: dict[int, Any] = {}
        table = None if self._mapping.tasks is None else read_tasks(self._mapping.tasks)
        starts = recording.starts
        for i in self._kept:
            name, task = recording.facts.names[i], recording.facts.tasks[i]
            if table is not None:
                goal = next((table[k] for k in (name, str(task)) if k in table), None)
                if goal is None:
                    raise GmpsError(
                        f"The table {self._mapping.tasks} has no row for {name} (task {task})."
                    )
            elif self.layout.goal:
                goal = self._goal_of(name, slice(int(starts[i]), int(starts[i + 1])))
            else:
                goal = recording.facts.goals[i]
            if goal is None:
                raise GmpsError(self._no_goal(name))
            if len(goal) != size:
                raise GmpsError(
                    f"The goals of {self._source} have {len(goal)} numbers, but "
                    f"{self._family.name} takes {size}."
                )
            goal = np.asarray(goal) * self.layout.goal_factor
            found[i] = _single(goal, "goal", f"{name} of {self._source}")
        return found

    def _goal_of(self, name: str, rows: slice) -> np.ndarray:
        numbers = []
        for rule in self.layout.goal:
            values = rule.take(self.recording.columns[rule.column][rows])
            if rule.at is None and (values != values[:1]).any():
                raise GmpsError(
                    f"{rule.column} changes within {name} of {self._source}, and so is no goal; "
                    f"--map {rule.column}@last=goal takes where an episode ends."
                )
            numbers.append(values[-1 if rule.at == "last" else 0])
        return np.concatenate(numbers)

    def _no_goal(self, name: str) -> str:
        task = next((t for t in self.recording.facts.tasks if t is not None), None)
        known = "" if task is None else " An index alone does not say how the task is rewarded."
        return (
            f"{name} of {self._source} does not say its goal, the task parameter of "
            f"{self._family.spec.context_size} numbers with which {self._family.name} simulates "
            f"and rewards the task.{known} Give --map COLUMN=goal, --map COLUMN@last=goal (where "
            "episodes end), or --tasks TABLE.csv."
        )

    def _say_scale(self) -> None:
        factor, offset = self.layout.act_factor, self.layout.act_offset
        bounds = self.recording.action_bounds
        told = any(word.startswith("act=") for word in self._mapping.scale)
        if bounds is not None and not told and ((factor != 1) | (offset != 0)).any():
            self.notes.append(bounds_note(bounds))


def convert_observations(obs: np.ndarray, family: TaskFamily, source: str) -> np.ndarray:
    """Observations of another size by the family's optional `convert_observations`.

    Raises:
        GmpsError: it has none, or this gives something else than the family takes.
    """
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


def read_tasks(path: str | Path) -> dict[str, list[float]]:
    """A table of tasks: goals by the words of its column `task` or `episode`.

    Raises:
        GmpsError: it is missing or damaged, or has neither column.
    """
    path = Path(path)
    if not path.is_file() or path.stat().st_size > _TABLE_BYTES:
        raise GmpsError(f"There is no table of tasks {path}.")
    found: dict[str, list[float]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            names = [name.strip() for name in rows.fieldnames or []]
            rows.fieldnames = names
            keys = [name for name in ("episode", "task") if name in names]
            if not keys:
                raise ValueError("its first line must name a column task or episode")
            numbers = [name for name in names if name not in ("episode", "task", "words")]
            for row in rows:
                key = str(row[keys[0]]).strip()
                found[Path(key).stem if key.endswith((".npz", ".csv")) else key] = [
                    float(row[name]) for name in numbers
                ]
    except (ValueError, TypeError, csv.Error) as error:
        raise GmpsError(f"The table of tasks {path} is damaged: {error}.") from error
    return found


def _single(array: np.ndarray, what: str, name: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        single = np.asarray(array, np.float32)
    if not np.isfinite(single).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(single))[0])
        raise GmpsError(
            f"The {what} of {name} have the value {single[index]} at index {index}; all numbers "
            "must be finite."
        )
    return single
