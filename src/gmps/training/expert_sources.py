"""From what a user names to an expert: a scripted controller, run folders, or a function."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmps.core.types import Task, concatenated, tree_index
from gmps.errors import GmpsError
from gmps.experts.base import Controller, Expert
from gmps.experts.sac import SacActor, SacActorNet, actor_net, init_sac
from gmps.experts.user import from_function, load_function
from gmps.runs.checkpoint import load, verify
from gmps.runs.run import CONFIG, Run
from gmps.tasks.base import TaskFamily
from gmps.training.sac_settings import ExpertConfig
from gmps.training.sac_training import EXPERT_FILE, per_task
from gmps.user_code import is_code

#: Folders of per-task experts that were trained apart lie in their common run under this name.
PART = "task-{:03d}"


def find_expert(sources: Sequence[str], family: TaskFamily) -> Expert:
    """The expert that the sources name.

    Args:
        sources: `scripted`; or `FILE.py:FUNCTION`; or one or more folders of `gmps expert train`.
            Several folders are per-task experts that were trained apart.
        family: the family that it is for.

    Raises:
        GmpsError: nothing is there, or it is for another family.
    """
    if list(sources) == ["scripted"]:
        if family.expert is None:
            raise GmpsError(
                f"{family.name} has no scripted expert; train one with `gmps expert train "
                f"{family.name}` or give --expert FILE.py:FUNCTION."
            )
        return Expert(family.expert, "the family's scripted controller")
    if len(sources) == 1 and is_code(sources[0]) and not Path(sources[0]).exists():
        return from_function(load_function(sources[0]), family, sources[0])
    folders = [folder for source in sources for folder in _parts(Path(source))]
    parts = [_read(folder, family) for folder in folders]
    kinds = {config.kind for config, _ in parts}
    learned, measured = (sum(x) for x in zip(*map(_spent, folders), strict=True))
    if kinds == {"contextual"} and len(parts) == 1:
        net = tree_index(parts[0][1], 0)
        words = f"contextual SAC from {folders[0]}"
        return Expert(_contextual(family, net), words, None, learned, measured)
    if kinds != {"per-task"}:
        raise GmpsError(
            f"{' '.join(sources)} name {len(parts)} experts of the kinds {sorted(kinds)}; give one "
            "contextual expert, or per-task experts alone."
        )
    nets = concatenated(*[net for _, net in parts])
    tasks = [per_task(family, config)[1] for config, _ in parts]
    contexts = np.concatenate([np.asarray(jax.vmap(family.context)(t)) for t in tasks])
    words = f"{len(contexts)} per-task SAC experts from {' '.join(sources)}"
    return Expert(_nearest(family, nets, jnp.asarray(contexts)), words, contexts, learned, measured)


def _parts(folder: Path) -> list[Path]:
    """The folder itself, or the folders of the experts that were trained apart in it.

    Raises:
        GmpsError: some of those have no expert yet.
    """
    parts = sorted(folder.glob("task-*"))
    unfinished = [part.name for part in parts if not (part / EXPERT_FILE).is_file()]
    if unfinished:
        raise GmpsError(
            f"In {folder} there is no expert yet in {', '.join(unfinished)}; go on with the "
            "command that trains them."
        )
    return parts or [folder]


def _read(folder: Path, family: TaskFamily) -> tuple[ExpertConfig, SacActorNet]:
    file = folder / EXPERT_FILE
    if not file.is_file() or not (folder / CONFIG).is_file():
        raise GmpsError(
            f"{folder} holds no trained expert; name a folder that `gmps expert train` wrote, "
            "`scripted`, or FILE.py:FUNCTION."
        )
    metadata = verify(file)
    if metadata.get("family") not in family.expert_families:
        raise GmpsError(
            f"The expert in {folder} is for {metadata.get('family')}, not for {family.name}."
        )
    config = Run.open(folder).load_config(ExpertConfig)
    spec, n = family.spec, len(metadata["tasks"])

    def like() -> Any:
        sizes = (spec.obs_size, spec.context_size, spec.act_size)
        return actor_net(init_sac(jax.random.key(0), config.sac, *sizes))

    shape = jax.eval_shape(like)
    stacked = jax.tree.map(lambda x: jax.ShapeDtypeStruct((n, *x.shape), x.dtype), shape)
    return config, load(file, stacked)[0]


def _spent(folder: Path) -> tuple[int, int]:
    """Environment steps of a training run: to learn, and to measure."""
    last = Run.open(folder).metrics()[-1]
    return int(last["steps/expert"]), int(last["steps/evaluation"])


def _contextual(family: TaskFamily, net: SacActorNet) -> Controller:
    actor = SacActor(family, stochastic=False)

    def controller(task: Task, obs: Float[Array, " obs"]) -> Float[Array, " act"]:
        return actor(net, task, obs, jnp.zeros(actor.noise_size))[0]

    return controller


def _nearest(family: TaskFamily, nets: SacActorNet, contexts: Float[Array, "n ctx"]) -> Controller:
    """Asks the expert of the nearest task; `Expert.contexts` says which tasks that is right for."""
    actor = SacActor(family, stochastic=False)

    def controller(task: Task, obs: Float[Array, " obs"]) -> Float[Array, " act"]:
        index = jnp.argmin(jnp.sum((contexts - family.context(task)) ** 2, -1))
        return actor(tree_index(nets, index), task, obs, jnp.zeros(actor.noise_size))[0]

    return controller
