"""The transformer: one block by hand, and that nothing is seen before its time."""

import jax
import jax.numpy as jnp
import numpy as np

from gmps.core.transformer import Block, Transformer, init_transformer


def test_attention_by_hand():
    # Queries and keys are 0, so each place takes the mean of the values up to it; the second part
    # of the block adds nothing.
    zero, one = jnp.zeros((2, 2)), jnp.eye(2)
    block = Block(
        gains=jnp.ones((2, 2)),
        attend=jnp.concatenate([zero, zero, one], 1),
        mix=2 * one,
        widen=jnp.zeros((2, 4)),
        narrow=jnp.zeros((4, 2)),
    )
    x = np.array([[3.0, 4.0], [-2.0, 0.0], [1.0, 1.0]])
    unit = x / np.sqrt((x**2).mean(1, keepdims=True))
    mean = np.cumsum(unit, 0) / np.arange(1, 4)[:, None]
    wanted = x + 2 * mean
    wanted /= np.sqrt((wanted**2).mean(1, keepdims=True))
    found = Transformer((block,), jnp.ones(2), heads=1)(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_each_place_depends_on_those_before_it_alone():
    net = init_transformer(jax.random.key(0), 8, 2, 2)
    x = jax.random.normal(jax.random.key(1), (5, 8))
    slope = np.abs(jax.jacobian(net)(x)).sum((1, 3))
    assert (slope[np.tril_indices(5)] > 1e-4).all()
    assert not slope[np.triu_indices(5, 1)].any()
