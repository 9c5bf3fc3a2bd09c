"""The methods by name. A method's module is imported when it is asked for."""

import difflib
import importlib
from typing import Any, Literal, NamedTuple, get_args

from gmps.core.types import Task
from gmps.errors import GmpsError
from gmps.experts.base import Controller
from gmps.methods.base import Method
from gmps.settings import Settings
from gmps.user_code import entry_points, is_code, load_code, name_in_code
from gmps.worlds.base import World

#: Entry points of packages that bring methods.
GROUP = "gmps.methods"
#: What training takes from experts: nothing, their recorded actions, or their answers as well.
Needs = Literal["nothing", "demonstrations", "answers"]


class Entry(NamedTuple):
    """Where a method is, and what it takes."""

    #: The class of the method and that of its settings, as `module:class` within `gmps.methods`.
    method: str
    settings: str
    needs: Needs
    #: Whether it can learn from pictures.
    sees: bool = False


METHODS = {
    "gmps": Entry("gmps:Gmps", "gmps_settings:GmpsConfig", "answers"),
    "gmps-latent": Entry(
        "gmps_latent:GmpsLatent", "gmps_latent_settings:GmpsLatentConfig", "answers", sees=True
    ),
    "gmps-vision": Entry(
        "gmps_vision:GmpsVision", "gmps_vision_settings:GmpsVisionConfig", "answers", sees=True
    ),
    "maml": Entry("maml:Maml", "maml_settings:MamlConfig", "nothing"),
    "maesn": Entry("maesn:Maesn", "maesn_settings:MaesnConfig", "nothing"),
    "multitask": Entry("multitask:Multitask", "multitask_settings:MultitaskConfig", "nothing"),
    "multitask-bc": Entry(
        "multitask_bc:MultitaskBc", "multitask_bc_settings:MultitaskBcConfig", "demonstrations"
    ),
    "pearl": Entry("pearl:Pearl", "pearl_settings:PearlConfig", "nothing"),
}


def method_names() -> tuple[str, ...]:
    """The names of all methods, those of installed packages too."""
    return (*METHODS, *(name for name in entry_points(GROUP) if name not in METHODS))


def entry(name: str) -> Entry:
    """The entry of a method; of a user's own, `FILE.py:NAME` or `package.module:NAME`, what its
    class says.

    Raises:
        GmpsError: there is no such method, or the class is none.
    """
    if name in METHODS:
        return METHODS[name]
    method = method_class(name)
    return Entry(name, "", method.needs, method.pictures)


def settings_class(name: str) -> type[Settings]:
    """The class of a method's settings; of our own the method itself is not imported.

    Raises:
        GmpsError: there is no such method, or the class is none.
    """
    if name in METHODS:
        return _ours(METHODS[name].settings)
    return method_class(name).Settings


def method_class(name: str) -> Any:
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
    found = load_code(offered.get(name, name), "a method")
    settings = getattr(found, "Settings", None)
    if not (isinstance(settings, type) and issubclass(settings, Settings)):
        raise GmpsError(
            f"{name} is no method: it has no class attribute Settings, derived from "
            "gmps.settings.Settings."
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
    name: str, settings: Settings, world: World, tasks: Task, controller: Controller | None
) -> Method:
    """The method on the training `tasks` of a world.

    Args:
        name: see `entry`.
        settings: an instance of its own configuration class.
        world: where it acts.
        tasks: the stacked training tasks.
        controller: the expert that labels states, if anybody does.

    Raises:
        GmpsError: there is no such method.
    """
    make = method_class(name)
    if name in METHODS and METHODS[name].needs != "answers":
        return make(settings, world, tasks)
    return make(settings, world, tasks, controller)


def _ours(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(importlib.import_module(f"gmps.methods.{module}"), name)
