"""Steps of optimisers, and the order in which tasks are computed."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import optax
from jaxtyping import Array, Key

P = TypeVar("P")


#: Keys are split in multiples of these, so that steps of any number take few programs.
_KEYS = 4096


def keys_of_steps(key: Key[Array, ""], n: int) -> Key[Array, " room"]:
    """`n` keys, the same as of `jax.random.split`, and behind them others that fill a length which
    most numbers have in common: programs that take it need no other for another number."""
    return jax.random.split(key, max(1, -(-n // _KEYS)) * _KEYS)


def descend(
    optimiser: optax.GradientTransformation, gradient: Any, opt_state: Any, params: P
) -> tuple[P, Any]:
    """One step of the optimiser: the new parameters and the optimiser's new state."""
    updates, opt_state = optimiser.update(gradient, opt_state)
    stepped: Any = optax.apply_updates(params, updates)  # pyright: ignore[reportArgumentType]
    return stepped, opt_state


def over_tasks(function: Callable[..., Any], *args: Any) -> Any:
    """`function` of each task, whose arguments and results have a leading `task` axis; or of each
    learner, of anything that is computed many times.

    On a CPU one after another: a task's activations stay in cache, and batched matrix products are
    slower there than single ones. Elsewhere all at once.
    """
    return jax.lax.platform_dependent(
        *args,
        cpu=lambda *args: jax.lax.map(lambda task: function(*task), args),
        default=jax.vmap(function),
    )
