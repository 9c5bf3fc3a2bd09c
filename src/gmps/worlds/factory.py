"""The world of a family on this machine."""

from gmps.cores import usable_cores
from gmps.errors import GmpsError
from gmps.tasks.base import MujocoFamily, PureFamily, TaskFamily
from gmps.tasks.check import check_functions
from gmps.tasks.choices import Sim
from gmps.tasks.gymnasium_family import GymnasiumFamily
from gmps.tasks.pixels import PixelFamily
from gmps.worlds.base import World
from gmps.worlds.gymnasium_world import GymnasiumWorld
from gmps.worlds.mjx_world import MjxWorld
from gmps.worlds.native_world import NativeWorld
from gmps.worlds.pure_world import PureWorld
from gmps.worlds.vision_world import VisionWorld


def make_world(
    family: TaskFamily,
    threads: int | None = None,
    sim: Sim = "native",
    environments: int | None = None,
) -> World:
    """The world that runs a family on this machine.

    Args:
        family: a `PureFamily`, a `MujocoFamily` or a `GymnasiumFamily`.
        threads: CPU threads for physics; default all that this process may use. For Gymnasium
            environments, processes; default none, or as many where the family says that its
            steps are slow. Results do not depend on it. MJX has none.
        environments: of a `GymnasiumFamily`, at most how many of its environments there are at once
            in this process; by default 64, and never more than there are episodes.
        sim: `mjx` simulates a `MujocoFamily` in JAX, on its default device: see `gmps.sim.mjx`.

    Raises:
        TypeError: the family is of none of these kinds.
        GmpsError: `threads` or `environments` is below 1 or not for this family, or one of the
            family's functions does not return what it must, or `sim` cannot simulate the family.
    """
    if environments is not None and not isinstance(family, GymnasiumFamily):
        raise GmpsError(
            f"{family.name} is not made of Gymnasium environments; leave environments out."
        )
    if isinstance(family, PureFamily | MujocoFamily | GymnasiumFamily):
        check_functions(family)
    if sim == "mjx":
        return MjxWorld(family)
    if isinstance(family, PureFamily):
        return PureWorld(family)
    if isinstance(family, PixelFamily):
        return VisionWorld(family, threads)
    if isinstance(family, MujocoFamily):
        return NativeWorld(family, threads)
    if isinstance(family, GymnasiumFamily):
        batch = family.make_batch(usable_cores() if threads is None else threads)
        if batch is not None:
            return GymnasiumWorld(family, environments, batch=batch)
        default = usable_cores() if family.slow_steps and environments is None else 0
        processes = default if threads is None else threads
        return GymnasiumWorld(family, environments, processes)
    raise TypeError(
        f"{type(family).__name__} has no dynamics; derive it from PureFamily or MujocoFamily, or "
        "from GymnasiumFamily."
    )
