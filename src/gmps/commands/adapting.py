"""What `gmps adapt` does."""

from dataclasses import fields

import jax

from gmps.commands.adapt import Adapt
from gmps.commands.cli import console
from gmps.commands.recorded import adapt_meta_policy, adapt_run, is_meta_policy
from gmps.core.types import stack, tree_index
from gmps.errors import GmpsError
from gmps.methods.adaptation import adaptation
from gmps.runs.new_file import require_new_file
from gmps.runs.policy_file import save_policy
from gmps.runs.run import Run
from gmps.tasks.lists import task_of
from gmps.training.config import TrainConfig, with_environments
from gmps.training.experiment import load_experiment
from gmps.training.export import spaces
from gmps.training.train import restore
from gmps.version import __version__


def adapt(folder: str, command: Adapt) -> None:
    """Adapt and save."""
    if isinstance(command.episodes, str):
        simulated = ("task", "steps", "seed", "outside", "environments")
        of_run = ("checkpoint", "family")
        given = {f.name for f in fields(Adapt) if getattr(command, f.name) != f.default}
        if wrong := [f"--{name}" for name in simulated if name in given]:
            raise GmpsError(
                f"--episodes {command.episodes} were recorded in a task of their own, for one "
                f"step; leave out {' and '.join(wrong)}."
            )
        if is_meta_policy(folder):
            if wrong := [f"--{name}" for name in of_run if name in given]:
                raise GmpsError(
                    f"{folder} is an exported policy, of one checkpoint and family; leave out "
                    f"{' and '.join(wrong)}."
                )
            adapt_meta_policy(folder, command.episodes, command.out)
        else:
            adapt_run(folder, command.episodes, command.out, command.checkpoint, command.family)
        return
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
            "spaces": spaces(world, adapted),
            "task": list(command.task),
            "steps": command.steps,
            "episodes": command.episodes,
            "seed": command.seed,
            "run_round": metadata["round"],
            "gmps": __version__,
        },
    )
    console.print(f"written: {out}")
