"""The controls of one browser's page."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gmps.core.types import Task, tree_index
from gmps.evaluation.conditions import condition_label
from gmps.report.text import escape
from gmps.view.attempt import CONTROLS
from gmps.view.learner import Learner
from gmps.view.pieces import note
from gmps.view.session import Session

_LABELS = {name: condition_label(name) for name in CONTROLS}
_LABELS["plain"] = "Plain imitation and a step"
#: Slow motion: seconds of an episode in a second.
_SPEEDS = ("0.1", "0.25", "0.5", "1", "2")
#: A place below all controls: viser numbers those of all pages.
_LAST = 1e9


class Panel:
    """See the module docstring.

    Args:
        client: viser's handle of the browser.
        session: what it controls.
        look: puts the camera back.
        speed: is told the speed of playing.
    """

    def __init__(
        self,
        client: Any,
        session: Session,
        *,
        look: Callable[[], None],
        speed: Callable[[float], None],
    ):
        self._client, self._session = client, session
        self._gui = client.gui
        self._learner: Learner = session.learners[0]
        self._quiet = False
        self._sliders: list[Any] = []
        self._words = self._gui.add_html(note(""))
        self._task_folder()
        self._buttons()
        #: Where results, latents and pictures are shown.
        self.results = self._gui.add_html("")
        self.latents = self._gui.add_html("")
        self.seen = self._gui.add_html("")
        self._controls()
        self._options(look, speed)
        #: Curves of the training.
        self.training = self._training()

    def task(self, task: Task, warning: str | None) -> None:
        """Show which task it is."""
        family = self._learner.family
        text = family.describe(task)
        self._words.content = note(f"Task: {text}", kind="plain", mark="task") + (
            note(warning, kind="warning", mark="outside") if warning else ""
        )
        numbers = self._learner.goals.numbers(task)
        self._quiet = True
        try:
            for slider, value in zip(self._sliders, numbers, strict=False):
                slider.value = _on(slider.step, value, slider.min, slider.max)
        finally:
            self._quiet = False

    def pressed(self, busy: bool, steps: int) -> None:
        """What the buttons say."""
        self._adapt.label = "Adapt: take one step" if not steps else f"Take step {steps + 1}"
        self._again.disabled = self._reset.disabled = not steps and not busy

    # -- Parts ---------------------------------------------------------------------------------

    def _task_folder(self) -> None:
        goals, session, gui = self._learner.goals, self._session, self._gui
        with gui.add_folder("Task"):
            if goals.clickable:
                gui.add_html(note("Click a goal on the floor, or set it here."))
            start = goals.numbers(session.current)
            for slider, value in zip(goals.sliders, start, strict=False):
                handle = gui.add_slider(
                    slider.label,
                    min=slider.low,
                    max=slider.high,
                    step=slider.step,
                    initial_value=_on(slider.step, value, slider.low, slider.high),
                )
                handle.on_update(self._slid)
                self._sliders.append(handle)
            words = goals.words()
            chooser = gui.add_dropdown("held-out", ["choose", *words], initial_value="choose")

            @chooser.on_update
            def _(_: Any) -> None:
                if chooser.value in words:
                    session.choose(tree_index(goals.heldout, words.index(chooser.value)))

    def _slid(self, event: Any) -> None:
        # Only what a person moved: setting a slider from here calls this too.
        if self._quiet or event.client is None:
            return
        numbers = tuple(float(slider.value) for slider in self._sliders)
        self._session.choose(self._learner.goals.task(numbers))

    def _buttons(self) -> None:
        gui, session = self._gui, self._session
        self._adapt = gui.add_button("Adapt: take one step", color=(31, 135, 200))
        self._adapt.on_click(lambda _: session.adapt())
        self._again = gui.add_button("Again, with other noise", disabled=True)
        self._again.on_click(lambda _: session.again())
        self._reset = gui.add_button("Reset", disabled=True)
        self._reset.on_click(lambda _: session.reset())

    def _controls(self) -> None:
        gui, session = self._gui, self._session
        missing = self._learner.lacks()
        with gui.add_folder("Show beside it", expand_by_default=False):
            boxes = {}
            for name in CONTROLS:
                if name in missing:
                    gui.add_html(note(f"{_LABELS[name]}: {missing[name]}."))
                    continue
                boxes[name] = gui.add_checkbox(_LABELS[name], initial_value=False)

            def changed(_: Any) -> None:
                session.show([name for name, box in boxes.items() if box.value])

            for box in boxes.values():
                box.on_update(changed)

    def _options(self, look: Callable[[], None], speed: Callable[[float], None]) -> None:
        gui, session, learner = self._gui, self._session, self._learner
        counts = episode_choices(learner)
        with gui.add_folder("How", expand_by_default=False):
            episodes = gui.add_dropdown(
                "episodes a step", [str(x) for x in counts], initial_value=str(counts[0])
            )
            noise = gui.add_checkbox("action noise", initial_value=False)
            speeds = gui.add_dropdown("speed", list(_SPEEDS), initial_value="0.5")
            camera = gui.add_button("Camera back")
        episodes.on_update(lambda _: session.set(episodes=int(episodes.value)))
        noise.on_update(lambda _: session.set(noise=bool(noise.value)))
        speeds.on_update(lambda _: speed(float(speeds.value)))
        camera.on_click(lambda _: look())

    def _training(self) -> Any:
        with self._gui.add_folder("Training", expand_by_default=len(self._session.learners) > 1):
            return self._gui.add_html("")


def _on(step: float, value: float, low: float, high: float) -> float:
    """The nearest number that a slider can have."""
    digits = max(0, round(-np.log10(step)))
    return round(float(np.clip(value, low, high)), digits)


#: Ticks the box below where the system is dark, and whenever that changes. It is run by a picture
#: that is none: of the HTML that viser puts into a page, nothing else is.
_FOLLOW = """
const system = matchMedia('(prefers-color-scheme: dark)');
const follow = () => {
  const mark = document.querySelector('[data-gmps=colours]');
  const box = [...document.querySelectorAll('input[type=checkbox]')]
    .find((x) => mark.compareDocumentPosition(x) === Node.DOCUMENT_POSITION_FOLLOWING);
  if (!box) setTimeout(follow, 50);
  else if (box.checked !== system.matches) box.click();
};
if (!window.gmpsFollows) {
  window.gmpsFollows = true;
  system.addEventListener('change', follow);
  follow();
}
"""


def add_colours(client: Any) -> None:
    """Light or dark, at first as the system is, with a box to tick below all other controls."""
    theme(client, False)
    client.gui.add_html(
        f'<img data-gmps="colours" alt="" hidden src="data:," onerror="{escape(_FOLLOW)}">',
        order=_LAST,
    )
    dark = client.gui.add_checkbox("dark", initial_value=False, order=_LAST + 1)
    dark.on_update(lambda _: theme(client, bool(dark.value)))


def theme(client: Any, dark: bool) -> None:
    """Light or dark, without viser's button that opens a tunnel to the outside."""
    client.gui.configure_theme(
        dark_mode=dark,
        show_logo=False,
        show_share_button=False,
        control_width="large",
        brand_color=(31, 135, 200),
    )


def episode_choices(learner: Learner) -> tuple[int, ...]:
    """How many episodes a step may take: as in training, and fewer."""
    n = learner.episodes
    return tuple(dict.fromkeys(max(learner.least, x) for x in (n, n // 2, n // 4)))


def title(learners: Sequence[Learner]) -> str:
    """What is shown, as HTML."""
    names = " and ".join(dict.fromkeys(learner.name for learner in learners))
    first = learners[0]
    numbers = " and ".join(str(learner.round) for learner in learners)
    rounds = f"round{'s' * (len(learners) > 1)} {numbers}"
    return (
        f'<div style="padding:.6em .9em .2em"><b>{escape(names)}</b><div style="font-size:.8em;'
        f'opacity:.7">{escape(first.family.name)}, {escape(rounds)}. '
        f"{escape(first.family.summary)}</div></div>"
    )
