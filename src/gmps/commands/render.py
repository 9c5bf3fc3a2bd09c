"""`gmps render RUN --task ...`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from gmps.commands.cli import late, leading, parse
from gmps.settings import Settings, seed_setting, setting


@dataclass(frozen=True)
class Render(Settings):
    """Show a trained policy in one task before and after the update, side by side.

    example:
      gmps render runs/push --task -0.08 0.72
    """

    task: Annotated[tuple[float, ...], tyro.conf.arg(metavar="NUMBER")]
    """The task parameter, as `gmps tasks` explains it. Only the simulator's reward uses it."""
    outside: bool = False
    """Take a task far outside of the family's own ones, too."""
    out: str | None = None
    """File to write: .gif, .mp4 (takes imageio-ffmpeg), or .png for the last frame. By default
    RUN/render-TASK.gif. Never overwritten."""
    noise: bool = False
    """Show actions as they are drawn; without it the policy's mean acts, before and after."""
    expert: bool = True
    """Show the family's scripted expert as well, if it has one."""
    episodes: int = setting(20, at_least=1)
    """Episodes for each adaptation step."""
    steps: int = setting(1, at_least=1)
    """Adaptation steps."""
    width: int = setting(320, at_least=1)
    """Of each picture, in pixels."""
    height: int = setting(240, at_least=1)
    """Of each picture, in pixels."""
    fps: float = setting(20.0, above=0)
    """Frames per second of simulated time."""
    shadows: bool = False
    """Draw shadows and reflections, which is slow."""
    seed: int = seed_setting()
    """Seed of the episodes."""
    checkpoint: Literal["best", "latest"] = "best"
    """Which checkpoint to adapt."""
    family: str | None = None
    """Another definition of the run's family, as FILE.py:NAME, in place of the run's own."""


def run(argv: Sequence[str]) -> int:
    """Adapt, act, draw and write."""
    folder, options = leading(argv, "render", "RUN", "RUN is a folder that `gmps train` wrote.")
    command = parse(Render, options, "render RUN")
    late("gmps.commands.drawing").render(folder, command)
    return 0
