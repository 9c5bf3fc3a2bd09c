"""trackio. `TRACKIO_DIR`, `TRACKIO_SPACE_ID`, `TRACKIO_SERVER_URL` and its other variables hold;
`TRACKIO_PROJECT` names the project."""

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gmps.tracking.base import ALL, PROJECT, ROUND, Facts, Row, Status, Tracker


class Trackio(Tracker):
    """A run whose steps are own environment steps; `env_steps/all` and `round` are beside them."""

    def __init__(self, facts: Facts, identity: str | None):
        import trackio  # noqa: PLC0415 - of the extra `track`, a second

        # It finds runs by their names, and several may be in folders of one name.
        self.identity = identity or f"{facts.name}-{uuid.uuid4().hex[:6]}"
        self._trackio: Any = trackio
        self._run: Any = trackio.init(
            project=os.environ.get("TRACKIO_PROJECT", PROJECT),
            name=self.identity,
            group=facts.group,
            config=dict(facts.settings),
            resume="never" if identity is None else "must",
            embed=False,
        )

    def log(self, row: Row) -> None:
        """Figures at the own environment steps."""
        self._run.log({ALL: row.all, ROUND: row.round, **row.figures}, step=row.own)

    def summary(self, figures: Mapping[str, float], own: int) -> None:
        """Figures at the last step."""
        self._run.log(dict(figures), step=own)

    def artifact(self, path: Path) -> None:
        """An artifact of one file."""
        self._run.log_artifact(str(path), name=f"{path.stem}-{self.identity}", type="result")

    def close(self, status: Status) -> None:
        """Wait until everything is delivered."""
        del status
        self._trackio.finish()
