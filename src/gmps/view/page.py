"""One browser's page: a display of a session by viser, with scene and panel."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from gmps.core.types import Task
from gmps.report.pictures import strip
from gmps.report.text import escape
from gmps.view.attempt import Explored, Played
from gmps.view.learner import Learner
from gmps.view.panel import Panel, add_colours, title
from gmps.view.pieces import curves, latent_plane, note, results
from gmps.view.player import Player
from gmps.view.scene import GROWTH, Scene
from gmps.view.session import Progress, Session
from gmps.view.worker import Worker

#: Pages narrower than this, in pixels, have their controls in a sheet below, as viser decides.
_PHONE = 576
#: The share of the height that this sheet leaves.
_ABOVE_SHEET = 0.4
#: Pictures a second of what a policy sees.
_SEEN = 4.0


class Page:
    """See the module docstring. Before `open` there is a sentence alone.

    Args:
        client: viser's handle of the browser.
        said: the sentence.
    """

    def __init__(self, client: Any, said: str):
        self._client = client
        add_colours(client)
        gui = client.gui
        self._phone = client.camera.image_width < _PHONE
        if not self._phone:
            gui.main_panel.dock_right()
            gui.main_panel.set_width(340)
        self._title = gui.add_html("")
        self._status = gui.add_html(note(said, mark="status"))
        self._bar = gui.add_progress_bar(100.0, animated=True)
        self._scene: Scene | None = None
        self._panel: Panel | None = None
        self._player: Player | None = None
        self._closed = threading.Event()
        self.session: Session | None = None

    def say(self, sentence: str, busy: bool) -> None:
        """Show a sentence, before there is anything else to show."""
        self._status.content = note(sentence, mark="status", kind="dim" if busy else "warning")
        self._bar.visible = busy

    def open(self, learners: Sequence[Learner], worker: Worker) -> None:
        """Show the learners."""
        session = Session(learners, worker, self)
        stage = learners[0].stage
        goals = learners[0].goals
        self._title.content = title(learners)

        def chosen(point: np.ndarray) -> None:
            task = goals.at(point)
            if task is not None:
                session.choose(task)

        free = _ABOVE_SHEET if self._phone else 1.0
        self._scene = Scene(self._client, stage, goals, chosen, free)
        self._player = Player(
            learners[0].family.spec.control_dt, self._scene.pose, self._scene.grow, GROWTH
        )
        self._panel = Panel(self._client, session, look=self._scene.look, speed=self._set_speed)
        self.session = session
        if learners[0].family.has_camera:
            threading.Thread(target=self._watch_frames, daemon=True).start()
        session.reset()

    def close(self) -> None:
        """The browser is gone: nothing is computed or played for it any more."""
        self._closed.set()
        if self.session is not None:
            self.session.close()
        if self._player is not None:
            self._player.close()

    def trained(self, learners: Sequence[Learner], rows: Sequence[Sequence[dict]]) -> None:
        """Show curves of the training, and which rounds the policies are from."""
        if self._panel is None or self._closed.is_set():
            return
        self._title.content = title(learners)
        names = [learner.name for learner in learners]
        self._panel.training.content = curves(list(zip(names, rows, strict=True)))

    @property
    def playing(self) -> bool:
        """Whether there is a thread that plays for it."""
        return self._player is not None and self._player.alive

    # -- What a session shows ------------------------------------------------------------------

    def progress(self, progress: Progress) -> None:
        """See `Display.progress`."""
        if self._gone:
            return
        self._status.content = note(f"{progress.text} ...", mark="status")
        self._bar.visible, self._bar.value = True, 100.0 * min(1.0, max(0.05, progress.share))

    def explored(self, explored: Sequence[Explored], steps: int) -> None:
        """See `Display.explored`."""
        if self._gone or self._scene is None or self._panel is None or self._player is None:
            return
        self._scene.explored(explored)
        self._player.grow()
        found = [x for x in explored if x.latents is not None]
        self._panel.latents.content = "".join(
            latent_plane(x.latents, x.returns) for x in found if x.latents is not None
        )

    def played(self, played: Sequence[Played], steps: int, seconds: float | None) -> None:
        """See `Display.played`."""
        if self._gone or self._scene is None or self._panel is None or self._player is None:
            return
        assert self.session is not None
        count = len(self.session.learners)
        with self._client.atomic():
            if not steps:
                self._scene.forget()
                self._panel.latents.content = ""
            self._scene.arrange(played, [len(played) // count] * count)
            self._panel.results.content = results(played)
            self._panel.pressed(False, steps)
            said = f"{steps} step{'s' * (steps != 1)} taken" if steps else "before any step"
            if seconds is not None:
                said += f"; shown after {seconds:.1f} s"
            self._status.content = note(f"{said}.", mark="status")
            self._bar.visible = False
        self._player.play(played)

    def failed(self, sentence: str) -> None:
        """See `Display.failed`."""
        if not self._gone:
            self.say(sentence, busy=False)

    def task(self, task: Task, warning: str | None) -> None:
        """See `Display.task`."""
        if self._gone or self._scene is None or self._panel is None:
            return
        self._panel.task(task, warning)
        self._scene.goal(task)

    # -- Inside --------------------------------------------------------------------------------

    @property
    def _gone(self) -> bool:
        return self._closed.is_set()

    def _set_speed(self, speed: float) -> None:
        if self._player is not None:
            self._player.speed = speed

    def _watch_frames(self) -> None:
        """What the camera shows, with the points that the convolutions find, while it is played."""
        shown: Any = None
        while not self._closed.wait(1 / _SEEN):
            assert self._player is not None and self._panel is not None
            played, at = self._player.moment
            key = (id(played), int(at))
            if played and key != shown:
                shown = key
                self._panel.seen.content = seen(played, int(at))


def seen(played: Sequence[Played], step: int) -> str:
    """What the camera shows in a step of each episode that has pictures, as HTML."""
    figures = ""
    for episode in played:
        if episode.frames is None or episode.points is None:
            continue
        t = min(step, len(episode.frames) - 1)
        picture = strip(episode.frames[t : t + 1], episode.points[t : t + 1])
        figures += (
            f'<figure style="margin:0;flex:1"><figcaption style="font-size:.8em;opacity:.7">'
            f"{escape(episode.label)}</figcaption>{picture}</figure>"
        )
    if not figures:
        return ""
    return f'<div data-gmps="seen" style="display:flex;gap:.6em;padding:.3em .9em">{figures}</div>'
