"""Weights & Biases. `WANDB_PROJECT`, `WANDB_ENTITY`, `WANDB_MODE=offline` and its other variables
hold."""

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gmps.tracking.base import OWN, PROJECT, Facts, Row, Status, Tracker


class Wandb(Tracker):
    """A run whose axis is `env_steps/own`. Source code, git and console stay on this machine."""

    def __init__(self, facts: Facts, identity: str | None):
        # A training's faults are nobody's business but its user's.
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        import wandb  # noqa: PLC0415 - of the extra `track`, two seconds

        self.identity = identity or uuid.uuid4().hex[:8]
        self._wandb: Any = wandb
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=self.identity,
            resume="allow",
            name=facts.name,
            group=facts.group,
            dir=str(facts.folder),
            config=dict(facts.settings),
            settings=wandb.Settings(console="off", quiet=True, save_code=False, disable_git=True),
        )
        self._run.define_metric(OWN)
        self._run.define_metric("*", step_metric=OWN)

    def log(self, row: Row) -> None:
        """One line of history."""
        self._run.log(row.named())

    def summary(self, figures: Mapping[str, float], own: int) -> None:
        """Into the run's summary."""
        del own
        self._run.summary.update(dict(figures))

    def artifact(self, path: Path) -> None:
        """An artifact of one file, a new version of it where it has changed."""
        made = self._wandb.Artifact(f"{path.stem}-{self.identity}", type="result")
        made.add_file(str(path), name=path.name)
        self._run.log_artifact(made)

    def close(self, status: Status) -> None:
        """Wait until everything is delivered, or written where it is offline."""
        self._run.finish(exit_code=0 if status == "finished" else 1)
