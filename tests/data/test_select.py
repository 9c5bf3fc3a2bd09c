"""Failures and people of unequal skill, by hand."""

import numpy as np
import pytest
from test_demos import FAMILY, arrays, save

from gmps.data.demos import load_demos
from gmps.data.select import best_episodes, without_failures


@pytest.fixture
def demos(tmp_path):
    content = arrays(2, 3, 4)
    content["rewards"][:] = np.array([[1, 3, 2], [0, 0, -1]])[..., None]
    return load_demos(save(tmp_path, **content), FAMILY)


@pytest.mark.parametrize(
    ("share", "kept", "mean"),
    [(0.1, [[0, 1, 0], [1, 0, 0]], "6"), (0.5, [[0, 1, 1], [1, 1, 0]], "5")],
)
def test_the_best_of_each_task(demos, share, kept, mean):
    best, notes = best_episodes(demos, demos.reward, share)
    assert best.alive.any(-1).astype(int).tolist() == kept
    assert best.demonstrations().valid.sum() == 4 * np.sum(kept)
    assert notes[0].startswith(f"the best {np.sum(kept)} of 6 episodes are used, by return: {mean}")
    assert best_episodes(demos, None, 1.0) == (demos, ())
    with pytest.raises(ValueError, match=r"--demos-best needs returns, and .* has no rewards"):
        best_episodes(demos, None, share)


def test_failures(demos):
    assert without_failures(demos) == (demos, ())
    said = demos._replace(success=np.array([[0, 1, -1], [0, 0, 0]]))
    left, notes = without_failures(said)
    # Nobody has shown task 1 better.
    assert left.alive.any(-1).astype(int).tolist() == [[0, 1, 1], [1, 1, 1]]
    assert notes == (
        "1 of 6 episodes failed by the file's own word and are left out (task 0: 0)",
        "no demonstration of the tasks 1 succeeded; theirs are kept",
    )
