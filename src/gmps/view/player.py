"""Plays episodes side by side, again and again, in slow motion."""

import threading
import time
from collections.abc import Callable, Sequence

from gmps.view.attempt import Played

#: Pictures a second.
FRAMES = 25.0
#: Seconds for which the exploring paths grow, and for which the end of an episode is shown.
_GROWING, _RESTING = 0.5, 0.9


class Player:
    """A thread that says, for each picture, which moment is to be seen.

    Args:
        step: seconds of a control step.
        pose: is told the episodes and the moment, in control steps.
        grow: is told the share of the exploring paths that is to be seen, while they grow.
        growth: pictures of the growth.
    """

    def __init__(
        self,
        step: float,
        pose: Callable[[Sequence[Played], float], None],
        grow: Callable[[float], None],
        growth: int,
    ):
        self._step, self._pose, self._grow = step, pose, grow
        #: Seconds of an episode in a second of the film.
        self.speed = 0.5
        self._growth, self._grown = growth, growth
        self._growing_since = 0.0
        self._played: Sequence[Played] = ()
        self._at = 0.0
        self._rest = 0.0
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._loop, name="gmps-player", daemon=True)
        self._thread.start()

    def play(self, played: Sequence[Played], on: bool = False) -> None:
        """Play these episodes, from the start or on from where others are."""
        with self._lock:
            self._played = tuple(played)
            if not on:
                self._at, self._rest = 0.0, 0.0

    def grow(self) -> None:
        """Let the exploring paths grow."""
        with self._lock:
            self._grown, self._growing_since = 0, time.monotonic()

    def close(self) -> None:
        """Stop."""
        self._closed.set()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _loop(self) -> None:
        last = time.monotonic()
        while not self._closed.wait(1 / FRAMES):
            now = time.monotonic()
            passed, last = now - last, now
            with self._lock:
                self._paths(now)
                if self._played:
                    self._move(min(passed, 0.2))

    def _paths(self, now: float) -> None:
        """One more piece of the exploring paths, where it is time."""
        if self._grown >= self._growth:
            return
        due = int(self._growth * (now - self._growing_since) / _GROWING) + 1
        if due > self._grown:
            self._grown = min(due, self._growth)
            self._grow(self._grown / self._growth)

    def _move(self, passed: float) -> None:
        end = max(len(episode.poses) for episode in self._played) - 1.0
        if self._at < end:
            self._at = min(self._at + passed * self.speed / self._step, end)
            self._pose(self._played, self._at)
        elif self._rest < _RESTING:
            self._rest += passed
        else:
            self._at, self._rest = 0.0, 0.0
            self._pose(self._played, 0.0)

    @property
    def moment(self) -> tuple[Sequence[Played], float]:
        """What is played, and where it is, in control steps."""
        return self._played, self._at
