"""`gmps adapt RUN --task ...`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import jax
import tyro

from gmps.commands.cli import console, leading, parse
from gmps.commands.recorded import adapt_meta_policy, adapt_run, is_meta_policy
from gmps.core.types import stack, tree_index
from gmps.errors import GmpsError
from gmps.methods.adaptation import adaptation
from gmps.runs.new_file import require_new_file
from gmps.runs.policy_file import save_policy
from gmps.runs.run import Run
from gmps.settings import Settings, seed_setting, setting
from gmps.tasks.lists import task_of
from gmps.training.config import TrainConfig, with_environments
from gmps.training.experiment import load_experiment
from gmps.training.export import spaces
from gmps.training.train import restore
from gmps.version import __version__


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
    if isinstance(command.episodes, str):
        if command.task or command.steps != 1:
            raise GmpsError(
                f"--episodes {command.episodes} were recorded in a task of their own, for one "
                "step; leave out --task and --steps."
            )
        if is_meta_policy(folder):
            adapt_meta_policy(folder, command.episodes, command.out)
        else:
            adapt_run(folder, command.episodes, command.out, command.checkpoint, command.family)
        return 0
    if is_meta_policy(folder):
        raise GmpsError(
            f"{folder} is an exported policy, which has no simulator; name recorded episodes: "
            "--episodes FOLDER."
        )
    run = Run.open(folder)
    config = with_environments(run.load_config(TrainConfig), command.environments)
    label = "_".join(f"{x:g}" for x in command.task)
    out = require_new_file(command.out or run.path / f"adapted-{label}.safetensors")
    experiment = load_experiment(run, config, family=command.family)
    state, metadata = restore(run, config, experiment, command.checkpoint)
    world, method = experiment.world, experiment.method
    tasks = task_of(
        world.family, command.task, "--task", outside=command.outside, insist="--outside"
    )
    start = method.policy(state)
    start.export()  # what cannot be written is not worth simulating
    policies = stack(start, 1)
    *keys, last_key = jax.random.split(jax.random.key(command.seed), command.steps + 1)
    console.print(f"{config.family}, {world.family.describe(tree_index(tasks, 0))}")
    found = adaptation(world, method, state, policies, tasks, episodes=command.episodes, keys=keys)
    for j, step in enumerate(found):
        console.print(f"  return after {j} steps: {float(step.data.returns.mean()):8.1f}")
        policies = step.policies
    last = world.rollout(method.actor(), policies, tasks, command.episodes, last_key)
    mean = float(last.trajectories.returns.mean())
    console.print(f"  return after {command.steps} steps: {mean:8.1f}")
    out.parent.mkdir(parents=True, exist_ok=True)
    adapted = tree_index(policies, 0).export()
    save_policy(
        out,
        adapted,
        {
            "family": config.family,
            "spaces": spaces(world.family, adapted),
            "task": list(command.task),
            "steps": command.steps,
            "episodes": command.episodes,
            "seed": command.seed,
            "run_round": metadata["round"],
            "gmps": __version__,
        },
    )
    console.print(f"written: {out}")
    return 0
