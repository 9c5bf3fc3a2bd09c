"""A tracker in a thread of its own: neither its faults nor its slowness reach the training."""

import json
import queue
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

from gmps.aside import write_atomically
from gmps.tracking.base import Facts, Row, Status, Tracker

#: Seconds that a training waits for a tracker, once at its start and once at its end.
PATIENCE = 60.0


class Courier:
    """Hands things to one tracker in turn, until it fails or everything is told.

    `FOLDER/NAME.json` says by which identity the tracker's run goes on, and which round it was
    told last, so that none is told twice and none is left out.
    """

    def __init__(
        self, name: str, kind: Callable[[Facts, str | None], Tracker], facts: Facts
    ) -> None:
        self.name, self._facts = name, facts
        self._file = facts.folder / f"{name}.json"
        self._tasks: queue.SimpleQueue[Callable[[Tracker], None] | None] = queue.SimpleQueue()
        self._ready = threading.Event()
        #: Why it ended before everything was told, and whether that was said.
        self._fault: str | None = None
        self._said = False
        #: The last round that the tracker was told.
        self.told = -1
        self._thread = threading.Thread(target=self._work, args=(kind,), daemon=True)
        self._thread.start()
        # It may ask for a key or say where it is to be seen, before a bar of progress is there.
        self._ready.wait(PATIENCE)
        self._complain()

    def row(self, row: Row) -> None:
        """Tell a round, unless that was done before."""

        def tell(tracker: Tracker) -> None:
            if row.round > self.told:
                tracker.log(row)
                self._remember(tracker, row.round)

        self.send(tell)

    def send(self, task: Callable[[Tracker], None]) -> None:
        """Let the tracker do something when its turn comes; warns once where it has failed."""
        self._complain()
        if self._fault is None:
            self._tasks.put(task)

    def close(self, status: Status) -> None:
        """End when all is told, but wait no longer than `PATIENCE`."""
        self.send(lambda tracker: tracker.close(status))
        self._tasks.put(None)
        self._thread.join(PATIENCE)
        if self._thread.is_alive() and self._fault is None:
            self._fault = f"it did not answer for {PATIENCE:g} s"
        self._complain()

    def _work(self, kind: Callable[[Facts, str | None], Tracker]) -> None:
        try:
            known = json.loads(self._file.read_text()) if self._file.exists() else {}
            tracker = kind(self._facts, known.get("identity"))
            self._remember(tracker, -1 if tracker.anew else known.get("round", -1))
            self._ready.set()
            while (task := self._tasks.get()) is not None:
                task(tracker)
        except (Exception, SystemExit) as error:  # whatever a tracker does when it fails
            self._fault = f"{type(error).__name__}: {error}"
        self._ready.set()

    def _remember(self, tracker: Tracker, round_: int) -> None:
        self.told = round_
        content = {"identity": tracker.identity, "round": round_}
        write_atomically(self._file, f"{json.dumps(content)}\n".encode())

    def _complain(self) -> None:
        if self._fault is not None and not self._said:
            self._said = True
            warnings.warn(
                f"{self.name} is told no more of this run, which goes on without it "
                f"({self._fault}).",
                stacklevel=4,
            )


def followed(folder: Path) -> tuple[str, ...]:
    """Who was told of a run before, by the files in its folder of trackers."""
    return tuple(sorted(path.stem for path in folder.glob("*.json")))
