"""Validation tasks: a third list, apart from those trained on and held out."""

import jax
import numpy as np
import pytest

from gmps.core.types import task_count
from gmps.tasks import family_names, make_family
from gmps.tasks.lists import draws_tasks, farthest_tasks, validation_tasks
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


@pytest.mark.parametrize("name", TWO)
def test_where_all_tasks_are_judged_there_are_no_further_ones(name):
    family = make_family(name)
    assert task_count(farthest_tasks(family, family.tasks("train"), 5)) == 0


def test_a_family_that_draws_none_but_listed_tasks():
    assert not any(draws_tasks(make_family(name)) for name in TWO)
    assert not draws_tasks(SignBandit())
    with pytest.raises(ValueError, match="draws no tasks but its listed ones"):
        validation_tasks(SignBandit())
