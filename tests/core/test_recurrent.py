"""The GRU by hand, and how a batch of sequences is unrolled."""

import jax
import jax.numpy as jnp
import numpy as np

from gmps.core.recurrent import Gru, init_gru, unroll


def test_one_step_by_hand():
    # One input, one state: gates from x = 2 and h = 0.5.
    gru = Gru(
        into=jnp.array([[0.1, -0.2, 0.3]]),
        back=jnp.array([[0.4, 0.5, -0.6]]),
        bias=jnp.array([0.01, 0.02, 0.03]),
        inner=jnp.array([0.7]),
    )
    sigmoid = lambda x: 1 / (1 + np.exp(-x))  # noqa: E731
    reset, keep = sigmoid(0.2 + 0.01 + 0.2), sigmoid(-0.4 + 0.02 + 0.25)
    new = np.tanh(0.6 + 0.03 + reset * (-0.3 + 0.7))
    stepped = gru.step(jnp.array([0.5]), gru.prepare(jnp.array([2.0])))
    np.testing.assert_allclose(stepped, [(1 - keep) * new + keep * 0.5], rtol=1e-6)


def test_sequences_are_steps_in_turn_and_rest_where_nothing_lives():
    gru = init_gru(jax.random.key(0), 3, 4)
    inputs = jax.random.normal(jax.random.key(1), (2, 5, 3))
    alive = jnp.array([[True] * 5, [True, True, False, False, True]])
    states, last = unroll(gru, jnp.ones((2, 4)), inputs, alive)
    for row in range(2):
        state = jnp.ones(4)
        for t in range(5):
            if alive[row, t]:
                state = gru.step(state, gru.prepare(inputs[row, t]))
            np.testing.assert_allclose(states[row, t], state, atol=1e-6)
        np.testing.assert_array_equal(last[row], states[row, -1])


def test_a_window_cuts_derivatives_and_no_values():
    gru = init_gru(jax.random.key(0), 2, 3)
    inputs, alive = jax.random.normal(jax.random.key(1), (1, 6, 2)), jnp.ones((1, 6), bool)

    def end(inputs: jax.Array, window: int | None) -> jax.Array:
        return unroll(gru, jnp.zeros((1, 3)), inputs, alive, window)[1].sum()

    assert end(inputs, None) == end(inputs, 4)
    whole, cut = (np.abs(jax.grad(end)(inputs, window))[0].sum(-1) for window in (None, 4))
    assert (whole > 1e-6).all()
    # The last multiple of 4 is step 4.
    np.testing.assert_allclose(cut[4:], whole[4:], rtol=1e-5)
    assert not cut[:4].any()
