"""The product on columns against `einsum`: derivatives of any order, and batches of any kind."""

from functools import partial
from itertools import product as pairs
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from core_problems import array, quick_jit
from gmps.core.columns import product

pytestmark = pytest.mark.usefixtures("x64")
AXES = list(pairs((0, 1), (0, 1)))
CONTRACTED, A, B = 3, 4, 5


def by_einsum(a: Any, b: Any, axis_a: int, axis_b: int) -> Any:
    left, right = ("ku", "uk")[axis_a], ("kv", "vk")[axis_b]
    return jnp.einsum(f"{left},{right}->uv", a, b)


def matrices(seed: int, axis_a: int, axis_b: int, *lead: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    shape = lambda axis, n: (CONTRACTED, n) if axis == 0 else (n, CONTRACTED)  # noqa: E731
    a, b = shape(axis_a, A), shape(axis_b, B)
    return array(rng.normal(size=(*lead, *a))), array(rng.normal(size=(*lead, *b)))


def derivatives(f: Any, at: Any, direction: Any) -> Any:
    """Value, tangent, gradient, Hessian product, and the gradient of a tangent."""
    loss = lambda a, b: jnp.sum(jnp.sin(f(a, b)))  # noqa: E731
    gradient = jax.grad(loss, (0, 1))
    tangent = lambda a, b: jax.jvp(loss, (a, b), direction)[1]  # noqa: E731
    return (
        jax.jvp(f, at, direction),
        gradient(*at),
        jax.linearize(gradient, *at)[1](*direction),
        jax.grad(tangent, (0, 1))(*at),
    )


def assert_same(actual: Any, expected: Any) -> None:
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-10, atol=1e-12), actual, expected)


@pytest.mark.parametrize(("axis_a", "axis_b"), AXES)
def test_all_derivatives(axis_a: int, axis_b: int):
    at, direction = (matrices(seed, axis_a, axis_b) for seed in (0, 1))
    f, plain = (lambda a, b, g=g: g(a, b, axis_a, axis_b) for g in (product, by_einsum))
    assert_same(*quick_jit(lambda: tuple(derivatives(g, at, direction) for g in (f, plain)))())
    assert_same(f(*at), plain(*at))


@pytest.mark.parametrize(("axis_a", "axis_b"), AXES)
@pytest.mark.parametrize(("at_a", "at_b"), [(0, 0), (None, 0), (0, None), (2, 1), (None, 2)])
def test_batches(axis_a: int, axis_b: int, at_a: int | None, at_b: int | None):
    """Derivatives of batches, and batches of derivatives."""

    def arguments(seed: int) -> tuple[Any, Any]:
        whole = matrices(seed, axis_a, axis_b, 2)
        return tuple(
            x[0] if at is None else jnp.moveaxis(x, 0, at)
            for x, at in zip(whole, (at_a, at_b), strict=True)
        )  # pyright: ignore[reportReturnType]

    at, direction = arguments(0), arguments(1)

    def both(g: Any) -> Any:
        one = lambda a, b: g(a, b, axis_a, axis_b)  # noqa: E731
        batched = jax.vmap(one, (at_a, at_b))
        inside = jax.vmap(lambda *x: derivatives(one, x[:2], x[2:]), (at_a, at_b) * 2)
        return derivatives(batched, at, direction), inside(*at, *direction)

    assert_same(*quick_jit(lambda: (both(product), both(by_einsum)))())


@pytest.mark.parametrize("inner", [(0, 0), (None, 0), (0, None)])
@pytest.mark.parametrize("outer", [(0, 0), (None, 0), (0, None)])
def test_batches_of_batches(inner: Any, outer: Any):
    whole = matrices(0, 0, 1, 2, 3)
    args = []
    for x, i, o in zip(whole, inner, outer, strict=True):
        x = x if i is not None else x[:, 0]
        args.append(x if o is not None else x[0])
    nested = lambda g: jax.vmap(jax.vmap(lambda a, b: g(a, b, 0, 1), inner), outer)(*args)  # noqa: E731
    assert_same(nested(product), nested(by_einsum))


def test_operands_of_two_precisions():
    a, b = matrices(0, 0, 0)
    small = a.astype(jnp.float32)
    out, gradient = jax.value_and_grad(lambda *x: product(*x, 0, 0).sum(), (0, 1))(small, b)
    assert out.dtype == jnp.float64
    assert [g.dtype for g in gradient] == [jnp.float32, jnp.float64]
    np.testing.assert_allclose(gradient[0], b.sum(1)[:, None] * np.ones_like(a), rtol=1e-6)
