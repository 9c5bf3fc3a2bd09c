"""The methods by name. A method's module is imported when it is asked for."""

import importlib
from typing import Any, Literal, NamedTuple

from gmps.core.types import Task
from gmps.errors import GmpsError
from gmps.experts.base import Controller
from gmps.methods.base import Method
from gmps.worlds.base import World

#: What training takes from experts: nothing, their recorded actions, or their answers as well.
Needs = Literal["nothing", "demonstrations", "answers"]


class Entry(NamedTuple):
    """Where a method is, and what it takes."""

    #: Module of `gmps.methods`.
    module: str
    #: The class in it.
    name: str
    #: The field of `TrainConfig` that holds its settings.
    settings: str
    needs: Needs
    #: Whether it can learn from pictures.
    sees: bool = False


METHODS = {
    "gmps": Entry("gmps", "Gmps", "gmps", "answers"),
    "gmps-latent": Entry("gmps_latent", "GmpsLatent", "gmps_latent", "answers", sees=True),
    "gmps-vision": Entry("gmps_vision", "GmpsVision", "gmps_vision", "answers", sees=True),
    "maml": Entry("maml", "Maml", "maml", "nothing"),
    "maesn": Entry("maesn", "Maesn", "maesn", "nothing"),
    "multitask": Entry("multitask", "Multitask", "multitask", "nothing"),
    "multitask-bc": Entry("multitask_bc", "MultitaskBc", "multitask_bc", "demonstrations"),
    "pearl": Entry("pearl", "Pearl", "pearl", "nothing"),
}


def entry(name: str) -> Entry:
    """The entry of a method.

    Raises:
        GmpsError: there is no such method.
    """
    if name not in METHODS:
        raise GmpsError(f"There is no method {name!r}. Methods: {', '.join(METHODS)}.")
    return METHODS[name]


def make_method(
    name: str, settings: Any, world: World, tasks: Task, controller: Controller | None
) -> Method:
    """The method on the training `tasks` of a world.

    Args:
        name: its name in `METHODS`.
        settings: an instance of its own configuration class.
        world: where it acts.
        tasks: the stacked training tasks.
        controller: the expert that labels states, if anybody does; methods that do not ask are
            not given it.

    Raises:
        GmpsError: there is no such method.
    """
    found = entry(name)
    make = getattr(importlib.import_module(f"gmps.methods.{found.module}"), found.name)
    if found.needs == "answers":
        return make(settings, world, tasks, controller)
    return make(settings, world, tasks)
