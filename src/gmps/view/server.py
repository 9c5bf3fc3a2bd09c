"""The server of a page: one process, one worker, any number of browsers."""

import contextlib
import io
import threading
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from gmps.errors import GmpsError
from gmps.view.learner import Check, Learner
from gmps.view.page import Page
from gmps.view.session import warm
from gmps.view.worker import Worker

#: Addresses of this machine alone.
LOOPBACK = ("127.0.0.1", "localhost", "::1")
#: Seconds between looks at runs that may be training.
_LOOK = 2.0
#: The most seconds between tries to load a run that cannot be loaded yet.
_PATIENCE = 60.0


class Server:
    """Serves a page about learners of one family. Nothing but viser's own page is served as a file.

    Args:
        load: gives the learners; called in the worker, and again while it fails as long as a run
            has no checkpoint yet. A GmpsError is shown on the page.
        host: the address to listen on.
        port: the first port to try; the next free one is taken.

    Raises:
        GmpsError: viser is not installed.
    """

    def __init__(
        self,
        load: Callable[[], Sequence[Learner]],
        host: str = "127.0.0.1",
        port: int = 8080,
    ):
        self._load = load
        self._learners: Sequence[Learner] | None = None
        self._rows: list[list[dict[str, Any]]] = []
        self._said, self._busy = "Loading the run ...", True
        self._pages: dict[int, Page] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self.worker = Worker()
        # A tab may close between two pictures; viser would warn of the second.
        warnings.filterwarnings("ignore", "Queued a .* on a closed connection")
        self._viser = _viser_server(host, port)
        self._viser.on_client_connect(self._connected)
        self._viser.on_client_disconnect(self._disconnected)
        #: Where it is to be found.
        self.address = f"http://{_shown(host)}:{self._viser.get_port()}"
        self.worker.submit(self, self._start, self._failed)

    @property
    def ready(self) -> bool:
        """Whether the learners are loaded."""
        return self._learners is not None

    @property
    def pages(self) -> int:
        """Browsers that look."""
        return len(self._pages)

    def close(self) -> None:
        """Stop serving. Work that runs just now is not waited for."""
        self._closed.set()
        self.worker.close()
        with self._lock:
            pages = list(self._pages.values())
        for page in pages:
            page.close()
        self._viser.stop()

    def wait(self) -> None:
        """Serve until something, such as Ctrl-C, ends it; runs that are training are followed."""
        pause = _LOOK
        while not self._closed.wait(pause):
            if self._learners is not None:
                pause = _LOOK
                self.worker.submit((self, "follow"), self._follow, lambda _: None, urgent=False)
            elif not self._busy:  # a run that is just starting may have a checkpoint soon
                pause = min(2 * pause, _PATIENCE)
                self.worker.submit(self, self._start, self._failed, urgent=False)

    # -- Browsers --------------------------------------------------------------------------------

    def _connected(self, client: Any) -> None:
        page = Page(client, self._said)
        page.say(self._said, self._busy)
        with self._lock:
            self._pages[client.client_id] = page
            learners = self._learners
        if learners is not None:
            self._open(page, learners)

    def _disconnected(self, client: Any) -> None:
        with self._lock:
            page = self._pages.pop(client.client_id, None)
        if page is not None:
            page.close()

    def _open(self, page: Page, learners: Sequence[Learner]) -> None:
        page.open(learners, self.worker)
        page.trained(learners, self._rows)

    def _say(self, sentence: str, busy: bool) -> None:
        self._said, self._busy = sentence, busy
        with self._lock:
            pages = list(self._pages.values())
        for page in pages:
            page.say(sentence, busy)

    # -- Work ------------------------------------------------------------------------------------

    def _start(self, check: Check) -> None:
        self._busy = True
        learners = self._load()
        self._say("Compiling what adaptation takes; this happens once ...", True)
        for learner in learners:
            warm(learner, check)
        self._rows = [learner.metrics() for learner in learners]
        with self._lock:
            self._learners = learners
            pages = list(self._pages.values())
        for page in pages:
            self._open(page, learners)

    def _failed(self, sentence: str) -> None:
        self._say(sentence, False)

    def _follow(self, check: Check) -> None:
        """Take new checkpoints of runs, and show them."""
        assert self._learners is not None
        check()
        rows = [learner.metrics() for learner in self._learners]
        reloaded = any([learner.reload() for learner in self._learners])
        if not reloaded and rows == self._rows:
            return
        self._rows = rows
        with self._lock:
            pages = list(self._pages.values())
        for page in pages:
            page.trained(self._learners, rows)
            if reloaded and page.session is not None:
                page.session.reloaded()


def _viser_server(host: str, port: int) -> Any:
    try:
        import viser  # noqa: PLC0415 - of the extra `view`
    except ModuleNotFoundError as error:
        raise GmpsError(
            f"`gmps view` needs the package {error.name}, which is not installed: pip install "
            '"gmps[view]".'
        ) from None

    class Loopback(viser.ViserServer):
        """A server that nobody can make reachable from outside."""

        def request_share_url(self, verbose: bool = True) -> str | None:
            """Browsers may ask viser for a tunnel through a foreign server; this one opens none."""
            return None

    # viser prints its own banner.
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            return Loopback(host=host, port=port, label="gmps view", verbose=False)
        except OSError as error:
            raise GmpsError(
                f"Nothing can listen on {host} from port {port} on ({error}); choose another "
                "--host or --port."
            ) from error


def _shown(host: str) -> str:
    """The address that a browser on this machine opens."""
    if host in ("0.0.0.0", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
