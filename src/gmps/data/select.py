"""Which demonstrations to learn from, where people of unequal skill gave them."""

import math

import numpy as np
from jaxtyping import Bool, Float, Int

from gmps.data.demos import DemoSet
from gmps.errors import GmpsError
from gmps.tasks.lists import SAME_TASK


def without_failures(demos: DemoSet) -> tuple[DemoSet, tuple[str, ...]]:
    """Leave out episodes that failed by the file's own word, in tasks that have others.

    Returns:
        The demonstrations, and what was done, a sentence each.
    """
    if demos.success is None or not (failed := (demos.success == 0) & demos.alive.any(-1)).any():
        return demos, ()
    others = (~failed & demos.alive.any(-1)).any(-1)
    left_out = failed & others[:, None]
    notes = []
    if left_out.any():
        words = ", ".join(f"task {i}: {_numbers(row)}" for i, row in _some(left_out))
        notes.append(
            f"{left_out.sum()} of {demos.alive.any(-1).sum()} episodes failed by the file's own "
            f"word and are left out ({words})"
        )
    if not others.all():
        tasks = _numbers(~others)
        notes.append(f"no demonstration of the tasks {tasks} succeeded; theirs are kept")
    return _keep(demos, ~left_out), tuple(notes)


def best_episodes(
    demos: DemoSet, reward: Float[np.ndarray, "task ep t"] | None, share: float
) -> tuple[DemoSet, tuple[str, ...]]:
    """Keep the best episodes of each task, by return.

    Args:
        demos: the demonstrations.
        reward: what they earned; None if that is not known.
        share: of each task's episodes, in (0, 1]; at least one is kept. Of equal ones the first.

    Raises:
        GmpsError: returns are not known.
    """
    if share == 1:
        return demos, ()
    if reward is None:
        raise GmpsError(
            f"--demos-best needs returns, and {demos.report.source} has no rewards and no "
            "observations that tell them; leave it out."
        )
    shown = demos.alive.any(-1)
    returns = np.where(shown, np.where(demos.alive, reward, 0).sum(-1), -np.inf)
    rank = np.argsort(np.argsort(-returns, axis=-1, kind="stable"), axis=-1, kind="stable")
    wanted = np.array([math.ceil(share * n - 1e-9) for n in shown.sum(-1)])
    kept = shown & (rank < wanted[:, None])
    mean = lambda mask: float(returns[mask].mean())  # noqa: E731
    note = (
        f"the best {kept.sum()} of {shown.sum()} episodes are used, by return: {mean(kept):.4g} in "
        f"the mean, of {mean(shown):.4g}"
    )
    return _keep(demos, kept), (note,)


def outside(
    contexts: Float[np.ndarray, "task ctx"], heldout: Float[np.ndarray, "held ctx"]
) -> Int[np.ndarray, " n"]:
    """Indices of the tasks that are none of the held-out ones, by their contexts."""
    gap = np.abs(contexts[:, None] - heldout[None]).max(-1).min(1)
    return np.flatnonzero(gap > SAME_TASK)


def _keep(demos: DemoSet, kept: Bool[np.ndarray, "task ep"]) -> DemoSet:
    return demos._replace(alive=demos.alive & kept[..., None])


def _numbers(mask: Bool[np.ndarray, " n"]) -> str:
    found = np.flatnonzero(mask)
    return ", ".join(map(str, found[:8])) + (", ..." if len(found) > 8 else "")


def _some(mask: Bool[np.ndarray, "task ep"]) -> list[tuple[int, np.ndarray]]:
    tasks = np.flatnonzero(mask.any(-1))[:6]
    return [(int(i), mask[i]) for i in tasks]
