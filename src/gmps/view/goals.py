"""Which tasks one can pick: sliders over their numbers, a click in the plane, a list.

Tasks whose parameter is one vector of `context_size` numbers get sliders; others are picked from
the published lists.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from gmps.core.types import Task, task_count, tree_index
from gmps.tasks.base import TaskFamily

#: How far sliders reach beyond the tasks of the family, as a share of their range.
_BEYOND = 0.25
#: Candidates of a click along each number, where goals are a function of one number or of two.
_FINE = {1: 2001, 2: 161}


class Slider(NamedTuple):
    """One number of the task parameter."""

    label: str
    low: float
    high: float
    step: float


class Outside(NamedTuple):
    """How far a task is from those of training."""

    #: Distance to the nearest training task, and the largest that is still inside; both in the
    #: units of the numbers, each divided by its range.
    distance: float
    limit: float

    @property
    def sentence(self) -> str:
        """What to say about it."""
        return (
            "This task lies outside of what was trained on: it is "
            f"{self.distance / self.limit:.1f} times as far from the nearest training task as "
            "any held-out or training task is."
        )


class Goals:
    """The tasks of a family that one can pick.

    Args:
        family: the family.
        train: the stacked training tasks.
        heldout: the stacked held-out tasks.
    """

    def __init__(self, family: TaskFamily, train: Task, heldout: Task):
        self.family, self.train, self.heldout = family, train, heldout
        self._numbers = _numbers(family, train), _numbers(family, heldout)
        size = family.spec.context_size
        #: Whether a task is one vector of numbers, so that there are sliders.
        self.free = all(x.shape[1] == size for x in self._numbers) and _is_vector(train, size)
        both = np.concatenate(self._numbers)
        self._low, self._high = both.min(0), both.max(0)
        self._range = np.where(self._high > self._low, self._high - self._low, 1.0)
        self._choices = self._candidates() if self.free else None
        if self._choices is not None and self._choices[0] is None:
            # Numbers of one unit, m: distances are those of the plane.
            self._range = np.full_like(self._range, self._range.max())
        limit = max(_nearest(*self._scaled_lists()), _own_spacing(self._scaled(self._numbers[0])))
        self._limit = max(limit, 1e-6)

    @property
    def clickable(self) -> bool:
        """Whether a point in the plane says which task is meant."""
        return self._choices is not None

    @property
    def sliders(self) -> tuple[Slider, ...]:
        """One for each number of the task; none where tasks are picked from a list."""
        if not self.free:
            return ()
        reach = _BEYOND * (self._high - self._low)
        names = [f"task {i + 1}" if len(reach) > 1 else "task" for i in range(len(reach))]
        if self._choices is not None and self._choices[0] is None:
            names = ["goal x, m", "goal y, m"]
        found = []
        for name, a, b in zip(names, self._low - reach, self._high + reach, strict=True):
            step = float(10 ** np.floor(np.log10(max(b - a, 1e-6) / 100)))
            digits = max(0, round(-np.log10(step)))
            low, high = (
                round(step * f(x / step), digits) for f, x in ((np.floor, a), (np.ceil, b))
            )
            found.append(Slider(name, low, high, step))
        return tuple(found)

    def task(self, numbers: tuple[float, ...]) -> Task:
        """The task of the sliders' numbers."""
        return jnp.asarray(numbers, jnp.float32)

    def numbers(self, task: Task) -> Float[np.ndarray, " d"]:
        """The sliders' numbers of a task; its context where there are none."""
        return _numbers(self.family, jax.tree.map(lambda x: jnp.asarray(x)[None], task))[0]

    def at(self, point: Float[np.ndarray, " 2"]) -> Task | None:
        """The task whose goal is nearest to a point of the plane, m; None where goals are the same
        in all tasks."""
        if self._choices is None:
            return None
        tasks, points = self._choices
        if tasks is None:  # the task is its goal
            return jnp.asarray(point, jnp.float32)
        return jnp.asarray(tasks[int(((points - point) ** 2).sum(1).argmin())], jnp.float32)

    def outside(self, task: Task) -> Outside | None:
        """How far outside of training a task is; None within."""
        scaled = self._scaled(self.numbers(task)[None])
        distance = _nearest(self._scaled(self._numbers[0]), scaled)
        if distance <= self._limit * (1 + 1e-6):
            return None
        return Outside(distance, self._limit)

    def wrong(self, task: Task) -> Task:
        """The held-out task that is least like this one."""
        here = self._scaled(self.numbers(task)[None])
        there = self._scaled(self._numbers[1])
        return tree_index(self.heldout, int(((there - here) ** 2).sum(1).argmax()))

    def words(self) -> list[str]:
        """The held-out tasks in words, each once."""
        found: dict[str, None] = {}
        for i in range(task_count(self.heldout)):
            text = self.family.describe(tree_index(self.heldout, i))
            found[text if text not in found else f"{text} ({i + 1})"] = None
        return list(found)

    def spread(self, count: int) -> list[Task]:
        """As many tasks as `count`, evenly over the family's range: held-out ones where there are
        enough, and between them where there are not and tasks are numbers."""
        n = task_count(self.heldout)
        if n >= count or not self.free:
            chosen = np.unique(np.linspace(0, n - 1, min(count, n)).round().astype(int))
            return [tree_index(self.heldout, int(i)) for i in chosen]
        drawn = self.family.tasks("heldout", 40 * count, jax.random.key(0))
        scaled = self._scaled(_numbers(self.family, drawn))
        chosen = self._scaled(self._numbers[1])
        tasks = [tree_index(self.heldout, i) for i in range(n)]
        while len(tasks) < count:  # always the one that is furthest from those that are there
            gaps = ((scaled[:, None] - chosen[None]) ** 2).sum(-1).min(1)
            i = int(gaps.argmax())
            chosen = np.concatenate([chosen, scaled[i : i + 1]])
            tasks.append(tree_index(drawn, i))
        return tasks

    def _scaled(self, numbers: np.ndarray) -> np.ndarray:
        return (numbers - self._low) / self._range

    def _scaled_lists(self) -> tuple[np.ndarray, np.ndarray]:
        train, heldout = self._numbers
        return self._scaled(train), self._scaled(heldout)

    def _candidates(self) -> tuple[np.ndarray | None, np.ndarray] | None:
        """Tasks and their goals for clicks, `None` for tasks that are their goal."""
        train, heldout = self._numbers
        both = np.concatenate([train, heldout]).astype(np.float32)
        points = np.asarray(jax.vmap(self.family.goal_point)(jnp.asarray(both)))
        if both.shape[1] == 2 and np.allclose(points, both, atol=1e-6):
            return None, points
        if np.ptp(points, axis=0).max() < 1e-6 or both.shape[1] not in _FINE:
            return None
        reach = _BEYOND * self._range
        count = _FINE[both.shape[1]]
        ends = zip(self._low - reach, self._high + reach, strict=True)
        axes = [np.linspace(a, b, count) for a, b in ends]
        tasks = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, both.shape[1])
        tasks = tasks.astype(np.float32)
        return tasks, np.asarray(jax.vmap(self.family.goal_point)(jnp.asarray(tasks)))


def _is_vector(tasks: Task, size: int) -> bool:
    leaves = jax.tree.leaves(tasks)
    return tasks is leaves[0] and leaves[0].ndim == 2 and leaves[0].shape[1] == size


def _numbers(family: TaskFamily, tasks: Task) -> Float[np.ndarray, "task d"]:
    """The numbers of stacked tasks: their own where they are vectors, or else their contexts."""
    if _is_vector(tasks, family.spec.context_size):
        return np.asarray(tasks, np.float64)
    return np.asarray(jax.vmap(family.context)(tasks), np.float64)


def _nearest(of: np.ndarray, to: np.ndarray) -> float:
    """The largest distance from a row of `to` to the nearest row of `of`."""
    return float(np.sqrt(((to[:, None] - of[None]) ** 2).sum(-1)).min(1).max())


def _own_spacing(rows: np.ndarray) -> float:
    """The largest distance of a row to its nearest neighbour."""
    if len(rows) < 2:
        return 0.0
    gaps = np.sqrt(((rows[:, None] - rows[None]) ** 2).sum(-1))
    np.fill_diagonal(gaps, np.inf)
    return float(gaps.min(1).max())
