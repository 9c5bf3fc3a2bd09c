"""A film: exploring paths grow, then the policies before and after the step act side by side."""

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from gmps.core.types import Task
from gmps.rendering.episodes import Frames, Line, render_episode, steps_per_frame
from gmps.rendering.files import require_writable, side_by_side, write_frames
from gmps.sim.gl import choose_gl
from gmps.tasks.base import MujocoFamily, State
from gmps.view.attempt import Attempt, Explored, Options
from gmps.view.learner import Learner
from gmps.view.pieces import ramp

#: Tasks of a film.
FILMED = 4
#: Pictures in which the paths grow, and for which the end of an episode stands.
_GROWING, _RESTING = 8, 8
#: Pictures of a second of the film, and of a second of simulated time: a film in slow motion.
_SHOWN, _SIMULATED = 12.5, 10.0

Watch = Callable[[int, int], None]


def write_film(
    learner: Learner,
    out: str | Path,
    tasks: int = FILMED,
    *,
    width: int = 260,
    height: int = 195,
    watch: Watch = lambda done, of: None,
) -> Path:
    """Write the film, one task after the other.

    Args:
        learner: what it shows.
        out: a file that ends in `.gif`, or `.mp4` (package imageio-ffmpeg); never overwritten.
        tasks: how many held-out tasks, evenly chosen.
        width, height: of each of the two pictures, in pixels.
        watch: is told how many tasks are done, and of how many.

    Raises:
        GmpsError: `out` exists or ends otherwise, or MuJoCo cannot draw here.

    Example:
        `write_film(RunLearner("runs/push"), "push.gif")`
    """
    out = require_writable(out)
    if isinstance(learner.family, MujocoFamily):
        choose_gl()  # what cannot be drawn is not worth simulating
    parts = []
    chosen = learner.goals.spread(tasks)
    for i, task in enumerate(chosen):
        watch(i, len(chosen))
        parts.append(_part(learner, task, width, height))
    watch(len(chosen), len(chosen))
    write_frames(out, np.concatenate(parts), _SHOWN)
    return out


def _part(learner: Learner, task: Task, width: int, height: int) -> Frames:
    """The pictures of one task."""
    attempt = Attempt(learner, task, Options(learner.episodes))
    before = attempt.play("before")
    explored = attempt.advance()
    after = attempt.play("after")
    family = learner.family
    every = steps_per_frame(family, _SIMULATED)

    def draw(shown: tuple[State, np.ndarray], lines: list[Line]) -> Frames:
        return render_episode(
            family, task, *shown, width=width, height=height, every=every, lines=lines
        )

    first = jax.tree.map(lambda x: x[:1], (before.states, before.sensors))
    grown = [_lines(learner, explored, (i + 1) / _GROWING) for i in range(_GROWING)]
    growing = np.concatenate([draw(first, lines) for lines in grown])
    still = np.repeat(draw(first, []), _GROWING, 0)
    left = np.concatenate([growing, draw((before.states, before.sensors), grown[-1])])
    right = np.concatenate([still, draw((after.states, after.sensors), [])])
    ends = [np.concatenate([x, np.repeat(x[-1:], _RESTING, 0)]) for x in (left, right)]
    return side_by_side({"before": ends[0], "after one step": ends[1]})


def _lines(learner: Learner, explored: Explored, share: float) -> list[Line]:
    """The exploring paths up to this share of their length."""
    stage = learner.stage
    rise = stage.height + 0.006 * float((stage.high - stage.low).max())
    shown = max(2, round(share * explored.paths.shape[1]))
    colours = ramp(explored.returns) / 255.0
    # The best are drawn last, over the others.
    order = np.argsort(explored.returns)
    return [
        Line(
            np.pad(explored.paths[i, :shown], ((0, 0), (0, 1)), constant_values=rise),
            (float(colours[i, 0]), float(colours[i, 1]), float(colours[i, 2])),
        )
        for i in order
    ]
