"""`gmps render RUN --task ...`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import tyro

from gmps.commands.cli import console, leading, parse
from gmps.core.types import Rollout, stack
from gmps.experts.base import ExpertActor
from gmps.methods.adaptation import adaptation
from gmps.rendering.episodes import Frames, render_episode, steps_per_frame
from gmps.rendering.files import require_writable, side_by_side, write_frames
from gmps.runs.run import Run
from gmps.settings import Settings, seed_setting, setting
from gmps.sim.gl import choose_gl
from gmps.tasks.base import MujocoFamily, TaskFamily
from gmps.tasks.lists import task_of
from gmps.training.config import TrainConfig
from gmps.training.experiment import load_experiment
from gmps.training.train import restore


@dataclass(frozen=True)
class Render(Settings):
    """Show a trained policy in one task before and after the update, side by side.

    example:
      gmps render runs/push --task -0.08 0.72
    """

    task: Annotated[tuple[float, ...], tyro.conf.arg(metavar="NUMBER")]
    """The task parameter, as `gmps tasks` explains it. Only the simulator's reward uses it."""
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
    shown = _episodes(run, command)
    family: TaskFamily = shown.pop("family")
    task = jnp.asarray(command.task, jnp.float32)
    every = steps_per_frame(family, command.fps)
    columns: dict[str, Frames] = {}
    for name, rollout in shown.items():
        total = float(rollout.trajectories.returns[0, 0])
        console.print(f"  {name}: return {total:.1f}")
        columns[f"{name}: {total:.1f}"] = render_episode(
            family,
            task,
            jax.tree.map(lambda x: x[0, 0], rollout.states),
            width=command.width,
            height=command.height,
            every=every,
            shadows=command.shadows,
        )
    write_frames(out, side_by_side(columns), 1 / (every * family.spec.control_dt))
    console.print(f"written: {Path(out)}")
    return 0


def _episodes(run: Run, command: Render) -> dict[str, Any]:
    """The family, and one episode of each column by its caption."""
    config = run.load_config(TrainConfig)
    experiment = load_experiment(run, config, family=command.family)
    state, _ = restore(run, config, experiment, command.checkpoint)
    world = experiment.world
    family = world.family
    if isinstance(family, MujocoFamily):
        choose_gl()  # what cannot be drawn is not worth simulating
    tasks = task_of(family, command.task, "--task")
    console.print(f"{config.family}, {family.describe(tasks[0])}")
    *keys, last = jax.random.split(jax.random.key(command.seed), command.steps + 1)
    before = stack(experiment.method.policy(state), 1)
    steps = adaptation(
        world, experiment.method, state, before, tasks, episodes=command.episodes, keys=keys
    )
    *_, (_, after) = steps
    judge = experiment.method.actor(stochastic=command.noise)

    def show(policies: Any) -> Rollout:
        return world.rollout(judge, policies, tasks, 1, last)

    shown: dict[str, Any] = {"family": family, "before": show(before)}
    shown[f"after {command.steps} step{'s' * (command.steps > 1)}"] = show(after)
    if command.expert and family.expert is not None:
        expert = ExpertActor(family.expert, family.spec.act_size)
        shown["expert"] = world.rollout(expert, jnp.zeros(1, jnp.float32), tasks, 1, last)
    return shown
