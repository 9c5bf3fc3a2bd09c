"""Task families and their registry. A family is imported when it is made, and JAX with it."""

import difflib
import importlib
import re
import sys
from typing import TYPE_CHECKING, Any

from gmps.errors import GmpsError
from gmps.user_code import entry_points, file_of, is_code, load_code

if TYPE_CHECKING:
    from gmps.tasks.base import TaskFamily

#: Entry points of packages that bring families.
GROUP = "gmps.families"

#: Where each family lives, and the options that make a variant of it. Imported on demand, so that
#: a family's optional packages stay optional.
_FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "ant-dir": ("gmps.tasks.ant_dir:AntDir", {}),
    "ant-forward-backward": ("gmps.tasks.ant_dir:AntDir", {"two_ways": True}),
    "ant-gear": ("gmps.tasks.ant_gear:AntGear", {}),
    "ant-goal": ("gmps.tasks.ant_goal:AntGoal", {}),
    "ant-goal-sparse": ("gmps.tasks.ant_goal:AntGoal", {"sparse": True}),
    "half-cheetah-dir": ("gmps.tasks.half_cheetah_dir:HalfCheetahDir", {}),
    "half-cheetah-vel": ("gmps.tasks.half_cheetah_vel:HalfCheetahVel", {}),
    "hopper-params": ("gmps.tasks.hopper_params:HopperParams", {}),
    "point-goal": ("gmps.tasks.point_goal:PointGoal", {}),
    "push-dynamics": ("gmps.tasks.push_dynamics:PushDynamics", {}),
    "sawyer-door": ("gmps.tasks.sawyer_door:SawyerDoor", {}),
    "sawyer-door-appendix": ("gmps.tasks.sawyer_door:SawyerDoor", {"always_paid": True}),
    "sawyer-door-vision": ("gmps.tasks.sawyer_door_vision:SawyerDoorVision", {}),
    "sawyer-push": ("gmps.tasks.sawyer_push:SawyerPush", {}),
    "sawyer-push-appendix": ("gmps.tasks.sawyer_push:SawyerPush", {"variant": "appendix"}),
    "sawyer-push-sparse": ("gmps.tasks.sawyer_push:SawyerPush", {"variant": "sparse"}),
    "sawyer-push-vision": ("gmps.tasks.sawyer_push_vision:SawyerPushVision", {}),
    "sparse-point": ("gmps.tasks.sparse_point:SparsePoint", {}),
    "sparse-point-wide": ("gmps.tasks.sparse_point:SparsePoint", {"radius": 0.3}),
    "walker-params": ("gmps.tasks.walker_params:WalkerParams", {}),
}
#: Benchmark, kind of task or fold, where there is one, and horizon.
METAWORLD_NAME = re.compile(
    r"(?P<benchmark>ml1-(?P<env>[^@]+)|(?P<many>ml10|ml25|ml45)(-fold(?P<fold>[1-5]))?)"
    r"(@(?P<horizon>\d+))?"
)
#: Where families live that are too many to list, by what their whole names match: functions that
#: are called with the name.
_PATTERNS = {METAWORLD_NAME: "gmps.metaworld.family:metaworld_family"}


def family_names() -> tuple[str, ...]:
    """The names that `make_family` knows, sorted, those of installed packages too; without those
    that follow a pattern."""
    return tuple(sorted({*_FAMILIES, *entry_points(GROUP)}))


def require_family(name: str) -> None:
    """Whether there may be a family of that name: a user's own is not looked for, none is imported.

    Raises:
        GmpsError: no such family; lists what exists and the nearest name.
    """
    if is_code(name) or name in family_names() or _maker(name) is not None:
        return
    close = difflib.get_close_matches(name, family_names(), 1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise GmpsError(
        f"There is no task family {name!r}.{hint} Families: {', '.join(family_names())}."
    )


def make_family(name: "str | TaskFamily | type[TaskFamily]") -> "TaskFamily":
    """The family of that name with its default options, or a user's own.

    `ml1-reach-v3` and the like are Meta-World's: see `gmps.metaworld.family`. `FILE.py:NAME`,
    `package.module:NAME` and what packages offer as entry points are a user's: a `TaskFamily`, or a
    class or function that gives one when it is called without arguments. A family itself is given
    back, and one of a class.

    Raises:
        GmpsError: no such family; lists what exists and the nearest name.
    """
    if not isinstance(name, str):
        return name() if isinstance(name, type) else name
    require_family(name)
    if is_code(name):
        return _own_family(name)
    if name in _FAMILIES:
        where, options = _FAMILIES[name]
        return _attribute(where)(**options)
    maker = _maker(name)
    return _attribute(maker)(name) if maker else _own_family(entry_points(GROUP)[name])


def family_spec(family: "str | TaskFamily | type[TaskFamily]") -> str:
    """What `make_family` takes for a family, as settings have it.

    Args:
        family: such a name, which stays as it is; or a family or its class, which is looked for
            where the class was defined. In a notebook that is `__main__`: only there such a run
            finds its family again, or with `--family`.

    Raises:
        GmpsError: no name in that module is bound to it.
    """
    if isinstance(family, str):
        return family
    made = make_family(family)
    if made.name in _FAMILIES and make_family(made.name) == made:
        return made.name
    module = sys.modules[type(made).__module__]
    for name, found in vars(module).items():
        if name.startswith("_"):  # such as a notebook's last result
            continue
        if found is made or (found is type(made) and _is_default(found, made)):
            return f"{file_of(module) or module.__name__}:{name}"
    raise GmpsError(
        f"The family {made.name} is bound to no name in {module.__name__}, where its class is "
        "defined; bind it to one there, such as `arm = Arm(...)`, or give FILE.py:NAME."
    )


def _is_default(kind: "type[TaskFamily]", made: "TaskFamily") -> bool:
    """Whether this is what the class gives without arguments."""
    try:
        return kind() == made
    except (TypeError, ValueError):  # it takes arguments, or is compared by arrays
        return False


def _attribute(where: str) -> Any:
    """What stands at "module:attribute"."""
    module, _, attribute = where.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _maker(name: str) -> str | None:
    """Where the function is that makes the families of this pattern."""
    return next((where for pattern, where in _PATTERNS.items() if pattern.fullmatch(name)), None)


def _own_family(spec: str) -> "TaskFamily":
    from gmps.tasks.base import TaskFamily  # noqa: PLC0415 - JAX

    found = load_code(spec, "a family of your own")
    family = found() if callable(found) else found
    if not isinstance(family, TaskFamily):
        raise GmpsError(
            f"{spec} is not a task family; give a TaskFamily, or a class or function that gives "
            "one without arguments."
        )
    return family
