"""What `gmps tasks` does."""

from collections.abc import Sequence

import jax
import numpy as np

from gmps.commands.cli import console
from gmps.core.types import task_count
from gmps.metaworld.family import METAWORLD
from gmps.sim.mjx import missing
from gmps.tasks import family_names, make_family
from gmps.tasks.base import MujocoFamily, PureFamily, TaskFamily
from gmps.tasks.check import reward_names
from gmps.tasks.lists import VALIDATION, draws_tasks
from gmps.tasks.pixels import PixelFamily
from gmps.worlds.mjx_world import refusal


def list_families(names: Sequence[str]) -> None:
    """Print a few lines about each family."""
    for name in names or family_names():
        for line in describe(make_family(name)):
            console.print(line, soft_wrap=True)
    if not names:
        console.print(f"With the package metaworld also (`gmps tasks ml1-reach-v3`):\n{METAWORLD}.")


def describe(family: TaskFamily) -> list[str]:
    """What a user needs to know to choose a family, in lines of at most 80 characters or so."""
    spec = family.spec
    counts = {split: task_count(family.tasks(split)) for split in ("train", "heldout")}
    third = f", {VALIDATION} validation" if draws_tasks(family) else ""
    first = jax.tree.map(lambda x: x[0], family.tasks("heldout"))
    numbers = [f"{x:.3g}" for leaf in jax.tree.leaves(first) for x in np.ravel(leaf)]
    shown = numbers if len(numbers) <= 8 else [*numbers[:4], f"... ({len(numbers)} numbers)"]
    return [
        f"{family.name}: {family.summary}",
        f"  spaces   {_shown(family)}, action {spec.act_size} in [-1, 1]",
        f"  horizon  {spec.horizon} steps of {spec.control_dt:g} s",
        f"  reward   {' + '.join(reward_names(family))}",
        f"  tasks    {counts['train']} training, {counts['heldout']} held out{third}, or random",
        f"           --task {' '.join(shown)}  means: {family.describe(first)}",
        f"  expert   {'scripted' if family.expert else 'none scripted: train one, or give demos'}",
        f"  runs on  {_backend(family)}",
    ]


def _shown(family: TaskFamily) -> str:
    """What the learner sees."""
    if isinstance(family, PixelFamily):
        view = family.view
        return f"frame {view.height} x {view.width} and hand {family.proprioception_size}"
    return f"observation {family.spec.obs_size}"


def _backend(family: TaskFamily) -> str:
    if isinstance(family, MujocoFamily):
        tasks = "each task its own model" if family.edits_model else "one model for all tasks"
        return f"native: MuJoCo on CPU threads, {tasks}; {_mjx(family)}"
    if isinstance(family, PureFamily):
        return "native: JAX, a whole rollout as one compiled scan"
    return "native: Gymnasium's vector environments"


def _mjx(family: MujocoFamily) -> str:
    """Whether --sim mjx can simulate the family."""
    if missing():
        return "mjx: not installed"
    return "not mjx" if refusal(family) else "mjx: in JAX"
