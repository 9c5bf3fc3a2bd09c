"""Validation tasks: a third list, apart from those trained on and held out; a user's task."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmps.core.types import task_count
from gmps.errors import GmpsError
from gmps.tasks import family_names, make_family
from gmps.tasks.lists import draws_tasks, farthest_tasks, task_of, validation_tasks
from gmps.tasks.point_goal import PointGoal
from probe_families import SignBandit

#: These have two tasks in all.
TWO = ("ant-forward-backward", "half-cheetah-dir")


@pytest.mark.parametrize("name", [x for x in family_names() if x not in TWO])
def test_every_family_has_tasks_to_choose_settings_by(name):
    family = make_family(name)
    chosen = validation_tasks(family)
    assert task_count(chosen) == 12
    context = lambda tasks: np.asarray(jax.vmap(family.context)(tasks))  # noqa: E731
    ours = context(chosen)
    assert len(np.unique(ours, axis=0)) == 12
    for split in ("train", "heldout"):
        gap = np.abs(ours[:, None] - context(family.tasks(split))[None]).max(-1)
        assert gap.min() > 1e-3
    np.testing.assert_array_equal(ours, context(validation_tasks(family)))


def test_the_farthest_tasks_fill_the_gaps():
    family = make_family("sawyer-push")
    right = np.array([[0.08, 0.71], [0.08, 0.79]], np.float32)
    found = np.asarray(farthest_tasks(family, right, 6))
    assert found.shape == (6, 2)
    # First the far side, then between: each is farther from what there is than the next one.
    assert found[0, 0] < -0.08
    scale = np.asarray(family.tasks("train")).std(0)
    taken = np.concatenate([right, found]) / scale
    gaps = [np.linalg.norm(taken[:i] - taken[i], axis=1).min() for i in range(2, 8)]
    assert all(gaps[i] > 0.8 * gaps[i + 1] for i in range(5)) and gaps[0] > 2 * gaps[-1]
    # None is one of those that are judged.
    for judged in (family.tasks("heldout"), validation_tasks(family)):
        gap = np.linalg.norm(found[:, None] - np.asarray(judged)[None], axis=-1)
        assert gap.min() > 0.002
    np.testing.assert_array_equal(found, farthest_tasks(family, right, 6))


def test_further_tasks_lie_as_far_from_judged_ones_as_validation_tasks_from_listed_ones():
    family = make_family("ant-goal")
    context = lambda tasks: np.asarray(jax.vmap(family.context)(tasks), np.float64)  # noqa: E731
    heldout, validation = context(family.tasks("heldout")), context(validation_tasks(family))
    listed = np.concatenate([context(family.tasks("train")), heldout])
    # One measure for all: deviations of the listed tasks.
    distance = lambda a, b: np.linalg.norm((a[:, None] - b) / listed.std(0), axis=-1)  # noqa: E731
    own = distance(listed, listed)
    np.fill_diagonal(own, np.inf)
    least = 0.25 * np.median(own.min(1))
    few = jax.tree.map(lambda x: x[:3], family.tasks("train"))
    found = context(farthest_tasks(family, few, 10))
    assert distance(found, np.concatenate([heldout, validation])).min() > least
    assert distance(validation, listed).min() > least


@pytest.mark.parametrize("name", TWO)
def test_where_all_tasks_are_judged_there_are_no_further_ones(name):
    family = make_family(name)
    assert task_count(farthest_tasks(family, family.tasks("train"), 5)) == 0


def test_a_family_that_draws_none_but_listed_tasks():
    assert not any(draws_tasks(make_family(name)) for name in TWO)
    assert not draws_tasks(SignBandit())
    with pytest.raises(ValueError, match="draws no tasks but its listed ones"):
        validation_tasks(SignBandit())


@pytest.mark.parametrize("name", family_names())
def test_no_task_of_a_family_is_outside_of_it(name):
    """Neither listed nor random ones: those lie up to a tenth beside the lists."""
    family = make_family(name)
    drawn = family.tasks("train", 20, jax.random.key(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for tasks in (family.tasks("train"), family.tasks("heldout"), drawn):
            for numbers in np.asarray(tasks):
                np.testing.assert_array_equal(task_of(family, numbers.tolist()), [numbers])


def test_a_task_a_little_outside_is_warned_of_and_one_far_outside_refused():
    """Goals of point-goal have x from -1 to 1, y from 0 to 0.998 m; half of that is 1 and 0.5."""
    family = make_family("point-goal")
    where = "outside of the tasks of point-goal, where it is"
    with pytest.warns(UserWarning) as warned:
        task_of(family, (1.9, 1.0))
    assert [str(x.message) for x in warned] == [
        f"The task has 1.9 as number 1, {where} -1 to 1: nothing was learned there."
    ]
    for far, number, ranges in (
        ((2.1, 0.0), "2.1 as number 1", "-1 to 1"),
        ((0.0, -0.6), "-0.6 as number 2", "0 to 0.998"),
        ((5.0, 5.0), "5 as number 2", "0 to 0.998"),
    ):
        with pytest.raises(GmpsError) as refused:
            task_of(family, far, "--task", insist="--outside")
        assert str(refused.value) == (
            f"--task has {number}, far {where} {ranges}: nothing was learned there, and it may be "
            "out of reach. Choose a nearer one, or insist by --outside."
        )
    with pytest.warns(UserWarning, match="^The task has 5 as number 2, outside of"):
        np.testing.assert_array_equal(task_of(family, (5, 5), outside=True), [[5, 5]])


def test_a_task_that_is_no_vector_is_made_of_its_numbers():
    class Pairs(PointGoal):
        def tasks(self, split, n=None, key=None):
            goals = super().tasks(split, n, key)
            return {"goal": goals, "kind": jnp.arange(len(goals), dtype=jnp.int32)}

    task = task_of(Pairs(), (0.5, 0.25, 3))
    np.testing.assert_array_equal(task["goal"], [[0.5, 0.25]])
    assert task["kind"].dtype == jnp.int32 and task["kind"].tolist() == [3]
    with pytest.raises(GmpsError, match="has 2 numbers, but a task of point-goal has 3; `gmps ta"):
        task_of(Pairs(), (0.5, 0.25))
