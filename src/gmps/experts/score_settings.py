"""What is expected of an expert: reading it imports no JAX."""

from dataclasses import dataclass

from gmps.settings import Settings, setting


@dataclass(frozen=True)
class ExpertThreshold(Settings):
    """What is expected of an expert in every training task."""

    mean_return: float | None = None
    """Least mean return of an expert in a task; by default nothing is expected of it."""
    success: float = setting(0.5, at_least=0, at_most=1)
    """Least share of successful episodes in a task."""
    episodes: int = setting(4, at_least=1)
    """Episodes of each task that measure it, without action noise."""
    exclude: bool = False
    """Train without the tasks in which the expert misses one of these, instead of warning."""
