"""One thread does all that is heavy, one piece of work after another.

Work belongs to somebody: to a browser's tab, or to the page itself. New work of a tab replaces what
that tab waits for, and a tab that is closed takes its work with it.
"""

import itertools
import threading
import time
import traceback
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from gmps.errors import GmpsError
from gmps.view.learner import Check


class Dropped(Exception):
    """The work is not wanted any more."""


@dataclass(order=True)
class _Job:
    rank: tuple[int, int]
    owner: Hashable = field(compare=False)
    work: Callable[[Check], None] = field(compare=False)
    failed: Callable[[str], None] = field(compare=False)
    dropped: threading.Event = field(compare=False, default_factory=threading.Event)

    def check(self) -> None:
        if self.dropped.is_set():
            raise Dropped


class Worker:
    """See the module docstring. Its thread is a daemon: it never holds up the end of the
    process."""

    def __init__(self):
        self._jobs: list[_Job] = []
        self._running: _Job | None = None
        self._change = threading.Condition()
        self._closed = False
        self._numbers = itertools.count()
        self._thread = threading.Thread(target=self._loop, name="gmps-view", daemon=True)
        self._thread.start()

    def submit(
        self,
        owner: Hashable,
        work: Callable[[Check], None],
        failed: Callable[[str], None] = print,
        urgent: bool = True,
    ) -> None:
        """Do this next, in place of what the owner waits for.

        Args:
            owner: who wants it.
            work: is given a check to call where it may be stopped.
            failed: is told, in a sentence, why it failed.
            urgent: before all work that is not.
        """
        with self._change:
            if self._closed:
                return
            self._drop(owner)
            job = _Job((not urgent, next(self._numbers)), owner, work, failed)
            self._jobs.append(job)
            self._change.notify_all()

    def drop(self, owner: Hashable) -> None:
        """Forget what this owner waits for, and stop what is done for it."""
        with self._change:
            self._drop(owner)

    @property
    def waiting(self) -> int:
        """Pieces of work that are running or are to be done."""
        with self._change:
            return len(self._jobs) + (self._running is not None)

    def wait(self, seconds: float) -> bool:
        """Wait until there is nothing to do; whether that came to pass."""
        end = time.monotonic() + seconds
        with self._change:
            while self._jobs or self._running is not None:
                if not self._change.wait(max(0.0, end - time.monotonic())):
                    return False
        return True

    def close(self) -> None:
        """Drop all work. What runs just now is not waited for."""
        with self._change:
            self._closed = True
            self._jobs.clear()
            if self._running is not None:
                self._running.dropped.set()
            self._change.notify_all()

    def _drop(self, owner: Hashable) -> None:
        self._jobs = [job for job in self._jobs if job.owner != owner]
        if self._running is not None and self._running.owner == owner:
            self._running.dropped.set()

    def _loop(self) -> None:
        while True:
            with self._change:
                while not self._jobs and not self._closed:
                    self._change.wait()
                if self._closed:
                    return
                job = min(self._jobs)
                self._jobs.remove(job)
                self._running = job
            _do(job)
            with self._change:
                self._running = None
                self._change.notify_all()


def _do(job: _Job) -> None:
    try:
        job.work(job.check)
    except Dropped:
        pass
    except GmpsError as error:
        job.failed(str(error))
    except Exception as error:  # the page says it, the terminal has the trace; others go on
        traceback.print_exc()
        job.failed(f"This failed ({type(error).__name__}: {error}); the terminal has the details.")
