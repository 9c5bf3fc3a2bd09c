"""Settings of `gmps expert train`: reading them imports no JAX."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from gmps.errors import GmpsError
from gmps.experts.sac_settings import SacConfig
from gmps.settings import Settings, seed_setting, setting

Kind = Literal["contextual", "per-task"]


@dataclass(frozen=True)
class ExpertConfig(Settings):
    """Settings of `gmps expert train`."""

    family: Annotated[str, tyro.conf.Suppress]
    """Task family."""
    kind: Kind = "contextual"
    """One learner that sees the task (contextual), or one for each training task (per-task)."""
    rounds: int = setting(400, at_least=1)
    """Rounds of collecting episodes and learning from them."""
    seed: int = seed_setting()
    """Seed of everything random."""
    tasks: int = setting(40, at_least=1)
    """Tasks of each collection, drawn evenly from the family's distribution; per-task: the
    training tasks, evenly chosen where there are more than these."""
    only: tuple[int, ...] = setting((), at_least=0)
    """Per-task: train only these of the tasks (from 0), so that others can be trained elsewhere."""
    episodes: int = setting(1, at_least=1)
    """Episodes of each task in a collection."""
    gradient_steps: int = setting(200, at_least=1)
    """Gradient steps after each collection."""
    relabel: int = setting(1, at_least=0)
    """Contextual: store each episode also with the rewards and the parameter of this many other
    tasks. Only where no task changes how the world moves."""
    demos: str | None = setting(None, before=None)
    """Contextual: demonstrations (an .npz file or a Minari dataset) that fill half of each batch at
    first, are imitated there, and fade; with the family's rewards where the file has none."""
    capacity: int = setting(3000, at_least=1)
    """Episodes in each learner's replay buffer; the newest replace the oldest."""
    evaluate_every: int = setting(20, at_least=1)
    """Rounds between measurements without action noise; the last round is always measured."""
    evaluation_episodes: int = setting(2, at_least=1)
    """Episodes of each task in a measurement."""
    checkpoint_every: int = setting(100, at_least=1)
    """Rounds between checkpoints, which hold the replay buffer too."""
    keep: int = setting(1, at_least=1)
    """Checkpoints kept beside the best one."""
    threads: int | None = setting(None, at_least=1)
    """Threads of the simulation; by default all that this process may use."""
    sac: SacConfig = field(default_factory=SacConfig)
    """Settings of the learner."""

    def rules(self) -> None:
        """Only per-task experts have tasks of their own, and they share no demonstrations."""
        if self.only and self.kind != "per-task":
            raise GmpsError("--only names tasks of per-task experts; add --kind per-task.")
        if self.demos is not None and self.kind == "per-task":
            raise GmpsError("One expert of all tasks learns from --demos; leave --kind out.")
