"""How many CPU cores this process may use."""

import math
import os
from pathlib import Path

#: Where Linux mounts the control groups by which containers are given a share of the machine.
_CGROUPS = Path("/sys/fs/cgroup")


def usable_cores() -> int:
    """CPU cores that this process may use, at least 1.

    No more than its affinity allows, where the system has one, and no more than a container's
    share of the machine.
    """
    return max(1, math.ceil(min(_allowed(), _share(_CGROUPS))))


def _allowed() -> int:
    if hasattr(os, "process_cpu_count"):  # from Python 3.13 on
        return os.process_cpu_count() or 1  # pyright: ignore[reportAttributeAccessIssue]
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _share(root: Path) -> float:
    """The container's limit in cores, of control groups of version 2 or 1; infinity if none."""
    try:
        if (root / "cpu.max").is_file():
            quota, period = (root / "cpu.max").read_text().split()
        else:
            quota, period = (
                (root / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")
            )
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    except (OSError, ValueError):  # no such file, or the word "max"
        return math.inf
