import jax
import numpy as np
import pytest

from gmps.core.optimise import keys_of_steps


@pytest.mark.parametrize(("n", "room"), [(0, 4096), (3, 4096), (4096, 4096), (4097, 8192)])
def test_keys_of_steps_are_those_of_split_in_few_lengths(n, room):
    key = jax.random.key(4)
    keys = jax.random.key_data(keys_of_steps(key, n))
    assert len(keys) == room
    np.testing.assert_array_equal(keys[:n], jax.random.key_data(jax.random.split(key, n)))
