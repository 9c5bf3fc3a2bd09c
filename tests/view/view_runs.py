"""Small runs to look at, and a display that remembers what it was told."""

import threading
from dataclasses import replace
from pathlib import Path

import gmps
from gmps.presets import preset


def small_run(folder: Path, family: str = "point-goal", rounds: int = 1, **changes) -> Path:
    """A run that was hardly trained."""
    config = preset(family, "gmps-latent")
    settings = replace(
        config.settings, episodes=20, pretrain_steps=400, outer_steps=20, hidden=(32, 32), **changes
    )
    evaluation = replace(config.evaluation, episodes=20)
    config = replace(
        config,
        rounds=rounds,
        train_tasks=8,
        expert_episodes=1,
        settings=settings,
        evaluation=evaluation,
    )
    return gmps.train(config, folder, evaluate=False).path


class Remembers:
    """A display that keeps what it is told, in order."""

    def __init__(self):
        self.told: list[tuple] = []
        self._change = threading.Condition()

    def _tell(self, *what) -> None:
        with self._change:
            self.told.append(what)
            self._change.notify_all()

    def progress(self, progress) -> None:
        self._tell("progress", progress.text, progress.share)

    def explored(self, explored, steps) -> None:
        self._tell("explored", list(explored), steps)

    def played(self, played, steps, seconds) -> None:
        self._tell("played", list(played), steps, seconds)

    def failed(self, sentence) -> None:
        self._tell("failed", sentence)

    def task(self, task, warning) -> None:
        self._tell("task", task, warning)

    def wait(self, kind: str, count: int = 1, seconds: float = 60.0) -> tuple:
        """The `count`th thing of this kind."""
        found = lambda: [x for x in self.told if x[0] == kind]  # noqa: E731
        with self._change:
            if not self._change.wait_for(lambda: len(found()) >= count, seconds):
                raise AssertionError(f"{kind} was not told {count} times: {self.told}")
        return found()[count - 1]

    def kinds(self) -> list[str]:
        """What kinds of things were told, in order."""
        return [x[0] for x in self.told]
