"""Guided Meta-Policy Search: meta-train from experts, adapt in one policy-gradient step.

run = gmps.load("runs/push")
policy = run.adapt(task=(-0.08, 0.72))
mean, log_std = policy(observation)
"""

import importlib
from typing import TYPE_CHECKING, Any

from gmps.version import __version__ as __version__

if TYPE_CHECKING:
    from gmps.api import Loaded, adapt, evaluate, load, train
    from gmps.core.actors import Actor
    from gmps.core.policy import Policy
    from gmps.errors import GmpsError
    from gmps.methods.base import Method
    from gmps.methods.registry import method_names
    from gmps.presets import preset
    from gmps.tasks import family_names, make_family
    from gmps.tasks.base import MujocoFamily, PureFamily, TaskFamily
    from gmps.tasks.gymnasium_family import GymnasiumFamily
    from gmps.training.config import TrainConfig

__all__ = [
    "Actor",
    "GmpsError",
    "GymnasiumFamily",
    "Loaded",
    "Method",
    "MujocoFamily",
    "Policy",
    "PureFamily",
    "TaskFamily",
    "TrainConfig",
    "adapt",
    "evaluate",
    "family_names",
    "load",
    "make_family",
    "method_names",
    "preset",
    "train",
]
#: Where each name is. JAX takes a second to import, so nothing is until it is used.
_MODULES = {
    "gmps.api": ("Loaded", "adapt", "evaluate", "load", "train"),
    "gmps.core.actors": ("Actor",),
    "gmps.core.policy": ("Policy",),
    "gmps.errors": ("GmpsError",),
    "gmps.methods.base": ("Method",),
    "gmps.methods.registry": ("method_names",),
    "gmps.presets": ("preset",),
    "gmps.tasks": ("family_names", "make_family"),
    "gmps.tasks.base": ("MujocoFamily", "PureFamily", "TaskFamily"),
    "gmps.tasks.gymnasium_family": ("GymnasiumFamily",),
    "gmps.training.config": ("TrainConfig",),
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'gmps' has no attribute {name!r}")
    try:
        module = importlib.import_module(_WHERE[name])
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] == "gmps":
            raise
        raise ImportError(
            f"gmps.{name} takes the package {error.name}; install gmps[train]."
        ) from error
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
