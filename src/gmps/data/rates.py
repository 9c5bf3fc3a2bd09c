"""Recordings at another rate than the family's control steps."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

#: What an action says: where to be at its end, how far to go in its step, or how fast or strongly.
ActionKind = Literal["target", "displacement", "rate"]


class Steps(NamedTuple):
    """When the family's steps begin and end, counted in steps of the recording."""

    start: Float[np.ndarray, " step"]
    end: Float[np.ndarray, " step"]


def steps(length: int, ratio: float) -> Steps:
    """The family's steps within a recording.

    Args:
        length: steps of the recording.
        ratio: steps of the recording in one of the family's. A part of a step at the end is left
            out.
    """
    count = int(np.floor(length / ratio + 1e-6))
    start = np.arange(count) * ratio
    return Steps(start, np.minimum(start + ratio, length))


def states(
    values: Float[np.ndarray, "t n"], last: Float[np.ndarray, " n"] | None, at: np.ndarray
) -> Float[np.ndarray, "step n"]:
    """States at fractional steps, linear in between.

    Args:
        values: at the start of each step.
        last: after the last step, if it is known; the last one is repeated otherwise.
        at: when, in steps.
    """
    whole = np.concatenate([values, values[-1:] if last is None else last[None]])
    below = np.minimum(np.floor(at + 1e-9).astype(int), len(values) - 1)
    share = (at - below)[:, None]
    return whole[below] * (1 - share) + whole[below + 1] * share


def actions(
    values: Float[np.ndarray, "t n"], kind: ActionKind, when: Steps
) -> Float[np.ndarray, "step n"]:
    """The actions of steps that are longer or shorter.

    A `target` is the one in force when the step ends; a `displacement` what is covered in the step;
    a `rate` the mean over it.
    """
    if kind == "target":
        return values[_in_force(when.end, len(values))]
    total = np.concatenate([np.zeros_like(values[:1]), np.cumsum(values, 0)])
    at = np.arange(len(total))
    covered = np.stack(
        [np.interp(when.end, at, x) - np.interp(when.start, at, x) for x in total.T], -1
    )
    return covered if kind == "displacement" else covered / (when.end - when.start)[:, None]


def rewards(values: Float[np.ndarray, " t"], when: Steps) -> Float[np.ndarray, " step"]:
    """The mean reward over each step."""
    return actions(values[:, None], "rate", when)[:, 0]


def frames(when: Steps, length: int) -> Int[np.ndarray, " step"]:
    """Which frame is the newest when a step begins."""
    return np.minimum(np.floor(when.start + 1e-9).astype(int), length - 1)


def _in_force(end: Float[np.ndarray, " step"], length: int) -> Int[np.ndarray, " step"]:
    return np.clip(np.ceil(end - 1e-9).astype(int) - 1, 0, length - 1)
