"""Demonstrations for the learner: read from `.npz` files or Minari datasets, and checked.

An `.npz` file holds `observations (task, episode, t, obs)`, `actions (task, episode, t, act)`,
`goals (task, d)` and, if known, `rewards (task, episode, t)`. Episodes of unequal length say so by
`lengths (task, episode)` or `mask (task, episode, t)`. A Minari dataset holds the task parameter in
the option `task` of each episode. Other formats become one by `gmps.data.importing`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from gmps.core.types import Demonstrations, Trajectories
from gmps.data.convert import convert_observations
from gmps.data.episodes import Episodes
from gmps.data.minari_io import dataset_id
from gmps.data.padded import read
from gmps.data.readers.kinds import recognise
from gmps.errors import GmpsError
from gmps.tasks.base import TaskFamily
from gmps.tasks.pixels import PixelFamily


@dataclass(frozen=True)
class DemoReport:
    """What was found in a file and what was done to it; `str` gives it as lines of text."""

    source: Path
    #: What was read, in words, such as `"npz file"`.
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
    #: What was done to the data, or is to be said about them, a sentence each.
    notes: tuple[str, ...] = ()
    #: The Minari dataset that was written, if any.
    written: Path | None = None
    #: Whether the last observation of each episode is the file's, where one was written.
    last_known: bool = False

    @property
    def clipped_fraction(self) -> float:
        """Share of the numbers of actions that were outside [-1, 1]."""
        return self.clipped / max(self.act_numbers, 1)

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
        lines += [f"  note: {note}" for note in self.notes]
        if self.written is not None:
            lines.append(f"  written: {self.written}, Minari id {dataset_id(self.written)}")
            if not self.last_known:
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
    #: Whether episodes succeeded, by the file's own word: 1 or 0, -1 where it does not say.
    success: Int[np.ndarray, "task ep"] | None = None

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
            None if self.success is None else self.success[index],
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

    def trajectories(self, reward: Float[np.ndarray, "task ep t"], steps: int) -> Trajectories:
        """The episodes with these rewards, as transitions, cut or padded to so many steps.

        The last recorded step of each is none: a file tells neither where it led nor whether it was
        an end. What nobody recorded is 0: densities, and numbers that an actor held. All is on the
        host.
        """
        length = self.alive.sum(-1, keepdims=True) - 1
        alive = np.arange(steps) < length

        def fitted(x: np.ndarray) -> np.ndarray:
            x = x[:, :, :steps]
            return np.pad(x, [(0, 0), (0, 0), (0, steps - x.shape[2]), *[(0, 0)] * (x.ndim - 3)])

        arrays: dict[str, Any] = {
            "obs": fitted(self.obs),
            "act": fitted(self.act),
            "reward": np.where(alive, fitted(reward), 0).astype(np.float32),
            "log_prob": np.zeros(alive.shape, np.float32),
            "alive": alive,
            "last_obs": self.obs[:, :, min(steps, self.obs.shape[2] - 1)],
            "terminated": np.zeros(alive.shape[:2], bool),
            "held": np.zeros((*alive.shape[:2], 0), np.float32),
        }
        return Trajectories(**arrays)


def load_demos(source: str | Path, family: TaskFamily) -> DemoSet:
    """Read and check demonstrations for a family.

    Observations of another size are given to the family's optional method
    `convert_observations(obs) -> obs | None`. Actions of a Minari dataset are scaled from the
    finite bounds of its action space to [-1, 1]. Padding at the end of episodes whose lengths an
    `.npz` file does not say is left out, which the report tells.

    Args:
        source: an `.npz` file, a folder with a Minari dataset, or the id of a dataset in Minari's
            own store.
        family: the task family they are for.

    Raises:
        GmpsError: in one sentence, if the source is missing or damaged, lacks an array, has
            arrays whose shapes do not match, numbers that are not finite, or does not fit the
            family. Actions outside [-1, 1] are clipped and counted, which is no error.
    """
    kind, path = recognise(source)
    name = f"{source}"
    if kind not in ("npz", "minari"):
        raise GmpsError(
            f"{name} is {_WORDS[kind]}, which is imported before it is learned from: "
            f"`gmps demos import {name} --family {family.name} --out datasets/NAME`."
        )
    found = read(kind, path, Path(source), family)
    episodes, spec = found.episodes, family.spec
    for what, size, expected in (
        ("actions", episodes.act.shape[-1], spec.act_size),
        ("goals", episodes.tasks.shape[-1], spec.context_size),
    ):
        if size != expected:
            raise GmpsError(
                f"The {what} of {name} have {size} numbers, but {family.name} takes {expected}."
            )
    obs = convert_observations(episodes.obs, family, name)
    outside = (np.abs(episodes.act) > 1) & episodes.alive[..., None]
    report = DemoReport(
        source=Path(source),
        kind=found.kind,
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
        ignored=found.ignored,
        notes=found.notes,
    )
    act = np.clip(episodes.act, -1, 1)
    frames = _frames(name, episodes, family)
    return DemoSet(
        obs, act, episodes.reward, episodes.tasks, episodes.alive, report, frames, found.success
    )


#: Formats that are imported, in words.
_WORDS = {
    "hdf5": "an HDF5 file",
    "lerobot": "a LeRobot dataset",
    "folder": "recorded episodes that do not say their task",
}


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
