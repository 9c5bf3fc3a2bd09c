"""Where episodes end: as a file says it, or as the padding at their end tells."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from gmps.errors import GmpsError


class Padding(NamedTuple):
    """What is real of episodes in arrays of one length."""

    alive: Bool[np.ndarray, "task ep t"]
    #: What was found, in a sentence; None if nothing was.
    note: str | None


def said_alive(
    source: str,
    shape: tuple[int, int, int],
    lengths: np.ndarray | None,
    mask: np.ndarray | None,
) -> Bool[np.ndarray, "task ep t"] | None:
    """The real steps as the arrays `lengths (task, episode)` and `mask (task, episode, t)` say.

    Returns:
        None if the file has neither.

    Raises:
        GmpsError: shapes or values do not fit, a mask has gaps, or both disagree.
    """
    found = []
    steps = np.arange(shape[2])
    if lengths is not None:
        if lengths.shape != shape[:2]:
            raise GmpsError(
                f"The array lengths of {source} has shape {lengths.shape}, but needs (task, "
                f"episode), {shape[:2]}."
            )
        wrong = (lengths != np.floor(lengths)) | (lengths < 0) | (lengths > shape[2])
        if wrong.any():
            i, j = np.argwhere(wrong)[0]
            raise GmpsError(
                f"The array lengths of {source} has the value {lengths[i, j]} at index "
                f"({i}, {j}); a length is a whole number from 0 to the {shape[2]} steps there are."
            )
        found.append(steps < lengths[..., None])
    if mask is not None:
        if mask.shape != shape:
            raise GmpsError(
                f"The array mask of {source} has shape {mask.shape}, but needs (task, episode, t), "
                f"{shape}."
            )
        real = mask != 0
        gaps = real[..., 1:] & ~real[..., :-1]
        if gaps.any():
            i, j, t = np.argwhere(gaps)[0]
            raise GmpsError(
                f"The array mask of {source} has a gap before step {t + 1} of episode {j} of task "
                f"{i}; the steps of an episode must follow each other."
            )
        found.append(real)
    if len(found) == 2 and (found[0] != found[1]).any():
        raise GmpsError(f"The arrays lengths and mask of {source} disagree; give one of them.")
    return found[0] if found else None


def find_padding(
    obs: Float[np.ndarray, "task ep t obs"],
    act: Float[np.ndarray, "task ep t act"],
    reward: Float[np.ndarray, "task ep t"] | None,
) -> Padding:
    """Padding at the end of episodes whose lengths a file does not say.

    Padding is a run of steps up to the last one in which observation and action are NaN, or are
    zeros, or repeat the last observation with an action of zeros; and which earn nothing. An
    expert who stands still at its goal and is paid for it is none, nor is all of a task.
    """
    earns_nothing = np.ones(obs.shape[:3], bool)
    if reward is not None:
        earns_nothing = (reward == 0) | np.isnan(reward)
    idle = (act == 0).all(-1) & earns_nothing
    repeats = np.zeros(obs.shape[:3], bool)
    repeats[:, :, 1:] = (obs[:, :, 1:] == obs[:, :, :-1]).all(-1) & idle[:, :, 1:]
    kinds = {
        "NaN": np.isnan(obs).all(-1) & np.isnan(act).all(-1) & earns_nothing,
        "zeros": (obs == 0).all(-1) & idle,
        "the last state repeated, with actions of zeros": repeats,
    }
    tails = {name: _tail(rows) for name, rows in kinds.items()}
    nothing = np.logical_or.reduce(list(tails.values())).all((1, 2))
    tails = {name: tail & ~nothing[:, None, None] for name, tail in tails.items()}
    padded = np.logical_or.reduce(list(tails.values()))
    if not padded.any():
        return Padding(~padded, None)
    steps = padded.sum(-1)
    names = [name for name, tail in tails.items() if tail.any()]
    few, many = steps[steps > 0].min(), steps.max()
    note = (
        f"{(steps > 0).sum()} of {steps.size} episodes end in padding ({' or '.join(names)}), "
        f"{few} to {many} steps each; these {steps.sum()} steps are left out; if they are real, "
        "give the array lengths (task, episode)"
    )
    return Padding(~padded, note)


def _tail(rows: Bool[np.ndarray, "task ep t"]) -> Bool[np.ndarray, "task ep t"]:
    """Those of the marked steps after which all steps are marked."""
    return np.logical_and.accumulate(rows[..., ::-1], -1)[..., ::-1]
