"""Experts of a user: any Python function that labels a batch of states.

    def act(task, obs):
        # task: (n, context), obs: (n, obs); returns actions (n, act) in [-1, 1]
        return my_torch_policy(np.concatenate([obs, task], -1))

The function runs on the host; closed loops call it once a step for all episodes.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.buffer_callback import buffer_callback
from jaxtyping import Array, Float

from gmps.core.types import Task
from gmps.errors import GmpsError, UserCodeError
from gmps.experts.base import Expert
from gmps.tasks.base import TaskFamily
from gmps.user_code import load_code

#: A user's function: task parameters `(n, context)` and observations `(n, obs)` to actions.
BatchFunction = Callable[[Float[np.ndarray, "n ctx"], Float[np.ndarray, "n obs"]], np.ndarray]


def from_function(function: BatchFunction, family: TaskFamily, name: str | None = None) -> Expert:
    """An expert from a Python function of NumPy arrays.

    Every answer is checked.

    Args:
        function: see the module docstring; also called with other batch sizes than before.
        family: the family whose states it labels.
        name: what errors call it; by default the function's own name.

    Raises (when it is asked):
        GmpsError: the answer is not `(n, act)`, not finite, or outside [-1, 1]; names the task.
    """
    called = name or str(getattr(function, "__name__", type(function).__name__))
    size = family.spec.act_size
    faults: list[GmpsError] = []

    def ask(context: np.ndarray, obs: np.ndarray) -> np.ndarray:
        lead = obs.shape[:-1]
        flat_context = np.array(np.broadcast_to(context, (*lead, context.shape[-1])))
        flat_context = flat_context.reshape(-1, context.shape[-1])
        flat_obs = np.array(obs).reshape(-1, obs.shape[-1])
        try:
            act = checked_actions(
                _answer(function, flat_context, flat_obs, called), flat_context, size, called
            )
        except GmpsError as error:
            faults.append(error)
            raise
        return act.reshape(*lead, size)

    def controller(task: Task, obs: Float[Array, " obs"]) -> Float[Array, " act"]:
        return _on_host(ask, size, family.context(task), obs)

    return Expert(controller, f"the function {called}", faults=faults)


def _answer(function: BatchFunction, context: np.ndarray, obs: np.ndarray, called: str) -> Any:
    """What the function says, or a UserCodeError, whatever it does instead."""
    try:
        return function(context, obs)
    except (Exception, SystemExit) as error:
        raise UserCodeError(
            f"The expert {called} failed when it was asked about {len(obs)} states, the first in "
            f"{_words(context[0])}: {type(error).__name__}: {error}."
        ) from error


def _on_host(
    ask: Callable[[np.ndarray, np.ndarray], np.ndarray],
    size: int,
    context: Float[Array, " ctx"],
    obs: Float[Array, " obs"],
) -> Float[Array, " act"]:
    """What the function answers, as a JAX computation.

    On CPUs it reads JAX's own buffers. `jax.pure_callback` gives it copies, which JAX's pool of
    threads makes; but the function is called by a thread of that pool, and so waits for ever where
    the pool has no other (jax issues 24255, 25861).
    """

    def fill(_: Any, act: Any, context: Any, obs: Any) -> None:
        np.asarray(act)[...] = ask(np.asarray(context), np.asarray(obs))

    shape = jax.ShapeDtypeStruct((size,), jnp.float32)
    in_place = buffer_callback(fill, shape, vmap_method="broadcast_all")
    by_copy = functools.partial(jax.pure_callback, ask, shape, vmap_method="broadcast_all")
    return jax.lax.platform_dependent(context, obs, cpu=in_place, default=by_copy)


def checked_actions(
    act: object, context: Float[np.ndarray, "n ctx"], size: int, name: str
) -> Float[np.ndarray, "n act"]:
    """A user's answer as float32, or a GmpsError that says what is wrong with it."""
    try:
        array = np.asarray(act, np.float32)
    except (TypeError, ValueError):
        raise GmpsError(
            f"The expert {name} returned a {type(act).__name__}; it must return an array "
            f"({len(context)}, {size}) of actions."
        ) from None
    if array.shape != (len(context), size):
        raise GmpsError(
            f"The expert {name} returned an array of shape {array.shape} for {len(context)} states "
            f"(the first in {_words(context[0])}); it must return ({len(context)}, {size})."
        )
    bad = ~np.isfinite(array).all(-1)
    if bad.any():
        raise GmpsError(
            f"The expert {name} returned an action that is not finite in "
            f"{_words(context[bad.argmax()])}; every number must be finite."
        )
    outside = (np.abs(array) > 1 + 1e-5).any(-1)
    if outside.any():
        row = int(outside.argmax())
        worst = array[row, np.abs(array[row]).argmax()]
        raise GmpsError(
            f"The expert {name} returned an action of {worst:.4g} in {_words(context[row])}; "
            "actions lie in [-1, 1]: scale or clip them."
        )
    return array


def load_function(spec: str) -> BatchFunction:
    """The function of `FILE.py:NAME` or `package.module:NAME`.

    Raises:
        GmpsError: no such file or name, or it cannot be called.
    """
    function = load_code(spec, "an expert")
    if not callable(function):
        raise GmpsError(f"{spec} is no function; give an expert as FILE.py:FUNCTION.")
    return function  # pyright: ignore[reportReturnType]


def _words(context: np.ndarray) -> str:
    return "task (" + ", ".join(f"{x:.4g}" for x in context) + ")"
