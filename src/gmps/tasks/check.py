"""A look at a family before anything runs: does each of its functions return what it must?

Shapes are traced, nothing is computed, so this takes a fraction of a second. Errors are one
sentence that names the family, the function and the rule.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from gmps.core.types import Task
from gmps.errors import GmpsError
from gmps.tasks.base import Control, MujocoFamily, PureFamily, State, TaskFamily, Transition
from gmps.tasks.gymnasium_family import GymnasiumFamily

#: Any length will do to trace functions of whole episodes.
_STEPS = 2


def compile_model(family: MujocoFamily) -> mujoco.MjModel:
    """The family's model.

    Raises:
        GmpsError: it does not compile, or its time step does not fit `spec.control_dt`.
    """
    try:
        model = family.model()
    except Exception as error:
        raise GmpsError(
            f"{family.name}: the model does not compile: {_first_line(error)}"
        ) from error
    step = model.opt.timestep * family.frame_skip
    if not np.isclose(step, family.spec.control_dt):
        raise GmpsError(
            f"{family.name}: {family.frame_skip} physics steps of {model.opt.timestep:g} s are "
            f"{step:g} s, but spec.control_dt is {family.spec.control_dt:g} s; make them agree."
        )
    return model


@functools.cache
def _model_sizes(family: MujocoFamily) -> dict[str, int]:
    model = compile_model(family)
    names = ("nq", "nv", "nu", "nmocap", "nsensordata")
    return {name: int(getattr(model, name)) for name in names}


@functools.cache
def check_functions(family: TaskFamily) -> None:
    """Trace every function of a family that simulators and methods call.

    Raises:
        GmpsError: one fails, or returns something of another structure or shape than it must.
    """
    task, (state, sensor, act) = _tasks(family), _inputs(family)
    look = functools.partial(_traced, family)
    _same(family, "context", look("context", task), (family.spec.context_size,), "context_size")
    _same(family, "goal_point", look("goal_point", task), (2,))
    obs = look("observe", state)
    _same(family, "observe", obs, (family.spec.obs_size,), "obs_size")
    named = sum(part.size for part in family.parts)
    if family.parts and named != family.spec.obs_size:
        raise GmpsError(
            f"{family.name}: parts name {named} numbers of an observation, and obs_size is "
            f"{family.spec.obs_size}."
        )
    if isinstance(family, PureFamily):
        _like(family, "step", look("step", state, act), state)
    if isinstance(family, MujocoFamily):
        _check_control(family, look("control", state, act))
    terms = look("reward", task, Transition(state, sensor, act, state, sensor))
    _named(family, "reward", terms, ())
    _same(family, "terminated", look("terminated", state), ())
    episode = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((_STEPS + 1, *x.shape), x.dtype), (state, sensor)
    )
    outcome = look("outcome", task, *episode)
    _named(family, "outcome", outcome, (), least=0)
    _named(family, "paths", look("paths", *episode), (_STEPS + 1, 2))
    if family.expert is not None:
        expert = _traced(family, "expert", task, obs, function=family.expert)
        _same(family, "expert", expert, (family.spec.act_size,), "act_size")


def reward_names(family: TaskFamily) -> tuple[str, ...]:
    """The names of the terms of a family's reward."""
    state, sensor, act = _inputs(family)
    transition = Transition(state, sensor, act, state, sensor)
    return tuple(_traced(family, "reward", _tasks(family), transition))


def _inputs(family: TaskFamily) -> tuple[State, Any, Any]:
    """What stands for a state, sensor data and an action."""
    nq, nv, mocap = _sizes(family)
    state = State(_floats(nq), _floats(nv), _floats(mocap))
    return state, _floats(_sensors(family)), _floats(family.spec.act_size)


def _tasks(family: TaskFamily) -> Task:
    """The shapes of one task, after a look at both lists."""
    for split in ("train", "heldout"):
        try:
            tasks = family.tasks(split)
        except Exception as error:
            raise _failed(family, "tasks", error) from error
        lengths = {x.shape[0] if x.ndim else 0 for x in jax.tree.leaves(tasks)}
        if len(lengths) != 1 or 0 in lengths:
            raise GmpsError(
                f"{family.name}: tasks({split!r}) has leading axes {sorted(lengths)}; stack one or "
                "more tasks along one common axis."
            )
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), tasks)


def _sizes(family: TaskFamily) -> tuple[int, int, int]:
    """Sizes of a state, after a comparison with the model."""
    try:
        sizes = family.state_sizes
    except Exception as error:
        raise _failed(family, "reset", error) from error
    if isinstance(family, MujocoFamily):
        model = _model_sizes(family)
        wanted = model["nq"], model["nv"], 3 * model["nmocap"]
        if sizes != wanted:
            raise GmpsError(
                f"{family.name}: reset returns {sizes} numbers of qpos, qvel and mocap_pos, but "
                f"the model has {wanted}; make them agree."
            )
    return sizes


def _sensors(family: TaskFamily) -> int:
    if isinstance(family, MujocoFamily):
        return _model_sizes(family)["nsensordata"]
    return 2 if isinstance(family, GymnasiumFamily) else 0


def _check_control(family: MujocoFamily, control: Any) -> None:
    model = _model_sizes(family)
    _like(family, "control", control, Control(_floats(model["nu"]), _floats(3 * model["nmocap"])))


def _floats(n: int) -> Any:
    """What stands for an array of n numbers."""
    return jax.ShapeDtypeStruct((n,), jnp.float32)


def _traced(
    family: TaskFamily, name: str, *args: Any, function: Callable[..., Any] | None = None
) -> Any:
    try:
        return jax.eval_shape(function or getattr(family, name), *args)
    except Exception as error:
        raise _failed(family, name, error) from error


def _failed(family: TaskFamily, name: str, error: Exception) -> GmpsError:
    return GmpsError(f"{family.name}: {name} failed: {cause(error, family)}")


def cause(error: Exception, family: TaskFamily) -> str:
    """What went wrong in a function of the family: the sentence of a GmpsError, else the kind of
    error and its first line."""
    if isinstance(error, GmpsError):
        return str(error).removeprefix(f"{family.name}: ")
    return f"{type(error).__name__}: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    return next((x.strip() for x in str(error).splitlines() if x.strip()), type(error).__name__)


def _same(
    family: TaskFamily, name: str, got: Any, shape: tuple[int, ...], field: str | None = None
) -> None:
    found = getattr(got, "shape", None)
    if found != shape:
        what = type(got).__name__ if found is None else f"shape {found}"
        why = f"spec.{field} asks for" if field else "it must be"
        raise GmpsError(f"{family.name}: {name} returns {what}, but {why} {shape}.")


def _like(family: TaskFamily, name: str, got: Any, wanted: Any) -> None:
    if type(got) is not type(wanted):
        raise GmpsError(
            f"{family.name}: {name} returns a {type(got).__name__}; it must be a "
            f"{type(wanted).__name__}."
        )
    for part, one, other in zip(wanted._fields, got, wanted, strict=True):
        _same(family, f"{name} ({part})", one, other.shape)


def _named(family: TaskFamily, name: str, got: Any, shape: tuple[int, ...], least: int = 1) -> None:
    if not isinstance(got, Mapping) or len(got) < least:
        many = "one or more " if least else ""
        raise GmpsError(
            f"{family.name}: {name} returns a {type(got).__name__}; it must be a dict of {many}"
            "named arrays."
        )
    for key, value in got.items():
        _same(family, f"{name}[{key!r}]", value, shape)
