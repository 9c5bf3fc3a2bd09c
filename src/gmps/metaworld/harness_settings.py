"""Settings of Meta-World's own evaluation: reading them imports neither it nor JAX."""

from dataclasses import dataclass
from typing import Literal

from gmps.settings import Settings, seed_setting, setting


@dataclass(frozen=True)
class HarnessConfig(Settings):
    """How Meta-World's harness is called."""

    seed: int = seed_setting()
    """Seed of Meta-World's lists of goals. The family's own, 0, makes its held-out goals those of
    the harness."""
    evals: int | None = setting(None, at_least=1)
    """Times that every environment draws a goal and is adapted to, `num_evals`; by default 10, and
    in ML1 until each goal has been drawn once."""
    environments: int | None = setting(None, at_least=1)
    """Environments side by side, `meta_batch_size`; by default one of each kind. Of several of a
    kind the harness counts the episodes that end first, which are the successful ones."""
    goals: int = setting(40, at_least=1)
    """Goals of each kind of task, `total_tasks_per_cls`."""
    adaptation_episodes: int = setting(10, at_least=1)
    """Episodes before each adaptation."""
    adaptation_steps: int = setting(1, at_least=1)
    """Adaptations one after the other, each from episodes of its own."""
    evaluation_episodes: int = setting(3, at_least=1)
    """Episodes of each kind that count."""
    splits: tuple[Literal["train", "test"], ...] = setting(("test",), not_empty="of train and test")
    """Which of the benchmark's lists."""
    strategy: Literal["sync", "async"] = "sync"
    """Whether the environments share this process or have one each."""
