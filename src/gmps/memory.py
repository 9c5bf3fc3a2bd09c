"""How much main memory there is to work with."""

import os
from pathlib import Path

#: Where Linux mounts the control groups by which containers are given a share of the machine.
_CGROUPS = Path("/sys/fs/cgroup")


def usable_memory() -> int:
    """Bytes: the machine's, or a container's limit; where nobody says, 8 GiB."""
    return min(_machine(), _limit(_CGROUPS))


def _machine() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows; a system that lacks the names
        return 8 << 30


def _limit(root: Path) -> int:
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            return int((root / name).read_text())
        except (OSError, ValueError):  # no such file, or the word "max"
            continue
    return 1 << 62
