"""What `gmps render` does."""

from pathlib import Path

from gmps.commands.cli import console
from gmps.commands.render import Render
from gmps.core.types import tree_index
from gmps.rendering.files import require_writable, write_frames
from gmps.runs.run import Run
from gmps.sim.gl import choose_gl
from gmps.tasks.base import MujocoFamily
from gmps.tasks.lists import task_of
from gmps.training.config import TrainConfig
from gmps.training.experiment import load_experiment
from gmps.training.film import before_and_after, film
from gmps.training.train import restore


def render(folder: str, command: Render) -> None:
    """Adapt, act, draw and write."""
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
