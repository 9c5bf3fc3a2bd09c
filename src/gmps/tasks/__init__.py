"""Task families and their registry."""

import difflib
import importlib
from typing import Any

from gmps.tasks.base import TaskFamily

#: Where each family lives, and the options that make a variant of it. Imported on demand, so that
#: a family's optional packages stay optional.
_FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "ant-gear": ("gmps.tasks.ant_gear:AntGear", {}),
    "ant-goal": ("gmps.tasks.ant_goal:AntGoal", {}),
    "ant-goal-sparse": ("gmps.tasks.ant_goal:AntGoal", {"sparse": True}),
    "point-goal": ("gmps.tasks.point_goal:PointGoal", {}),
    "push-dynamics": ("gmps.tasks.push_dynamics:PushDynamics", {}),
    "sawyer-door": ("gmps.tasks.sawyer_door:SawyerDoor", {}),
    "sawyer-door-appendix": ("gmps.tasks.sawyer_door:SawyerDoor", {"always_paid": True}),
    "sawyer-push": ("gmps.tasks.sawyer_push:SawyerPush", {}),
    "sawyer-push-appendix": ("gmps.tasks.sawyer_push:SawyerPush", {"variant": "appendix"}),
    "sawyer-push-sparse": ("gmps.tasks.sawyer_push:SawyerPush", {"variant": "sparse"}),
}


def family_names() -> tuple[str, ...]:
    """The names that `make_family` knows, sorted."""
    return tuple(sorted(_FAMILIES))


def make_family(name: str) -> TaskFamily:
    """The family of that name with its default options.

    Raises:
        ValueError: no such family; lists what exists and the nearest name.
    """
    if name not in _FAMILIES:
        close = difflib.get_close_matches(name, _FAMILIES, 1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"There is no task family {name!r}.{hint} Families: {', '.join(family_names())}."
        )
    where, options = _FAMILIES[name]
    module, _, attribute = where.partition(":")
    return getattr(importlib.import_module(module), attribute)(**options)
