"""The losses of `gmps.core.losses` on one task's samples laid out as columns, for their gradients.

With samples as columns, `z = W^T h`, `W delta` and `h delta^T` are the products of a network's
forward and backward pass, and each runs at 85 to 95 % of the kernels' best on a CPU. With samples
as rows, as automatic differentiation writes them, the two products of the backward pass reach 60 to
80 % (jax 0.10, 4,000 samples, layers of 100).
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from gmps.core.dist import gaussian_log_prob
from gmps.core.losses import Imitation, InnerBatch, action_cost, alive_mean, check_imitation, living
from gmps.core.nets import ACTIVATIONS, Activation, GaussianPolicy
from gmps.core.types import Demonstrations

Layer = tuple[Float[Array, "_in _out"], Float[Array, " _out"]]
Objective = Callable[[GaussianPolicy], Float[Array, ""]]


def inner_objective(policy: GaussianPolicy, batch: InnerBatch) -> Objective:
    """`policy_gradient_loss` on `batch`, as a function of a policy normalised like `policy`."""
    alive = batch.alive.reshape(-1)
    obs, act = _columns(batch.obs, batch.alive), _columns(batch.act, batch.alive)
    scale = jnp.where(batch.alive, batch.weight * batch.advantage, 0).reshape(-1)
    inputs = _normalise(policy, obs)
    return lambda p: -alive_mean(scale * _log_probs(p, inputs, act), alive)


def ratio_objective(policy: GaussianPolicy, batch: InnerBatch) -> Objective:
    """`ratio_loss` on `batch`, as a function of a policy normalised like `policy`."""
    samples = policy_samples(policy, batch)
    return lambda p: ratio_loss(p, means(p, samples.inputs), samples)


class Samples(NamedTuple):
    """A batch of one task as columns; zeros in padded steps."""

    #: Normalised observations.
    inputs: Float[Array, "obs n"]
    act: Float[Array, "act n"]
    advantage: Float[Array, " n"]
    #: Log density of `act` under the policy that collected it.
    log_prob: Float[Array, " n"]
    alive: Bool[Array, " n"]


def policy_samples(policy: GaussianPolicy, batch: InnerBatch) -> Samples:
    """`batch` as columns, for policies normalised like `policy`."""
    zeroed = lambda x: jnp.where(batch.alive, x, 0).reshape(-1)  # noqa: E731
    return Samples(
        _normalise(policy, _columns(batch.obs, batch.alive)),
        _columns(batch.act, batch.alive),
        zeroed(batch.advantage),
        zeroed(batch.log_prob),
        batch.alive.reshape(-1),
    )


def ratio_loss(
    policy: GaussianPolicy, mean: Float[Array, "act n"], samples: Samples
) -> Float[Array, ""]:
    """`gmps.core.surrogates.ratio_loss` of a policy whose mean actions are `mean`."""
    log_prob = _gaussian_log_probs(policy, mean, samples.act)
    ratio = jnp.exp(jnp.where(samples.alive, log_prob - samples.log_prob, 0))
    return -alive_mean(ratio * samples.advantage, samples.alive)


def outer_objective(policy: GaussianPolicy, demos: Demonstrations, kind: Imitation) -> Objective:
    """`imitation_loss` on `demos`, as a function of a policy normalised like `policy`."""
    check_imitation(kind)
    obs, act = _columns(demos.obs, demos.valid), _columns(demos.act, demos.valid)
    inputs = _normalise(policy, obs)
    if kind == "nll":
        return lambda p: -alive_mean(_log_probs(p, inputs, act), demos.valid)
    cost = lambda p: action_cost(means(p, inputs) - act, kind)  # noqa: E731
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
    return _gaussian_log_probs(policy, means(policy, inputs), act)


def _gaussian_log_probs(
    policy: GaussianPolicy, mean: Float[Array, "act n"], act: Float[Array, "act n"]
) -> Float[Array, " n"]:
    return jax.vmap(gaussian_log_prob, (1, 1, None))(act, mean, policy.floored_log_std)


def fisher_product(
    policy: GaussianPolicy,
    hidden: Sequence[Float[Array, "_width n"]],
    alive: Bool[Array, " n"],
    v: GaussianPolicy,
) -> GaussianPolicy:
    """`F v`, `F` the mean over living samples of the Fisher information of `policy`'s actions.

    The information about a mean is `1 / std^2`, about a log standard deviation 2. `hidden` are the
    inputs of the layers, as `activations` gives them.
    """
    parts = lambda p: (p.layers, p.floored_log_std)  # noqa: E731
    (layers, log_std), parts_transpose = jax.vjp(parts, policy)
    _, (layers_v, log_std_v) = jax.jvp(parts, (policy,), (v,))
    share = alive / jnp.maximum(alive.sum(), 1)
    kind = policy.activation
    delta = _tangent(kind, layers, hidden, layers_v) * share * jnp.exp(-2 * log_std)[:, None]
    layers_product, _ = _backward(kind, (layers, hidden), delta)
    return parts_transpose((layers_product, 2 * share.sum() * log_std_v))[0]


def means(policy: GaussianPolicy, inputs: Float[Array, "obs n"]) -> Float[Array, "act n"]:
    """Mean actions at normalised observations."""
    return mlp(policy.activation, policy.layers, inputs)


def activations(
    policy: GaussianPolicy, inputs: Float[Array, "obs n"]
) -> tuple[Float[Array, "act n"], list[Float[Array, "_width n"]]]:
    """Mean actions, and the inputs of each layer of the network."""
    outputs, (_, hidden) = _forward(policy.activation, policy.layers, inputs)
    return outputs, hidden


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def mlp(
    kind: Activation, layers: Sequence[Layer], inputs: Float[Array, "in n"]
) -> Float[Array, "out n"]:
    """Network on columns; its gradient is written out so that it stays on columns."""
    return _forward(kind, layers, inputs)[0]


def _forward(kind: Activation, layers: Sequence[Layer], inputs: Array) -> tuple[Array, tuple]:
    hidden = [inputs]
    for weight, bias in layers[:-1]:
        hidden.append(ACTIVATIONS[kind](_product(weight, hidden[-1], 0, 0) + bias[:, None]))
    weight, bias = layers[-1]
    return _product(weight, hidden[-1], 0, 0) + bias[:, None], (layers, hidden)


def _through(kind: Activation, out: Array, moved: Array) -> Array:
    """`moved`, times the slope of the activation where its output is `out`."""
    return jnp.where(out > 0, moved, 0) if kind == "relu" else (1 - out**2) * moved


def _tangent(
    kind: Activation,
    layers: Sequence[Layer],
    hidden: Sequence[Array],
    tangents: Sequence[Layer],
) -> Float[Array, "out n"]:
    """How the outputs move when the layers do."""
    (weight_v, bias_v), *rest = tangents
    moved = _product(weight_v, hidden[0], 0, 0) + bias_v[:, None]
    for (weight, _), (weight_v, bias_v), h in zip(layers[1:], rest, hidden[1:], strict=True):
        moved = _product(weight, _through(kind, h, moved), 0, 0) + bias_v[:, None]
        moved = moved + _product(weight_v, h, 0, 0)
    return moved


def _backward(
    kind: Activation, residuals: tuple, delta: Float[Array, "out n"]
) -> tuple[tuple[Layer, ...], Array]:
    layers, hidden = residuals
    gradients = []
    for (weight, _), h in zip(reversed(layers), reversed(hidden), strict=True):
        gradients.append((_product(h, delta, 1, 1), delta.sum(1)))
        delta = _product(weight, delta, 1, 0)
        if h is not hidden[0]:
            delta = _through(kind, h, delta)
    return tuple(reversed(gradients)), delta


mlp.defvjp(_forward, _backward)


def _product(a: Array, b: Array, axis_a: int, axis_b: int) -> Array:
    """Sum over one axis of each matrix; the remaining axes in order."""
    return jax.lax.dot_general(a, b, (((axis_a,), (axis_b,)), ((), ())))
