"""The film that trackers are shown beside the scores."""

import os
import tempfile
import warnings
from pathlib import Path

from gmps.aside import TEMPORARY
from gmps.core.types import tree_index
from gmps.errors import GmpsError
from gmps.rendering.files import write_frames
from gmps.runs.run import FILM, Run
from gmps.sim.gl import choose_gl
from gmps.tasks.base import MujocoFamily
from gmps.training.config import TrainConfig
from gmps.training.experiment import Experiment
from gmps.training.film import before_and_after, film
from gmps.training.train import restore


def write_film(
    run: Run, config: TrainConfig, experiment: Experiment, checkpoint: str = "best"
) -> None:
    """Write `RUN/film.gif`: the first held-out task before and after the update, replacing an
    older one.

    Warns:
        UserWarning: nothing can be drawn here; then there is none.
    """
    family = experiment.world.family
    tasks = tree_index(family.tasks("heldout"), slice(0, 1))
    try:
        if isinstance(family, MujocoFamily):
            choose_gl()  # what cannot be drawn is not worth simulating
        state, _ = restore(run, config, experiment, checkpoint)
        episodes = config.evaluation.episodes
        shown = before_and_after(experiment, state, tasks, episodes=episodes)
        frames, fps = film(family, tasks, shown)
    except GmpsError as error:
        warnings.warn(f"There is no film for the trackers: {error}", stacklevel=2)
        return
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=run.path) as folder:
        write_frames(Path(folder) / FILM, frames, fps)
        os.replace(Path(folder) / FILM, run.path / FILM)
