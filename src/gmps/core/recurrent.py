"""A gated recurrent unit (Cho et al. 2014), for one sequence or a batch of them."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key


class Gru(eqx.Module):
    """`h' = (1 - u) n + u h` with gates `r, u` and `n = tanh(x_n + r (h_n + b))`.

    `x` and `h` are `into` and `back` times the input and the state; their thirds are for `r`, `u`
    and `n`. What depends on inputs alone is computed for a whole sequence at once.
    """

    into: Float[Array, "in 3*state"]
    back: Float[Array, "state 3*state"]
    bias: Float[Array, " 3*state"]
    #: The bias within the reset gate.
    inner: Float[Array, " state"]

    def prepare(self, inputs: Float[Array, "*n in"]) -> Float[Array, "*n 3*state"]:
        """What `step` takes of each input."""
        return inputs @ self.into + self.bias

    def step(
        self, state: Float[Array, "*n state"], prepared: Float[Array, "*n 3*state"]
    ) -> Float[Array, "*n state"]:
        """The next state."""
        of_input, of_state = (jnp.split(x, 3, -1) for x in (prepared, state @ self.back))
        reset, keep = (
            jax.nn.sigmoid(a + b) for a, b in zip(of_input[:2], of_state[:2], strict=True)
        )
        new = jnp.tanh(of_input[2] + reset * (of_state[2] + self.inner))
        return (1 - keep) * new + keep * state


def init_gru(key: Key[Array, ""], inputs: int, size: int) -> Gru:
    """Xavier-uniform weights from the inputs, orthogonal ones from state to state, zero biases."""
    into, *back = jax.random.split(key, 4)
    orthogonal = jax.nn.initializers.orthogonal()
    return Gru(
        into=jax.nn.initializers.glorot_uniform()(into, (inputs, 3 * size), jnp.float32),
        back=jnp.concatenate([orthogonal(k, (size, size), jnp.float32) for k in back], 1),
        bias=jnp.zeros(3 * size, jnp.float32),
        inner=jnp.zeros(size, jnp.float32),
    )


def unroll(
    gru: Gru,
    start: Float[Array, "b state"],
    inputs: Float[Array, "b t in"],
    alive: Bool[Array, "b t"],
    window: int | None = None,
) -> tuple[Float[Array, "b t state"], Float[Array, "b state"]]:
    """The state at each step of a batch of sequences, its own input included, and the last one.

    Steps that are not alive leave the state as it is. Derivatives reach back to the start, or no
    further than to the last multiple of `window` steps (truncated backpropagation).
    """
    steps = inputs.shape[1]

    def step(state: Array, x: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        prepared, lives, cut = x
        if window is not None:
            state = jnp.where(cut, jax.lax.stop_gradient(state), state)
        state = jnp.where(lives[:, None], gru.step(state, prepared), state)
        return state, state

    cuts = jnp.arange(steps) % (window or steps) == 0
    columns = jnp.moveaxis(gru.prepare(inputs), 1, 0), alive.T, cuts
    last, states = jax.lax.scan(step, start, columns)
    return jnp.moveaxis(states, 0, 1), last
