"""Trackers follow a training as one of its callbacks."""

import contextlib
import importlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gmps.evaluation.scores import Scores
from gmps.runs.config_json import flatten_config
from gmps.runs.run import FILM, REPORT, SCORES, Run
from gmps.tracking.base import Facts, Row, Status
from gmps.tracking.courier import Courier, followed
from gmps.tracking.kinds import KINDS, require_trackers

#: In a run's folder: who was told what, and what trackers keep on this machine.
TRACKING = "tracking"


class Tracking:
    """Trackers of one training; a callback of `gmps.training.train.train`.

    Each round is told once, also of a training that goes on, and those that a tracker missed are
    told first.
    """

    def __init__(self, run: Run, names: Sequence[str], own: str, facts: Facts):
        self._run, self._own = run, own
        self._caught_up = False
        self._couriers = [Courier(name, _kind(name), facts) for name in names]

    def __bool__(self) -> bool:
        return bool(self._couriers)

    def __call__(self, done: Any) -> None:
        """Tell a round: anything with `round`, `metrics` and `timing`."""
        if self._couriers:
            self._catch_up(done.round)
            self._tell({"round": done.round, **done.timing, **done.metrics})

    def judged(self, scores: Scores) -> None:
        """Show what an evaluation found: figures, scores, report, and the film where it is."""
        self._catch_up()
        figures, own = dict(score_figures(scores)), int(scores.steps[self._own])
        paths = [self._run.path / name for name in (SCORES, REPORT, FILM)]
        for courier in self._couriers:
            courier.send(lambda tracker: tracker.summary(figures, own))
            for path in paths:
                if path.exists():
                    courier.send(lambda tracker, path=path: tracker.artifact(path))

    def close(self, status: Status) -> None:
        """Wait until the trackers are told everything, or no longer."""
        if self._couriers:
            self._catch_up()
        for courier in self._couriers:
            courier.close(status)

    def _catch_up(self, before: float = math.inf) -> None:
        """Tell, once, the rounds that were done in earlier sessions.

        Not when a session begins: only its first round drops those that are repeated.
        """
        if self._caught_up:
            return
        self._caught_up = True
        timing = {row["round"]: row for row in self._run.timing()}
        for row in self._run.metrics():
            if row["round"] < before:
                self._tell({**timing.get(row["round"], {}), **row})

    def _tell(self, figures: Mapping[str, Any]) -> None:
        numbers = {
            name: float(value)
            for name, value in figures.items()
            if name != "round" and value is not None and math.isfinite(value)
        }
        steps = {k: int(v) for k, v in numbers.items() if k.startswith("steps/")}
        own = steps.get(f"steps/{self._own}", 0)
        row = Row(int(figures["round"]), own, sum(steps.values()), numbers)
        for courier in self._couriers:
            courier.row(row)


@contextlib.contextmanager
def follow(
    run: Run, names: Sequence[str], own: str, group: str, name: str | None = None
) -> Iterator[Tracking]:
    """Let trackers follow a training, and those that followed the run before.

    Args:
        run: the run; `RUN/tracking/` keeps what they need to go on with it.
        names: of trackers; see `require_trackers`.
        own: the column `steps/OWN` that the axis takes: `meta`, or `expert` of experts.
        group: what the run belongs to.
        name: what the run is called; by default like its folder.

    Warns:
        UserWarning: a tracker fails, once for each. The training goes on without it.
    """
    folder = run.path / TRACKING
    require_trackers(names)
    # One that is not installed where the run goes on is a fault like any other.
    earlier = (name for name in followed(folder) if name in KINDS)
    chosen = tuple(dict.fromkeys((*earlier, *names)))
    if chosen:
        folder.mkdir(exist_ok=True)
    name = run.path.absolute().name if name is None else name
    facts = Facts(folder, name, group, flatten_config(run.config))
    tracking = Tracking(run, chosen, own, facts)
    status: Status = "failed"
    try:
        yield tracking
        status = "finished"
    except KeyboardInterrupt:
        status = "stopped"
        raise
    finally:
        tracking.close(status)


def score_figures(scores: Scores) -> Iterator[tuple[str, float]]:
    """The held-out means, as `heldout/MODE/CONDITION/MEASURE`, and the adaptation
    scores, as `heldout/MODE/CONDITION/adaptation_score`."""
    for mode, level in scores.heldout.items():
        for condition, measures in level.conditions.items():
            for measure, figure in measures.items():
                yield f"heldout/{mode}/{condition}/{measure}", figure.mean
        for condition, score in level.adaptation_score.items():
            if score.value is not None:
                yield f"heldout/{mode}/{condition}/adaptation_score", score.value


def _kind(name: str) -> Any:
    return getattr(importlib.import_module(f"gmps.tracking.{name}"), KINDS[name][0])
