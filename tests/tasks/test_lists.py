"""Validation tasks: a third list, apart from those trained on and held out."""

import jax
import numpy as np
import pytest

from gmps.core.types import task_count
from gmps.tasks import family_names, make_family
from gmps.tasks.lists import draws_tasks, validation_tasks
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


def test_a_family_that_draws_none_but_listed_tasks():
    assert not any(draws_tasks(make_family(name)) for name in TWO)
    assert not draws_tasks(SignBandit())
    with pytest.raises(ValueError, match="draws no tasks but its listed ones"):
        validation_tasks(SignBandit())
