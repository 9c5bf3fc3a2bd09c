"""Demonstrations in a family's own terms: padded for the learner, or one by one for writers."""

from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8


class Episodes(NamedTuple):
    """Demonstrations of several tasks; what lies beyond an episode's end is 0."""

    obs: Float[np.ndarray, "task ep t obs"]
    act: Float[np.ndarray, "task ep t act"]
    reward: Float[np.ndarray, "task ep t"] | None
    tasks: Float[np.ndarray, "task d"]
    alive: Bool[np.ndarray, "task ep t"]
    #: What the camera showed; None without one.
    frames: UInt8[np.ndarray, "task ep t height width 3"] | None = None


class Ends(NamedTuple):
    """How episodes end, where that is known."""

    #: Observation after the last step.
    last_obs: Float[np.ndarray, "task ep obs"]
    #: Whether the last state is terminal; otherwise time was up.
    terminated: Bool[np.ndarray, "task ep"]
    #: Whether the episode succeeded, where its family says that of any.
    success: Bool[np.ndarray, "task ep"] | None = None


class Shown(NamedTuple):
    """One episode, as writers take it."""

    obs: Float[np.ndarray, "t obs"]
    #: In [-1, 1].
    act: Float[np.ndarray, "t act"]
    reward: Float[np.ndarray, " t"] | None
    frames: UInt8[np.ndarray, "t height width 3"] | None
    task_index: int
    #: The task parameter.
    task: Float[np.ndarray, " d"]
    #: Observation after the last step, where it is known.
    last_obs: Float[np.ndarray, " obs"] | None
    terminated: bool
    success: bool | None


def each(episodes: Episodes, ends: Ends | None = None) -> Iterator[Shown]:
    """The episodes one by one, those of a task after each other."""
    for i, j in np.argwhere(episodes.alive.any(-1)):
        steps = int(episodes.alive[i, j].sum())
        rows = (i, j, slice(steps))
        success = None if ends is None or ends.success is None else bool(ends.success[i, j])
        yield Shown(
            obs=episodes.obs[rows],
            act=episodes.act[rows],
            reward=None if episodes.reward is None else episodes.reward[rows],
            frames=None if episodes.frames is None else episodes.frames[rows],
            task_index=int(i),
            task=episodes.tasks[i],
            last_obs=None if ends is None else ends.last_obs[i, j],
            terminated=ends is not None and bool(ends.terminated[i, j]),
            success=success,
        )


def repeats(episodes: Episodes) -> str | None:
    """A sentence on episodes that equal an earlier one of their task to the bit, which teach
    nothing more than it; None where there are none."""
    shown = np.argwhere(episodes.alive.any(-1))
    known = set()
    for i, j in shown:
        digest, rows = sha256(), (i, j, episodes.alive[i, j])
        for part in (episodes.obs, episodes.act, episodes.frames):
            if part is not None:
                digest.update(part[rows].tobytes())
        known.add((i, digest.digest()))
    number = len(shown)
    if number == len(known):
        return None
    return (
        f"{number - len(known)} of {number} episodes repeat another of their task number by "
        "number, and teach nothing more; show how deviations are corrected: start elsewhere, or "
        "act with some noise"
    )
