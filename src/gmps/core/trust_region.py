"""A natural-gradient step within a trust region (Schulman et al. 2015, appendix C).

Parameters are one flat vector here; `jax.flatten_util.ravel_pytree` makes it.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from gmps.core.trust_region_settings import TrustRegionConfig

Vector = Float[Array, " n"]
Product = Callable[[Vector], Vector]


class SearchResult(NamedTuple):
    """What the line search found; all figures are those of the returned parameters."""

    loss_before: Float[Array, ""]
    loss: Float[Array, ""]
    kl: Float[Array, ""]
    #: Share of the full step that was taken; 0 when it was rejected.
    share: Float[Array, ""]
    accepted: Bool[Array, ""]


def conjugate_gradient(
    product: Product, b: Vector, iterations: int = 10, tolerance: float = 1e-10
) -> tuple[Vector, Vector]:
    """Solve `A x = b` for a symmetric positive definite `A` (Hestenes and Stiefel 1952).

    Stops once the squared residual is below `tolerance` times that of `x = 0`. Returns `x` and the
    residual `b - A x`.
    """
    limit = tolerance * (b @ b)

    def step(carry: tuple[Array, ...]) -> tuple[Array, ...]:
        i, x, residual, direction, size = carry
        image = product(direction)
        along = size / (direction @ image)
        x, residual = x + along * direction, residual - along * image
        new_size = residual @ residual
        return i + 1, x, residual, residual + new_size / size * direction, new_size

    def goes_on(carry: tuple[Array, ...]) -> Array:
        return (carry[0] < iterations) & (carry[-1] > limit)

    zero: Int[Array, ""] = jnp.zeros((), jnp.int32)
    start = (zero, jnp.zeros_like(b), b, b, b @ b)
    _, x, residual, _, _ = jax.lax.while_loop(goes_on, step, start)
    return x, residual


def natural_step(
    at: Vector,
    before: Float[Array, ""],
    gradient: Vector,
    product: Product,
    evaluate: Callable[[Vector], tuple[Float[Array, ""], Float[Array, ""]]],
    config: TrustRegionConfig,
) -> tuple[Vector, SearchResult]:
    """Parameters after one step, and how it went.

    The direction solves `(F + damping I) x = -grad loss`; its length makes the quadratic model of
    the KL equal to the limit; then the step shrinks until the loss is lower and the true KL is
    within the limit. If no try succeeds, or nothing is finite, the parameters stay as they were.

    Args:
        at: the parameters.
        before: the loss there.
        gradient: its gradient there.
        product: `v -> F v` there.
        evaluate: loss and KL of other parameters.
        config: settings of the step.
    """
    damped = lambda v: product(v) + config.damping * v  # noqa: E731
    direction, residual = conjugate_gradient(damped, -gradient, config.cg_iterations)
    # `A x` is `b` less the residual: no product more.
    curvature = direction @ (-gradient - residual)
    full = jnp.sqrt(2 * config.max_kl / jnp.maximum(curvature, 1e-30)) * direction

    def attempt(carry: tuple) -> tuple:
        i = carry[0]
        share = config.shrink ** i.astype(at.dtype)
        tried = at + share * full
        after, distance = evaluate(tried)
        # A comparison with what is not a number is false: such a step is refused.
        good = (after < before) & (distance <= config.max_kl) & jnp.isfinite(tried).all()
        return i + 1, tried, after, distance, share, good

    def goes_on(carry: tuple) -> Array:
        return (carry[0] < config.tries) & ~carry[-1]

    none = jnp.zeros((), at.dtype)
    start = (jnp.zeros((), jnp.int32), at, before, none, none, jnp.zeros((), bool))
    _, tried, after, distance, share, good = jax.lax.while_loop(goes_on, attempt, start)
    choose = lambda new, old: jnp.where(good, new, old)  # noqa: E731
    found = SearchResult(
        before, choose(after, before), choose(distance, none), choose(share, none), good
    )
    return jnp.where(good, tried, at), found
