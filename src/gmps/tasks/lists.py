"""Published task lists: the fixed tasks of a split, and even selections of them; single ones."""

import functools
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Float

from gmps.core.types import Task, evenly, stack, task_count, tree_index
from gmps.errors import GmpsError
from gmps.tasks.base import TaskFamily

#: Tasks whose parameters differ by less than this in every number are one task.
SAME_TASK = 1e-3


def select_evenly(name: str, tasks: Task, n: int | None) -> Task:
    """`n` of the stacked tasks, evenly spread and with both ends; all of them without `n`.

    For `n` = 1 the first.

    Raises:
        GmpsError: `n` is below 1 or above the list's length.
    """
    length = task_count(tasks)
    if n is None:
        return tasks
    if not 1 <= n <= length:
        raise GmpsError(
            f"{name}: asked for {n} published tasks, but this split lists {length}; ask for 1 to "
            f"{length}, or give a key to draw random ones."
        )
    return tree_index(tasks, evenly(length, n))


def lattice(n: int, dimensions: int) -> np.ndarray:
    """`n` points spread evenly over the unit cube, `(n, dimensions)`: Roberts' R sequence, a
    lattice whose coordinates are all different."""
    root = 2.0
    for _ in range(60):  # the real root above 1 of x^(d + 1) = x + 1
        root = (1 + root) ** (1 / (dimensions + 1))
    steps = root ** -np.arange(1.0, dimensions + 1)
    return (0.5 + np.arange(1, n + 1)[:, None] * steps) % 1.0


#: Validation tasks of a family, and the seed that they are drawn with.
VALIDATION, _SEED = 12, 21
#: Nearer to a listed task than this share of the listed ones' median distance to their nearest
#: neighbour, a task is taken for the same.
_APART = 0.25


def validation_tasks(family: TaskFamily, n: int = VALIDATION) -> Task:
    """Tasks to choose settings and checkpoints by: neither trained on nor held out.

    They are the first `n` of the family's random tasks, from a fixed seed, that lie apart from all
    listed ones. So a held-out task is looked at once, when everything has been chosen.

    Raises:
        GmpsError: the family draws no tasks but listed ones.

    Example:
        >>> from gmps.tasks import make_family
        >>> validation_tasks(make_family("point-goal")).shape
        (12, 2)
    """
    listed, least = _listed(family)
    drawn = family.tasks("train", 20 * n, jax.random.key(_SEED))
    apart = np.flatnonzero(_nearest(_contexts(family, drawn), listed) > least)[:n]
    if len(apart) < n:
        raise GmpsError(
            f"{family.name} draws no tasks but its listed ones, so there are none to choose "
            "settings by; choose by the training tasks."
        )
    return tree_index(drawn, apart)


@functools.cache
def draws_tasks(family: TaskFamily) -> bool:
    """Whether a family draws other tasks than its listed ones, so that it has validation tasks."""
    try:
        validation_tasks(family)
    except GmpsError:
        return False
    return True


#: Seed of the random tasks that `farthest_tasks` chooses from, and how many these are for each.
_FAR_SEED, _CANDIDATES = 22, 20


def farthest_tasks(family: TaskFamily, tasks: Task, n: int) -> Task:
    """Random tasks of the family, each the farthest from `tasks` and from those before it.

    None of them is near a held-out or a validation task. Distances are those of the task parameter,
    each of its numbers in deviations.

    Args:
        family: the family.
        tasks: stacked tasks that there are already.
        n: how many, at least 1; fewer where the family draws no other tasks.

    Example:
        >>> from gmps.tasks import make_family
        >>> family = make_family("point-goal")
        >>> farthest_tasks(family, family.tasks("train"), 5).shape
        (5, 2)
    """
    drawn = family.tasks("train", _CANDIDATES * n, jax.random.key(_FAR_SEED))
    judged = [_contexts(family, family.tasks("heldout"))]
    if draws_tasks(family):
        judged.append(_contexts(family, validation_tasks(family)))
    listed, least = _listed(family)
    points = _contexts(family, drawn)
    distance = _nearest(points, _contexts(family, tasks), scale=listed)
    distance[_nearest(points, np.concatenate(judged), scale=listed) <= least] = 0
    chosen = []
    while len(chosen) < n and distance.max() > 0:
        chosen.append(int(distance.argmax()))
        distance = np.minimum(distance, _nearest(points, points[chosen[-1:]], scale=listed))
    return tree_index(drawn, np.array(chosen, np.int64))


def _listed(family: TaskFamily) -> tuple[np.ndarray, float]:
    """Parameters of all listed tasks, and how near to one of them a task is taken for the same."""
    listed = np.concatenate([_contexts(family, family.tasks(x)) for x in ("train", "heldout")])
    return listed, float(_APART * np.median(_nearest(listed, listed, own=True)))


def _contexts(family: TaskFamily, tasks: Task) -> np.ndarray:
    found = np.asarray(jax.vmap(family.context)(tasks), np.float64)
    return found.reshape(len(found), -1)


def _nearest(
    points: np.ndarray, others: np.ndarray, own: bool = False, scale: np.ndarray | None = None
) -> np.ndarray:
    """The distance of each point to the nearest of the others, in deviations of these or of the
    points of `scale`."""
    scale = np.maximum((others if scale is None else scale).std(0), 1e-9)
    distance = np.linalg.norm((points[:, None] - others[None]) / scale, axis=-1)
    if own:
        np.fill_diagonal(distance, np.inf)
    return distance.min(1)


#: By how much of the width of the family's lists a task may lie beside them before that is said:
#: random tasks of the same region do too. Beyond the second it is far outside.
BESIDE, FAR = 0.1, 0.5


def task_of(
    family: TaskFamily,
    numbers: Sequence[float],
    called: str = "The task",
    *,
    outside: bool = False,
    insist: str = "outside=True",
) -> Task:
    """One task, stacked, from the numbers that a user writes; `called` by errors.

    Args:
        family: the family.
        numbers: those of its task, leaf by leaf as `gmps tasks` shows them.
        called: what the user calls them.
        outside: whether a task far outside of the family's own is meant.
        insist: how the user says so.

    Raises:
        GmpsError: there are too many or too few, one is not finite, or one lies further outside of
            the family's lists than half of their width and `outside` is False.

    Warns:
        UserWarning: one lies outside of the family's lists by more than a tenth of their width.

    Example:
        >>> from gmps.tasks import make_family
        >>> task_of(make_family("point-goal"), (0.0, 1.0)).shape
        (1, 2)
    """
    first = tree_index(family.tasks("train"), 0)
    flat, unravel = ravel_pytree(first)
    size = len(flat)
    if len(numbers) != size:
        raise GmpsError(
            f"{called} has {len(numbers)} numbers, but a task of {family.name} has {size}; "
            "`gmps tasks` explains them."
        )
    if not np.isfinite(numbers).all():
        words = " ".join(f"{x:g}" for x in numbers)
        raise GmpsError(f"{called} is {words}; every number must be finite.")
    at = outermost(family, np.asarray([numbers], np.float64))
    what = f"{called} has {at.value:g} as number {at.column + 1}"
    where = f"outside of the tasks of {family.name}, where it is {at.low:.3g} to {at.high:.3g}"
    if at.excess > FAR and not outside:
        raise GmpsError(
            f"{what}, far {where}: nothing was learned there, and it may be out of reach. Choose "
            f"a nearer one, or insist by {insist}."
        )
    if at.excess > BESIDE:
        warnings.warn(f"{what}, {where}: nothing was learned there.", stacklevel=2)
    return stack(unravel(jnp.asarray(numbers, jnp.float32)), 1)


class Outermost(NamedTuple):
    """The number of some tasks that lies furthest outside of their family's lists."""

    #: By how much, in widths of that number in the lists; at most 0 within.
    excess: float
    value: float
    #: Which task and which of its numbers it is.
    row: int
    column: int
    #: Least and greatest of that number in the lists.
    low: float
    high: float


def outermost(family: TaskFamily, numbers: Float[np.ndarray, "task d"]) -> Outermost:
    """How far tasks lie outside of a family's lists.

    Args:
        family: the family.
        numbers: those of the tasks, leaf by leaf.

    Example:
        >>> from gmps.tasks import make_family
        >>> outermost(make_family("point-goal"), np.array([[0.5, 0.5], [2.0, 0.5]])).excess
        0.5
    """
    listed = listed_numbers(family)
    low, high = listed.min(0), listed.max(0)
    width = high - low
    # A number that is the same in all listed tasks has the scale of the others.
    excess = np.maximum(low - numbers, numbers - high)
    excess = excess / np.where(width > 0, width, width.max() or 1.0)
    row, column = (int(i) for i in np.unravel_index(excess.argmax(), excess.shape))
    return Outermost(
        float(excess[row, column]),
        float(numbers[row, column]),
        row,
        column,
        float(low[column]),
        float(high[column]),
    )


def listed_numbers(family: TaskFamily) -> Float[np.ndarray, "task d"]:
    """The numbers of all listed tasks, leaf by leaf."""
    found = []
    for split in ("train", "heldout"):
        tasks = family.tasks(split)
        leaves = (np.asarray(x, np.float64) for x in jax.tree.leaves(tasks))
        found.append(np.concatenate([x.reshape(task_count(tasks), -1) for x in leaves], 1))
    return np.concatenate(found)
