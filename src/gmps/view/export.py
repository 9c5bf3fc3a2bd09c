"""A page that needs neither server nor network: attempts at a few tasks, computed beforehand.

It is one HTML file with the family's shapes, the poses of all episodes and a small WebGL program.
It loads nothing, and its policy of contents forbids browsers to load anything for it.
"""

import base64
import json
import re
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from gmps.aside import aside
from gmps.core.encoders import CHANNELS
from gmps.core.types import Task, evenly
from gmps.report.pictures import strip
from gmps.report.text import escape, number, words
from gmps.view.attempt import Attempt, Options, Played
from gmps.view.layout import FOV
from gmps.view.learner import Learner
from gmps.view.pieces import KINDS, figure, latent_plane, ramp
from gmps.view.stage import Stage

#: Tasks of a page.
TASKS = 25
#: Adaptation steps of each.
STEPS = 2
#: Seconds between the poses that are written; the page shows what lies between them.
_STEP = 0.04
#: Exploring paths have at most so many points, and episodes with a camera so many pictures.
_POINTS, _PICTURES = 60, 4

Watch = Callable[[int, int], None]


def export_page(
    learner: Learner, out: str | Path, tasks: int = TASKS, watch: Watch = lambda done, of: None
) -> Path:
    """Write the page.

    Args:
        learner: what it shows.
        out: the file, whose name ends in `.html`, or a folder, which gets an `index.html`.
        tasks: how many tasks, spread over the family's range.
        watch: is told how many tasks are done, and of how many.

    Returns:
        The file that is to be opened.

    Raises:
        GmpsError: there is something at `out`.

    Example:
        `export_page(RunLearner("runs/push"), "push.html")`
    """
    with aside(out) as staging:
        page = render(learner, tasks, watch).encode()
        if Path(out).suffix.lower() in (".html", ".htm"):
            staging.write_bytes(page)
            return Path(out)
        staging.mkdir()
        (staging / "index.html").write_bytes(page)
    return Path(out) / "index.html"


def render(learner: Learner, tasks: int, watch: Watch) -> str:
    """The page as text."""
    chosen = learner.goals.spread(tasks)
    found = []
    for i, task in enumerate(chosen):
        watch(i, len(chosen))
        found.append(_task(learner, task))
    watch(len(chosen), len(chosen))
    data = {
        "title": learner.name,
        "about": f"{learner.family.name}, round {learner.round}. {learner.family.summary}",
        "stage": _stage(learner.stage),
        "clickable": learner.goals.clickable,
        "step": _stride(learner) * learner.family.spec.control_dt,
        "colours": KINDS,
        "tasks": found,
    }
    # Within a script element, "</" alone would end it, and "<!--" change how it is read.
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    parts = {
        "TITLE": escape(learner.name),
        "STYLE": _asset("page.css"),
        "SCRIPT": _asset("page.js"),
        "DATA": text,
    }
    # In one pass, so that no part is searched for the places of others.
    return re.sub(r"@@(\w+)@@", lambda found: parts[found[1]], _asset("page.html"))


def _asset(name: str) -> str:
    return files("gmps.view").joinpath("static", name).read_text(encoding="utf-8")


def _stage(stage: Stage) -> dict[str, Any]:
    parts = [
        {
            "body": part.body,
            "colour": part.colour,
            "vertices": _packed(part.vertices, np.float32),
            "faces": _packed(part.faces, np.uint32),
        }
        for part in stage.parts
    ]
    view = stage.view
    return {
        "parts": parts,
        "low": stage.low.tolist(),
        "high": stage.high.tolist(),
        "floor": stage.floor,
        "top": stage.top,
        "height": stage.height,
        "lookat": view.lookat.tolist(),
        "towards": view.towards.tolist(),
        "fov": FOV,
    }


def _task(learner: Learner, task: Task) -> dict[str, Any]:
    attempt = Attempt(learner, task, Options(learner.episodes))
    played = [attempt.play("before")]
    explored = attempt.advance()
    names = [x for x in ("wrong_task", "random_update", "expert") if x not in learner.lacks()]
    controls = [attempt.play(name) for name in names]
    played.append(attempt.play("after"))
    for _ in range(STEPS - 1):
        attempt.advance()
        played.append(attempt.play("after"))
    outside = learner.goals.outside(task)
    shown = explored.paths[:, evenly(explored.paths.shape[1], _POINTS)]
    return {
        "words": learner.family.describe(task),
        "outside": None if outside is None else outside.sentence,
        "goal": learner.stage.goal(task).tolist(),
        "paths": [_packed(path, np.float32) for path in shown],
        "returns": [number(float(x)) for x in explored.returns],
        "colours": ramp(explored.returns).tolist(),
        "latents": None
        if explored.latents is None
        else latent_plane(explored.latents, explored.returns),
        "played": [_played(learner, episode) for episode in [*played, *controls]],
    }


def _played(learner: Learner, episode: Played) -> dict[str, Any]:
    stride = _stride(learner)
    count = len(episode.poses)
    kept = sorted({*range(0, count, stride), count - 1})
    figures = {words(name): figure(value, name) for name, value in episode.figures.items()}
    return {
        "name": episode.name,
        "label": episode.label,
        "kind": episode.kind,
        "bodies": int(episode.poses.shape[1]),
        "poses": _packed(episode.poses[kept], np.float32),
        "path": _packed(episode.path, np.float32),
        "figures": figures,
        "seen": _seen(episode),
    }


def _seen(episode: Played) -> str | None:
    """Pictures that the policy saw, with the points that it found."""
    if episode.frames is None or episode.points is None:
        return None
    assert episode.points.shape[1] == CHANNELS
    chosen = evenly(len(episode.frames), _PICTURES)
    return strip(episode.frames[chosen], episode.points[chosen])


def _stride(learner: Learner) -> int:
    return max(1, round(_STEP / learner.family.spec.control_dt))


def _packed(values: Sequence[Any] | np.ndarray, kind: type) -> str:
    return base64.b64encode(np.ascontiguousarray(values, kind).tobytes()).decode()
