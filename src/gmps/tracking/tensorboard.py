"""TensorBoard: event files in the run's folder, derived from its lines of figures."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gmps.tracking.base import ALL, ROUND, Facts, Row, Status, Tracker


class TensorBoard(Tracker):
    """Scalars in `tracking/events`, written anew when a training goes on: what is repeated or
    dropped then stands there once. Scores are scalars at the last step; files stay where they are.
    """

    anew = True

    def __init__(self, facts: Facts, identity: str | None):
        from tensorboardX import SummaryWriter  # noqa: PLC0415 - half a second

        del identity
        self.identity = "events"
        folder = facts.folder / self.identity
        if folder.exists():
            shutil.rmtree(folder)
        self._writer: Any = SummaryWriter(str(folder))
        lines = [f"| {name} | {value} |" for name, value in facts.settings.items()]
        self._writer.add_text("settings", "\n".join(["| setting | value |", "|---|---|", *lines]))

    def log(self, row: Row) -> None:
        """Scalars at the own environment steps."""
        for name, value in {ALL: row.all, ROUND: row.round, **row.figures}.items():
            self._writer.add_scalar(name, value, row.own)

    def summary(self, figures: Mapping[str, float], own: int) -> None:
        """Scalars at the last step."""
        for name, value in figures.items():
            self._writer.add_scalar(name, value, own)

    def artifact(self, path: Path) -> None:
        """Nothing: the event files lie beside it."""

    def close(self, status: Status) -> None:
        """Flush."""
        del status
        self._writer.close()
