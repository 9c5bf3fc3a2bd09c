"""Settings of the diagnosis: reading them imports no JAX."""

from dataclasses import dataclass

from gmps.settings import Settings, seed_setting, setting
from gmps.tasks.choices import Split


@dataclass(frozen=True)
class DiagnoseConfig(Settings):
    """Settings of `gmps diagnose`."""

    split: Split = "train"
    """Training tasks, or the held-out ones."""
    episodes: tuple[int, ...] = setting((5, 10, 20), at_least=1, not_empty="number of episodes")
    """Numbers of episodes that an update is made from."""
    repeats: int = setting(6, at_least=4)
    """Updates of each task, each from episodes of its own; even, at least 4."""
    measure_episodes: int = setting(2, at_least=1)
    """Episodes that measure the policy after each update, without action noise."""
    seed: int = seed_setting()
    """Seed of everything random."""

    def rules(self) -> None:
        """Half of the updates judge the other half."""
        if self.repeats % 2:
            self.refuse("repeats", "it must be even")
