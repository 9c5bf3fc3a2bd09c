"""`gmps adapt RUN --task ...`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from gmps.commands.cli import late, leading, parse
from gmps.settings import Settings, seed_setting, setting


@dataclass(frozen=True)
class Adapt(Settings):
    """Adapt a trained policy to one task from its own episodes, and write the adapted policy.

    The episodes are simulated in --task, or were recorded elsewhere: then name their file or
    folder, and the task is not known. RUN may be a folder that `gmps export` wrote.

    example:
      gmps adapt runs/push --task -0.08 0.72
      gmps adapt policy --episodes episodes/step-1
    """

    task: Annotated[tuple[float, ...], tyro.conf.arg(metavar="NUMBER")] = ()
    """The task parameter, as `gmps tasks` explains it. Only the simulator's reward uses it."""
    outside: bool = False
    """Take a task far outside of the family's own ones, too."""
    out: str | None = None
    """File for the adapted policy, by default RUN/adapted-TASK.safetensors. Never overwritten."""
    episodes: int | str = setting(20, at_least=1)
    """Episodes to simulate for each step; or a file or folder of recorded ones, for one step."""
    steps: int = setting(1, at_least=1)
    """Adaptation steps."""
    seed: int = seed_setting()
    """Seed of the episodes."""
    checkpoint: Literal["best", "latest"] = "best"
    """Which checkpoint to adapt."""
    family: str | None = None
    """Another definition of the run's family, as FILE.py:NAME, in place of the run's own."""
    environments: int | None = setting(None, at_least=1)
    """Of Gymnasium environments, at most how many at once; by default as in training."""


def run(argv: Sequence[str]) -> int:
    """Adapt and save."""
    folder, options = leading(argv, "adapt", "RUN", "RUN is a folder that `gmps train` wrote.")
    command = parse(Adapt, options, "adapt RUN")
    late("gmps.commands.adapting").adapt(folder, command)
    return 0
