"""The methods by name. A method's module is imported when it is asked for, and JAX with it."""

import difflib
import importlib
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

from gmps.errors import GmpsError
from gmps.settings import Settings
from gmps.user_code import entry_points, is_code, load_code, name_in_code

if TYPE_CHECKING:
    from gmps.core.types import Task
    from gmps.experts.base import Controller
    from gmps.methods.base import Method
    from gmps.worlds.base import World

#: Entry points of packages that bring methods.
GROUP = "gmps.methods"


class Entry(NamedTuple):
    """Where a method is."""

    #: The class of the method and that of its settings, as `module:class` within `gmps.methods`.
    #: Both are named, so that settings are read without importing the method.
    method: str
    settings: str


METHODS = {
    "gmps": Entry("gmps:Gmps", "gmps_settings:GmpsConfig"),
    "gmps-latent": Entry("gmps_latent:GmpsLatent", "gmps_latent_settings:GmpsLatentConfig"),
    "in-context": Entry("in_context:InContext", "in_context_settings:InContextConfig"),
    "maml": Entry("maml:Maml", "maml_settings:MamlConfig"),
    "maesn": Entry("maesn:Maesn", "maesn_settings:MaesnConfig"),
    "multitask": Entry("multitask:Multitask", "multitask_settings:MultitaskConfig"),
    "multitask-bc": Entry("multitask_bc:MultitaskBc", "multitask_bc_settings:MultitaskBcConfig"),
    "pearl": Entry("pearl:Pearl", "pearl_settings:PearlConfig"),
    "rl2": Entry("rl2:Rl2", "rl2_settings:Rl2Config"),
}


def method_names() -> tuple[str, ...]:
    """The names of all methods, those of installed packages too."""
    return (*METHODS, *(name for name in entry_points(GROUP) if name not in METHODS))


def settings_class(name: str) -> type[Settings]:
    """The class of a method's settings; of our own the method itself is not imported.

    Raises:
        GmpsError: there is no such method, or the class is none.
    """
    if name in METHODS:
        return _ours(METHODS[name].settings)
    return method_class(name).Settings


def method_class(name: str) -> "type[Method]":
    """The class of a method.

    Raises:
        GmpsError: there is no such method, or what a user names is no class of a method.
    """
    if name in METHODS:
        return _ours(METHODS[name].method)
    offered = entry_points(GROUP)
    if not is_code(name) and name not in offered:
        close = difflib.get_close_matches(name, method_names(), 1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise GmpsError(f"There is no method {name!r}.{hint} Methods: {', '.join(method_names())}.")
    from gmps.methods.base import Method, Needs  # noqa: PLC0415 - JAX

    found = load_code(offered.get(name, name), "a method")
    if not (isinstance(found, type) and issubclass(found, Method)):
        raise GmpsError(f"{name} is no method: derive its class from gmps.methods.base.Method.")
    settings = getattr(found, "Settings", None)
    if not (isinstance(settings, type) and issubclass(settings, Settings)):
        raise GmpsError(
            f"{name} does not say what its settings are; set its class attribute `Settings` to a "
            "class derived from gmps.settings.Settings."
        )
    if getattr(found, "needs", None) not in get_args(Needs):
        raise GmpsError(
            f"{name} does not say what it needs of experts; set its class attribute `needs` to one "
            f"of {', '.join(get_args(Needs))}."
        )
    return found


def option_prefix(name: str) -> str:
    """What a method's settings are called on the command line: `--PREFIX.std`."""
    return name_in_code(name).replace("_", "-").lower()


def make_method(
    name: str,
    settings: Settings,
    world: "World",
    tasks: "Task",
    controller: "Controller | None" = None,
) -> "Method":
    """The method on the training `tasks` of a world.

    Args:
        name: one of `method_names`, or of a user's own, `FILE.py:NAME` or `package.module:NAME`.
        settings: an instance of its own configuration class.
        world: where it acts.
        tasks: the stacked training tasks.
        controller: the expert that labels states, if anybody does; methods that do not ask are
            not given it.

    Raises:
        GmpsError: there is no such method, or it cannot learn there.
    """
    method = method_class(name)
    asks = method.takes(settings) == "answers"
    return method(settings, world, tasks, controller if asks else None)


def _ours(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(f"gmps.methods.{module}"), name)
