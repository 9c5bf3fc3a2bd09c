"""The Gaussian policy network: the head of every policy.

One network acts on one vector of features; batch axes are added by `jax.vmap` outside.
"""

import functools
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from gmps.core.choices import Activation, Subset
from gmps.core.columns import product
from gmps.core.dist import gaussian_log_prob
from gmps.deploy.networks import MIN_STD
from gmps.errors import GmpsError

#: What they compute.
ACTIVATIONS: dict[Activation, Callable[[Array], Array]] = {"relu": jax.nn.relu, "tanh": jnp.tanh}


class Network(eqx.Module):
    """A module that `jax.jit` takes as it takes a function: equal to itself and to nothing else.

    Equinox compares modules by their arrays, and arrays cannot be hashed.
    """

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


class GaussianPolicy(Network):
    """MLP with a bias transformation and a state-independent standard deviation.

    The published network has ReLUs. With tanh its actions stay bounded in observations that are
    unlike all of training, as those of another kind of task are.

    The bias transformation is a vector appended to the observation (GMPS, appendix C; Finn et al.
    2017). Observations are first shifted and scaled by constants that no gradient changes.
    """

    #: Layer weights, `(in, out)`; the first layer's input is `[observation, bias_transform]`.
    weights: tuple[Float[Array, "_in _out"], ...]
    #: Layer biases, `(out,)`.
    biases: tuple[Float[Array, " _out"], ...]
    #: The bias transformation; size 0 switches it off.
    bias_transform: Float[Array, " bias"]
    #: Log standard deviation of each action; floored at `log(MIN_STD)` when used.
    log_std: Float[Array, " act"]
    #: Constants of the input normalisation.
    obs_mean: Float[Array, " obs"]
    obs_std: Float[Array, " obs"]
    #: Of the hidden layers.
    activation: Activation = eqx.field(static=True, default="relu")

    def __call__(
        self, obs: Float[Array | np.ndarray, " obs"]
    ) -> tuple[Float[Array, " act"], Float[Array, " act"]]:
        """Mean and log standard deviation of the action."""
        shift, scale = jax.lax.stop_gradient((self.obs_mean, self.obs_std))
        (weight, bias), *rest = self.layers
        x = ((jnp.asarray(obs) - shift) / scale) @ weight + bias
        for weight, bias in rest:
            x = ACTIVATIONS[self.activation](x) @ weight + bias
        return x, self.floored_log_std

    def means(self, obs: Float[Array | np.ndarray, "*n obs"]) -> Float[Array, "*n act"]:
        """Mean action in each observation: as `jax.vmap` of the policy, in less time."""
        shift, scale = jax.lax.stop_gradient((self.obs_mean, self.obs_std))
        columns = jnp.asarray(obs).reshape(-1, obs.shape[-1]).T
        # Transposed once: without the barrier XLA folds the transposition into each slower product.
        inputs = jax.lax.optimization_barrier((columns - shift[:, None]) / scale[:, None])
        (weight, bias), *rest = self.layers
        x = product(weight, inputs, 0, 0) + bias[:, None]
        for weight, bias in rest:
            x = product(weight, ACTIVATIONS[self.activation](x), 0, 0) + bias[:, None]
        return x.T.reshape(*obs.shape[:-1], x.shape[0])

    @property
    def layers(self) -> tuple[tuple[Float[Array, "_in _out"], Float[Array, " _out"]], ...]:
        """Weight and bias of each layer; the first one takes the normalised observation alone.

        `[obs, b] @ W` is `obs @ W[:n] + b @ W[n:]`: the bias transformation is part of the first
        bias, and nothing is tiled over a batch.
        """
        size = self.obs_mean.shape[0]
        first = self.weights[0]
        offset = self.bias_transform @ first[size:] + self.biases[0]
        return (
            (first[:size], offset),
            *zip(self.weights[1:], self.biases[1:], strict=True),
        )

    @property
    def floored_log_std(self) -> Float[Array, " act"]:
        """Log standard deviation as used, at least `log(MIN_STD)`."""
        return jnp.maximum(self.log_std, jnp.log(jnp.asarray(MIN_STD, self.log_std.dtype)))

    def log_prob(self, obs: Float[Array, " obs"], act: Float[Array, " act"]) -> Float[Array, ""]:
        """Log density of `act` in `obs`."""
        mean, log_std = self(obs)
        return gaussian_log_prob(act, mean, log_std)

    def with_std(self, std: float | Float[Array, " act"]) -> "GaussianPolicy":
        """The network, or stacked networks, acting with these standard deviations."""
        log_std = jnp.log(jnp.asarray(std, self.log_std.dtype))
        wanted = jnp.broadcast_to(log_std, self.log_std.shape)
        return eqx.tree_at(lambda head: head.log_std, self, wanted)


def init_head(
    key: Key[Array, ""],
    obs_size: int,
    act_size: int,
    *,
    hidden: tuple[int, ...] = (100, 100),
    bias_size: int = 4,
    bias_init: float = 0.0,
    std: float = 1.0,
    activation: Activation = "relu",
) -> GaussianPolicy:
    """Xavier-uniform weights, zero biases; `bias_init` fills the bias transformation.

    Raises:
        GmpsError: there is no such activation.
    """
    if activation not in ACTIVATIONS:
        known = " or ".join(map(repr, ACTIVATIONS))
        raise GmpsError(f"activation is {activation!r}; it must be {known}.")
    return _drawn(key, obs_size, act_size, tuple(hidden), bias_size, bias_init, std, activation)


@functools.partial(jax.jit, static_argnums=range(1, 8))
def _drawn(
    key: Key[Array, ""],
    obs_size: int,
    act_size: int,
    hidden: tuple[int, ...],
    bias_size: int,
    bias_init: float,
    std: float,
    activation: Activation,
) -> GaussianPolicy:
    sizes = (obs_size + bias_size, *hidden, act_size)
    init = jax.nn.initializers.glorot_uniform()
    keys = jax.random.split(key, len(sizes) - 1)
    return GaussianPolicy(
        weights=tuple(
            init(k, (n_in, n_out), jnp.float32)
            for k, n_in, n_out in zip(keys, sizes[:-1], sizes[1:], strict=True)
        ),
        biases=tuple(jnp.zeros(n, jnp.float32) for n in sizes[1:]),
        bias_transform=jnp.full(bias_size, bias_init, jnp.float32),
        log_std=jnp.full(act_size, jnp.log(std), jnp.float32),
        obs_mean=jnp.zeros(obs_size, jnp.float32),
        obs_std=jnp.ones(obs_size, jnp.float32),
        activation=activation,
    )


def subset_mask(policy: GaussianPolicy, subset: Subset) -> PyTree[bool]:
    """A tree of booleans: which leaves of a policy the inner step moves."""
    none = jax.tree.map(lambda _: False, policy)
    everything = jax.tree.map(lambda _: True, policy)
    learned = eqx.tree_at(lambda p: (p.obs_mean, p.obs_std), everything, (False, False))
    match subset:
        case "all":
            return learned
        case "mean":
            return eqx.tree_at(lambda p: p.log_std, learned, False)
        case "bias":
            return eqx.tree_at(lambda p: p.bias_transform, none, True)
    raise GmpsError(f"subset is {subset!r}; it must be 'all', 'mean' or 'bias'.")
