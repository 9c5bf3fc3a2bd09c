"""One visitor: which task, which attempts, and what to do when something is pressed.

Nothing here knows of browsers. What is to be shown goes to a `Display`.
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from gmps.core.types import Task
from gmps.view.attempt import CONTROLS, Attempt, Explored, Options, Played
from gmps.view.learner import Check, Learner
from gmps.view.worker import Worker


class Progress(NamedTuple):
    """How far an attempt is."""

    text: str
    #: From 0 to 1.
    share: float


class Display(Protocol):
    """What shows a session. All are called from the worker's thread."""

    def progress(self, progress: Progress) -> None:
        """Something is being computed."""
        ...

    def explored(self, explored: Sequence[Explored], steps: int) -> None:
        """The exploring episodes of the last step, one entry for each learner."""
        ...

    def played(self, played: Sequence[Played], steps: int, seconds: float | None) -> None:
        """Episodes to play side by side, and how long they took since the button was pressed."""
        ...

    def failed(self, sentence: str) -> None:
        """Why there is nothing to show."""
        ...

    def task(self, task: Task, warning: str | None) -> None:
        """A task was chosen; the warning says that it is unlike those of training."""
        ...


class Session:
    """See the module docstring.

    Args:
        learners: one, or several of one family side by side.
        worker: does the work.
        display: shows it.
    """

    def __init__(self, learners: Sequence[Learner], worker: Worker, display: Display):
        self.learners, self._worker, self._display = tuple(learners), worker, display
        first = self.learners[0]
        self.options = Options(first.episodes)
        self.controls: tuple[str, ...] = ()
        tasks = first.goals.spread(25)
        self.current: Task = tasks[len(tasks) // 3]
        self._attempts = self._begin()
        #: Whether there is somebody to show things to.
        self.open = True

    @property
    def steps(self) -> int:
        """Adaptation steps of the present attempt."""
        return self._attempts[0].steps

    # -- What a visitor does ---------------------------------------------------------------

    def choose(self, task: Task) -> None:
        """Take another task, and show the policy in it before it adapts."""
        self.current = task
        self.reset()

    def reset(self) -> None:
        """Forget what was learned in this task."""
        outside = self.learners[0].goals.outside(self.current)
        self._display.task(self.current, None if outside is None else outside.sentence)
        self._submit(lambda check: self._show(self._begin(), check, None))

    def adapt(self) -> None:
        """Take one more step."""
        pressed = time.monotonic()
        self._submit(lambda check: self._step(check, pressed, 1))

    def again(self, steps: int | None = None, draw: int | None = None) -> None:
        """Take the same steps again from the start, with another draw by default."""
        pressed = time.monotonic()
        count = max(1, self.steps) if steps is None else steps
        draw = self.options.draw + 1 if draw is None else draw
        self.options = self.options._replace(draw=draw)

        def work(check: Check) -> None:
            self._attempts = self._begin()
            self._step(check, pressed, count)

        self._submit(work)

    def set(self, *, episodes: int | None = None, noise: bool | None = None) -> None:
        """Change how many episodes a step takes, or whether actions have noise; what was done so
        far is done again so."""
        changes = {"episodes": episodes, "noise": noise}
        wanted = self.options._replace(**{k: v for k, v in changes.items() if v is not None})
        if wanted == self.options:
            return
        self.options = wanted
        if self.steps:
            self.again(self.steps, self.options.draw)
        else:
            self.reset()

    def show(self, controls: Sequence[str]) -> None:
        """Which controls to play beside the policy."""
        self.controls = tuple(name for name in CONTROLS if name in controls)
        attempts = self._attempts
        if attempts[0].steps:
            self._submit(lambda check: self._show(attempts, check, None))

    def reloaded(self) -> None:
        """The learners have other checkpoints now: do again what was done."""
        if self.steps:
            self.again(self.steps, self.options.draw)
        else:
            self.reset()

    def close(self) -> None:
        """Nobody looks any more."""
        self.open = False
        self._worker.drop(self)

    # -- What the worker does ----------------------------------------------------------------

    def _submit(self, work: Callable[[Check], None]) -> None:
        self._worker.submit(self, work, self._display.failed)

    def _begin(self) -> list[Attempt]:
        titled = len(self.learners) > 1
        return [Attempt(x, self.current, self.options, titled) for x in self.learners]

    def _step(self, check: Check, pressed: float, count: int) -> None:
        attempts = self._attempts
        for i in range(count):
            wanted = min(attempt.steps for attempt in attempts) + 1
            explored = []
            for attempt in attempts:
                share = (i + len(explored) / len(attempts)) / (count + 1)
                text = f"exploring: {self.options.episodes} episodes of step {wanted}"
                self._display.progress(Progress(text, share))
                # Work that was stopped may have left one behind the others.
                ahead = attempt.steps >= wanted
                explored.append(attempt.explored[-1] if ahead else attempt.advance(check))
            self._display.explored(explored, attempts[0].steps)
        self._show(attempts, check, pressed)

    def _show(self, attempts: list[Attempt], check: Check, pressed: float | None) -> None:
        """Play before and after at once, then the controls as they come."""
        self._attempts = attempts
        steps = attempts[0].steps
        if not steps:
            self._display.progress(Progress("playing", 0.5))
        names = ("before", "after") if steps else ("before",)
        played = [[attempt.play(name, check) for name in names] for attempt in attempts]
        check()
        seconds = None if pressed is None else time.monotonic() - pressed
        self._display.played(_flat(played), steps, seconds)
        for name in self.controls if steps else ():
            self._display.progress(Progress(f"playing: {name.replace('_', ' ')}", 0.9))
            for attempt, row in zip(attempts, played, strict=True):
                if name not in attempt.learner.lacks():
                    row.append(attempt.play(name, check))
            check()
            self._display.played(_flat(played), steps, seconds)


def _flat(rows: Sequence[Sequence[Played]]) -> list[Played]:
    return [played for row in rows for played in row]


def warm(learner: Learner, check: Check) -> None:
    """Compile everything that an adaptation runs, and the controls that are quick to show."""
    task = learner.goals.spread(1)[0]
    attempt = Attempt(learner, task, Options(learner.episodes))
    attempt.play("before", check)
    attempt.advance(check)
    for name in ("after", "random_update", "expert"):
        if name not in learner.lacks():
            attempt.play(name, check)
