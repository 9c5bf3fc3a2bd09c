import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gmps.core.types import Demonstrations
from gmps.data.aggregate import append, sample, start_aggregate


def labels(values: list[float], valid: list[bool] | None = None) -> Demonstrations:
    """One task whose observation and action are the same number."""
    x = jnp.asarray(values, jnp.float32)[None, :, None]
    return Demonstrations(
        x, x, jnp.ones((1, len(values)), bool) if valid is None else jnp.asarray([valid])
    )


def test_padding_is_left_out_from_the_start():
    data = start_aggregate(labels([1, 2, 3, 4], [True, False, True, False]), extra=2)
    assert data.count.tolist() == [2]
    assert data.obs[0, :2, 0].tolist() == [1, 3]


def test_first_labels_stay_and_the_newest_replace_the_oldest():
    data = start_aggregate(labels([1, 2]), extra=3)
    for value in (10, 11, 12, 13):
        data = append(data, labels([value]))
    assert data.count.tolist() == [5]
    assert sorted(data.obs[0, :, 0].tolist()) == [1, 2, 11, 12, 13]


def test_more_labels_than_room_keeps_the_newest():
    data = append(start_aggregate(labels([1]), extra=2), labels([5, 6, 7, 8]))
    assert sorted(data.obs[0, :, 0].tolist()) == [1, 7, 8]


def test_no_room_keeps_the_first():
    data = append(start_aggregate(labels([1, 2]), extra=0), labels([5, 6]))
    assert data.obs[0, :, 0].tolist() == [1, 2]
    assert data.count.tolist() == [2]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=1, max_size=6))
def test_append_equals_a_plain_queue(chunks: list[list[bool]]):
    data = start_aggregate(labels([-1.0]), extra=4)
    queue: list[float] = []
    for i, valid in enumerate(chunks):
        values = [3.0 * i + j for j in range(3)]
        data = append(data, labels(values, valid))
        queue += [v for v, ok in zip(values, valid, strict=True) if ok]
    kept = data.obs[0, : int(data.count[0]), 0].tolist()
    assert sorted(kept) == sorted([-1.0, *queue[-4:]])


def test_samples_come_evenly_from_the_rows_in_use():
    data = append(start_aggregate(labels([0, 1]), extra=10), labels([2, 3]))
    drawn = sample(data, 4000, jax.random.key(0))
    counts = np.bincount(np.asarray(drawn.obs[0, :, 0], int), minlength=5)
    assert counts[4:].sum() == 0
    assert (np.abs(counts[:4] - 1000) < 5 * np.sqrt(750)).all()
    assert (drawn.obs == drawn.act).all()
