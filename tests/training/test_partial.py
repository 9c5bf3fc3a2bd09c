"""An interrupted evaluation goes on where it was."""

import numpy as np
import pytest

from gmps.evaluation.evaluate import Levels, SplitResult
from gmps.evaluation.repeats import Measured
from gmps.training.partial import Partial


def result(frames: bool, demonstrators: bool) -> SplitResult:
    picture = np.arange(2 * 3 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 4, 3)
    row = Measured(
        {"return": np.array([[1.5], [2.5]]), "final_error": np.array([[0.1], [0.2]])},
        {"hand": np.zeros((2, 1, 4, 2), np.float32)},
        picture if frames else None,
    )
    known = np.array([5.0, 6.0]) if demonstrators else None
    levels = Levels(np.array([0.0, 1.0]), np.array([3.0, 4.0]), "somebody's", known)
    conditions = {"before": row, "after_1": row}
    tasks = np.array([[0.0], [1.0]])
    return SplitResult(
        tasks, levels, {"deterministic": conditions, "stochastic": {"before": row}}, 7
    )


def flat(x) -> list:
    """All that a result holds, in order."""
    if isinstance(x, dict):
        return [y for k in sorted(x) for y in (k, *flat(x[k]))]
    if isinstance(x, tuple):
        return [y for part in x for y in flat(part)]
    return [x.tolist(), str(x.dtype)] if isinstance(x, np.ndarray) else [x]


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / "step.safetensors"
    path.write_bytes(b"weights")
    return path


@pytest.mark.parametrize(("frames", "demonstrators"), [(False, False), (True, True)])
def test_a_split_that_was_judged_is_not_judged_again(tmp_path, checkpoint, frames, demonstrators):
    made = result(frames, demonstrators)
    judged = []

    def judge():
        judged.append(1)
        return made

    first = Partial(tmp_path, checkpoint, {"config": 1}).split("train", made.tasks, judge)
    again = Partial(tmp_path, checkpoint, {"config": 1}).split("train", made.tasks, judge)
    assert len(judged) == 1
    assert flat(first) == flat(again)
    # Another split, other settings and another checkpoint are judged for themselves.
    Partial(tmp_path, checkpoint, {"config": 1}).split("heldout", made.tasks, judge)
    Partial(tmp_path, checkpoint, {"config": 2}).split("train", made.tasks, judge)
    checkpoint.write_bytes(b"other weights")
    done = Partial(tmp_path, checkpoint, {"config": 1})
    done.split("train", made.tasks, judge)
    assert len(judged) == 4
    done.clear()
    assert not (tmp_path / "evaluation").exists()


def test_a_damaged_part_is_made_again(tmp_path, checkpoint):
    made = result(False, False)
    done = Partial(tmp_path, checkpoint, {})
    done.split("train", made.tasks, lambda: made)
    (kept,) = (tmp_path / "evaluation").iterdir()
    kept.write_bytes(kept.read_bytes()[:-30])
    assert flat(done.split("train", made.tasks, lambda: made)) == flat(made)
    assert flat(done.split("train", made.tasks, lambda: pytest.fail("judged again"))) == flat(made)
