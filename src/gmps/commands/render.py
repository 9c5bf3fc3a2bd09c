"""`gmps render RUN --task ...`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from gmps.commands.cli import console, leading, parse
from gmps.core.types import tree_index
from gmps.rendering.files import require_writable, write_frames
from gmps.runs.run import Run
from gmps.settings import Settings, seed_setting, setting
from gmps.sim.gl import choose_gl
from gmps.tasks.base import MujocoFamily
from gmps.tasks.lists import task_of
from gmps.training.config import TrainConfig
from gmps.training.experiment import load_experiment
from gmps.training.film import before_and_after, film
from gmps.training.train import restore


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
    run = Run.open(folder)
    label = "_".join(f"{x:g}" for x in command.task)
    out = require_writable(command.out or run.path / f"render-{label}.gif")
    config = run.load_config(TrainConfig)
    experiment = load_experiment(run, config, family=command.family)
    state, _ = restore(run, config, experiment, command.checkpoint)
    family = experiment.world.family
    if isinstance(family, MujocoFamily):
        choose_gl()  # what cannot be drawn is not worth simulating
    tasks = task_of(family, command.task, "--task", outside=command.outside, insist="--outside")
    console.print(f"{config.family}, {family.describe(tree_index(tasks, 0))}")
    shown = before_and_after(
        experiment,
        state,
        tasks,
        episodes=command.episodes,
        steps=command.steps,
        noise=command.noise,
        expert=command.expert,
        seed=command.seed,
    )
    for name, rollout in shown.items():
        console.print(f"  {name}: return {float(rollout.trajectories.returns[0, 0]):.1f}")
    frames, fps = film(
        family,
        tasks,
        shown,
        width=command.width,
        height=command.height,
        fps=command.fps,
        shadows=command.shadows,
    )
    write_frames(out, frames, fps)
    console.print(f"written: {Path(out)}")
    return 0
