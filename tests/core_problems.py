"""Small random problems for the tests of the pure core. Drawn with NumPy: nothing to compile."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from gmps.core.adapt import StepSizes, init_step_sizes
from gmps.core.choices import Activation, StepSizeKind
from gmps.core.losses import InnerBatch
from gmps.core.nets import GaussianPolicy
from gmps.core.surrogates import action_distributions, clipped_surrogate
from gmps.core.types import Demonstrations

OBS, ACT, BIAS = 3, 2, 2


def array(x: Any) -> jax.Array:
    """In the default precision: float64 where the `x64` fixture is used."""
    return jnp.asarray(x, jnp.float64 if jax.config.jax_enable_x64 else jnp.float32)  # pyright: ignore


def quick_jit(function: Any) -> Any:
    """`jax.jit` that compiles in half the time; the code it makes is slower."""
    return jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})


def clipped_ratio_loss(policy: GaussianPolicy, batch: InnerBatch, clip: float) -> jax.Array:
    """`clipped_surrogate` of a policy, as the outer loop takes it."""
    return clipped_surrogate(action_distributions(policy, batch.obs, batch.alive), batch, clip)


def random_policy(
    seed: int, hidden: tuple[int, ...] = (5, 4), activation: Activation = "relu"
) -> GaussianPolicy:
    """A policy in which every leaf is random, the input normalisation too."""
    rng = np.random.default_rng(seed)
    sizes = (OBS + BIAS, *hidden, ACT)
    return GaussianPolicy(
        weights=tuple(array(rng.normal(size=s) * s[0] ** -0.5) for s in pairwise(sizes)),
        biases=tuple(array(0.5 + 0.3 * rng.normal(size=n)) for n in sizes[1:]),
        bias_transform=array(rng.normal(size=BIAS)),
        log_std=array(0.3 * rng.normal(size=ACT)),
        obs_mean=array(0.3 * rng.normal(size=OBS)),
        obs_std=array(rng.uniform(0.5, 1.5, size=OBS)),
        activation=activation,
    )


def without_constants(policy: GaussianPolicy) -> GaussianPolicy:
    """Zeros for the constants of the normalisation: a direction for derivatives."""
    return replace(policy, obs_mean=array(np.zeros(OBS)), obs_std=array(np.zeros(OBS)))


def forward(policy: GaussianPolicy, obs: np.ndarray) -> np.ndarray:
    """Mean actions by the formula, with the bias transformation appended to each observation."""
    x = (obs - np.asarray(policy.obs_mean)) / np.asarray(policy.obs_std)
    tiled = np.broadcast_to(np.asarray(policy.bias_transform), (*x.shape[:-1], BIAS))
    x = np.concatenate([x, tiled], axis=-1)
    for i, (weight, bias) in enumerate(zip(policy.weights, policy.biases, strict=True)):
        x = (np.maximum(x, 0) if i else x) @ np.asarray(weight) + np.asarray(bias)
    return x


def log_density(policy: GaussianPolicy, obs: Any, act: Any) -> np.ndarray:
    """Log density of each action, by scipy."""
    distribution = stats.norm(forward(policy, np.asarray(obs)), np.exp(policy.log_std))
    return distribution.logpdf(act).sum(-1)


def random_step_sizes(seed: int, policy: GaussianPolicy, kind: StepSizeKind) -> StepSizes:
    """Step sizes between 0.1 and 0.5."""
    rng = np.random.default_rng(seed)
    shapes = init_step_sizes(policy, kind, 0.0)
    return jax.tree.map(lambda x: array(rng.uniform(0.1, 0.5, size=x.shape)), shapes)


def random_batch(
    seed: int, collector: GaussianPolicy, *, tasks: int = 2, episodes: int = 3, steps: int = 6
) -> InnerBatch:
    """Samples of `collector` in random states, in episodes of random length."""
    rng = np.random.default_rng(seed)
    shape = (tasks, episodes, steps)
    obs = rng.normal(size=(*shape, OBS))
    noise = rng.normal(size=(*shape, ACT))
    act = forward(collector, obs) + np.exp(collector.log_std) * noise
    return InnerBatch(
        obs=array(obs),
        act=array(act),
        advantage=array(rng.normal(size=shape)),
        log_prob=array(log_density(collector, obs, act)),
        weight=array(np.ones(shape)),
        alive=jnp.asarray(np.arange(steps) < rng.integers(2, steps + 1, size=(tasks, episodes, 1))),
    )


def random_demos(seed: int, *, tasks: int = 2, n: int = 7) -> Demonstrations:
    """Expert labels, the last one padding."""
    rng = np.random.default_rng(seed)
    return Demonstrations(
        obs=array(rng.normal(size=(tasks, n, OBS))),
        act=array(rng.normal(size=(tasks, n, ACT)).clip(-1, 1)),
        valid=jnp.asarray(np.broadcast_to(np.arange(n) < n - 1, (tasks, n))),
    )


def one_task(tree: Any) -> Any:
    """The first task of a batch."""
    return jax.tree.map(lambda x: x[0], tree)


def spoil(x: jax.Array, keep: jax.Array) -> jax.Array:
    """`x` with NaN and infinity wherever `keep` is False."""
    mask = np.asarray(keep).reshape(*keep.shape, *[1] * (x.ndim - keep.ndim))
    bad = np.where(np.arange(x.size).reshape(x.shape) % 2 == 0, np.nan, np.inf)
    return jnp.asarray(np.where(mask, x, bad), x.dtype)


def spoil_batch(batch: InnerBatch) -> InnerBatch:
    """The same batch with garbage in every field of padded steps."""
    fields = batch._asdict()
    alive, frames = fields.pop("alive"), fields.pop("frames")
    spoilt = {name: spoil(x, alive) for name, x in fields.items()}
    return InnerBatch(**spoilt, alive=alive, frames=frames)
