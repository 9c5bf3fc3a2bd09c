"""What episodes cost in memory: estimated before it is paid."""

from gmps.errors import GmpsError
from gmps.memory import usable_memory
from gmps.tasks.base import TaskFamily

#: Arrays of float32 are held about so many times: as recorded, as episodes, and in between.
_COPIES = 4
#: Numbers of a step beside observation and action.
_OTHERS = 4


def episode_bytes(family: TaskFamily) -> int:
    """About how much memory one episode takes while it is made."""
    spec = family.spec
    step = 4 * _COPIES * (spec.obs_size + 2 * spec.act_size + _OTHERS)
    if family.has_camera:
        view = family.view  # pyright: ignore[reportAttributeAccessIssue]
        step += 2 * 3 * view.height * view.width
    return step * (spec.horizon + 1)


def require_room(size: float, what: str, instead: str) -> None:
    """Raise GmpsError where this machine has not `size` bytes of memory.

    Args:
        size: bytes.
        what: what takes them, as the start of a sentence.
        instead: what to do about it, as its end.
    """
    most = usable_memory()
    if size > most:
        raise GmpsError(
            f"{what} would take about {size / 1e9:,.3g} GB of memory, and there are "
            f"{most / 1e9:,.3g} GB; {instead}."
        )


def require_room_for(family: TaskFamily, tasks: int, episodes: int) -> None:
    """Raise GmpsError where so many episodes in each of the tasks do not fit into memory."""
    require_room(
        float(tasks) * episodes * episode_bytes(family),
        f"{episodes:,} episodes in each of {tasks:,} tasks of {family.name}",
        "take fewer at once",
    )
