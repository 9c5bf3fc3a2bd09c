"""What a method is trained and judged with: a world, experts' data, the method on both.

A run has three parts. The world is made from the settings. What experts gave is gathered once, when
a run starts, and read from its folder ever after. The method is built on these two, and its state
is a checkpoint. A live expert is looked for where one is asked, and nowhere else.
"""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float

from gmps.core.types import Demonstrations, Task, task_count, tree_index
from gmps.errors import GmpsError
from gmps.evaluation.evaluate import Levels
from gmps.experts.base import Controller, Expert
from gmps.experts.score import ExpertScore
from gmps.methods.base import Method
from gmps.methods.registry import make_method, method_class
from gmps.runs.run import Run
from gmps.runs.user_files import kept_spec
from gmps.tasks import make_family
from gmps.tasks.base import TaskFamily
from gmps.tasks.choices import Split
from gmps.training.clone import CLONE, clone_controller
from gmps.training.config import TrainConfig
from gmps.training.cost import require_memory
from gmps.training.expert_data import ExpertData, KnownLevels, load_expert_data
from gmps.training.expert_sources import find_expert
from gmps.training.gather_experts import gather_expert_data
from gmps.training.sac_settings import ExpertConfig
from gmps.worlds.base import World
from gmps.worlds.factory import make_world
from gmps.worlds.ray_world import RayWorld

#: The folder of the experts that a run trains for itself, inside the run.
OWN_EXPERT = "expert"


class Experiment(NamedTuple):
    """Everything that a method is trained and judged with."""

    world: World
    method: Method
    data: ExpertData
    heldout: Task
    #: Who labels states; None where nobody does, nobody was looked for, or nobody was found.
    expert: Expert | None

    @property
    def tasks(self) -> dict[Split, Task]:
        """The stacked tasks of each split."""
        return {"train": self.data.tasks, "heldout": self.heldout}

    @property
    def demos(self) -> Demonstrations:
        """The experts' labels before the first round."""
        return self.data.demos

    @property
    def expert_score(self) -> ExpertScore | None:
        """How good the expert is in the training tasks."""
        return self.data.score

    @property
    def known_levels(self) -> KnownLevels | None:
        """Mean returns of experts, as far as they are known."""
        return self.data.known_levels

    @property
    def steps(self) -> dict[str, int]:
        """Environment steps spent before the first round, by column."""
        return self.data.steps

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is to be said loudly before training starts."""
        return self.data.warnings

    @property
    def notes(self) -> tuple[str, ...]:
        """What training takes of the demonstrations, where there are any."""
        return self.data.notes

    @property
    def controller(self) -> Controller | None:
        """The expert of the evaluation: one that knows all tasks. A clone is none."""
        if self.data.source is None or self.data.clone is not None:
            return self.world.family.expert
        known = self.expert is not None and self.data.knows_heldout
        return self.expert.controller if self.expert is not None and known else None

    def levels(self, tasks: Task) -> Levels | None:
        """The known expert levels in each task: as measured, or interpolated between the nearest
        known tasks."""
        known = self.known_levels
        if known is None:
            return None
        expert = known.at(np.asarray(jax.vmap(self.world.family.context)(tasks)))
        source = f"the {known.whose} mean return, between their tasks interpolated"
        shown = expert if known.of_demonstrators else None
        return Levels(np.zeros_like(expert), expert, source, shown)


def expert_sources(config: TrainConfig, folder: Path | None, family: TaskFamily) -> tuple[str, ...]:
    """Who labels states, as `find_expert` takes it; empty: nobody but the demonstrations.

    Without demonstrations and `--expert` it is the family's scripted controller, or SAC that the
    run trains first, in its own folder.
    """
    sources = config.expert
    if not sources and config.demos is None:
        sources = ("scripted",) if family.expert is not None else ("sac",)
    if sources != ("sac",):
        return sources
    if folder is None:
        raise GmpsError("Experts are trained within a run; give its folder.")
    return (str(folder / OWN_EXPERT),)


def trains_expert(config: TrainConfig, family: TaskFamily) -> bool:
    """Whether a run starts with training experts of its own."""
    return expert_sources(config, Path(), family) == (OWN_EXPERT,)


def expert_settings(config: TrainConfig) -> ExpertConfig:
    """The settings of the expert that a run trains for itself; one of all tasks learns from the
    run's demonstrations too."""
    shared = config.demos if config.sac.kind == "contextual" else None
    return replace(config.sac, threads=config.threads, demos=shared or config.sac.demos)


def require_fit(config: TrainConfig, family: TaskFamily) -> None:
    """That the method can learn in the family, and that there is memory for it.

    Raises:
        GmpsError: it cannot, such as a method of states in a family that shows pictures.
    """
    method_class(config.method).require_fit(config.settings, family)
    require_memory(config, family)


def prepare(
    config: TrainConfig,
    folder: Path | None = None,
    family: TaskFamily | None = None,
    question: bool = False,
) -> Experiment:
    """Set up a training from its settings: find the expert, and gather what it gives.

    Args:
        config: the settings.
        folder: the run's folder, where experts that the run trained for itself lie.
        family: in place of the one that the settings name.
        question: whether to compare demonstrations with episodes of the family's own, which takes
            seconds; what looks wrong is among the warnings.

    Raises:
        GmpsError: the method cannot learn in the family, or there is no expert where the settings
            say, or see `gather_expert_data`.
    """
    family = make_family(config.family) if family is None else family
    require_fit(config, family)
    world = open_world(config, family)
    sources = expert_sources(config, folder, family)
    expert = find_expert(sources, family) if sources else None
    data = gather_expert_data(config, world, expert, question)
    return _assemble(config, world, data, _clone(family, data) or expert)


def load_experiment(
    run: Run, config: TrainConfig, *, family: str | None = None, ask: bool = False
) -> Experiment:
    """Set up from a run's folder what it was trained with.

    Args:
        run: the run.
        config: its settings.
        family: in place of the one that the settings name.
        ask: look for the expert, to let it answer. It is left out where it is gone, and a method
            that asks it then raises GmpsError.

    Raises:
        GmpsError: the folder's files are damaged; the family is gone.

    Warns:
        UserWarning: the expert is gone; a user's file has changed since.
    """
    found = run_family(run, config, family)
    data = load_expert_data(run.path, found)
    if data is None:  # it was stopped before anything was gathered
        return prepare(config, run.path, found)
    expert = _clone(found, data)
    if ask and expert is None:
        expert = _find_again(run, config, found, data)
    return _assemble(config, open_world(config, found), data, expert)


def run_family(run: Run, config: TrainConfig, override: str | None = None) -> TaskFamily:
    """The family of a run: a user's file is taken from the run's copy where it is gone.

    Raises:
        GmpsError: there is no such family, or the copy does not work alone.
    """
    if override is not None:
        return make_family(override)
    spec, copied = kept_spec(run.path, "family", config.family)
    if not copied:
        return make_family(spec)
    try:
        return make_family(spec)
    except GmpsError:
        raise
    except Exception as error:  # whatever the user's code does without the files beside it
        raise GmpsError(
            f"The run's copy of {config.family} does not work without the files beside the "
            f"original ({type(error).__name__}: {error}); name the family with --family."
        ) from error


def open_world(config: TrainConfig, family: TaskFamily) -> World:
    """The world of a training."""
    if config.on == "ray":
        return RayWorld(family, config.address)
    return make_world(family, config.threads, config.sim, config.environments)


def _assemble(
    config: TrainConfig, world: World, data: ExpertData, expert: Expert | None
) -> Experiment:
    """The method on a world and experts' data."""
    # A method's state is shaped by whether it labels states, not by who is here to do it.
    absent = None if data.source is None else _absent(data.source)
    labeller = absent if expert is None else expert.controller
    method = make_method(config.method, config.settings, world, data.tasks, labeller)
    return Experiment(world, method, data, world.family.tasks("heldout"), expert)


def _absent(source: str) -> Controller:
    """Stands for an expert that nobody has looked for, or found."""

    def controller(task: Task, obs: Float[Array, " obs"]) -> Float[Array, " act"]:
        raise GmpsError(
            f"The method asks its expert, which is not here: {source}; name one with --expert."
        )

    return controller


def _clone(family: TaskFamily, data: ExpertData) -> Expert | None:
    """The clone of the demonstrations, where it labels states."""
    return None if data.clone is None else Expert(clone_controller(family, data.clone), CLONE)


def _find_again(
    run: Run, config: TrainConfig, family: TaskFamily, data: ExpertData
) -> Expert | None:
    """The expert that the data are from; None, and a warning, where it is gone."""
    sources, copied = expert_sources(config, run.path, family), False
    if len(sources) == 1:
        spec, copied = kept_spec(run.path, "expert", sources[0])
        sources = (spec,)
    if not sources:
        return None
    try:
        return find_expert(sources, family)
    except GmpsError as error:
        reason = str(error)
    except Exception as error:  # whatever the user's code does without the files beside it
        if not copied:
            raise
        reason = (
            "the run's copy of its file does not work without the files beside the original "
            f"({type(error).__name__}: {error})."
        )
    warnings.warn(
        f"The expert of {run.path} ({data.source}) is not here, so nothing is asked of it: "
        f"{reason[:1].lower() + reason[1:]}",
        stacklevel=3,
    )
    return None


def describe(family: TaskFamily, tasks: Task) -> list[str]:
    """Each task in words."""
    n = task_count(tasks)
    return [family.describe(tree_index(tasks, i)) for i in range(n)]
