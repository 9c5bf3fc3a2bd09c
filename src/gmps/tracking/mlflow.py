"""MLflow. `MLFLOW_TRACKING_URI` and `MLFLOW_EXPERIMENT_NAME` hold."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gmps.tracking.base import ALL, PROJECT, ROUND, Facts, Row, Status, Tracker

#: The most that one call takes.
_METRICS, _PARAMS, _PARAM_SIZE = 1000, 100, 500
_STATUS = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
#: Where runs go without `MLFLOW_TRACKING_URI`: a folder of the working directory.
_FOLDER = "mlruns"


class MLflow(Tracker):
    """A run whose steps are own environment steps; `env_steps/all` and `round` are metrics."""

    def __init__(self, facts: Facts, identity: str | None):
        # Nobody is told of the training but the tracker itself.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        # Its folders of files are the only store that takes neither a server nor a database.
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
        from mlflow import MlflowClient  # noqa: PLC0415 - of the extra `track`, three seconds
        from mlflow.entities import Metric, Param  # noqa: PLC0415

        self._metric = Metric
        place = os.environ.get("MLFLOW_TRACKING_URI") or Path(_FOLDER).absolute().as_uri()
        self._client: Any = MlflowClient(place)
        if identity is not None:
            self.identity = identity
            self._client.update_run(identity, status="RUNNING")
            return
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        found = self._client.get_experiment_by_name(name)
        experiment = self._client.create_experiment(name) if found is None else found.experiment_id
        tags = {"group": facts.group}
        made = self._client.create_run(experiment, run_name=facts.name, tags=tags)
        self.identity = made.info.run_id
        settings = [Param(k, str(v)[:_PARAM_SIZE]) for k, v in facts.settings.items()]
        for i in range(0, len(settings), _PARAMS):
            self._client.log_batch(self.identity, params=settings[i : i + _PARAMS])

    def log(self, row: Row) -> None:
        """Metrics at the own environment steps."""
        self._send({ALL: row.all, ROUND: row.round, **row.figures}, row.own)

    def summary(self, figures: Mapping[str, float], own: int) -> None:
        """Metrics at the last step."""
        self._send(figures, own)

    def artifact(self, path: Path) -> None:
        """An artifact of the run."""
        self._client.log_artifact(self.identity, str(path))

    def close(self, status: Status) -> None:
        """Say how it ended; everything is delivered already."""
        self._client.set_terminated(self.identity, _STATUS[status])

    def _send(self, figures: Mapping[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        metrics = [self._metric(k, float(v), now, step) for k, v in figures.items()]
        for i in range(0, len(metrics), _METRICS):
            self._client.log_batch(self.identity, metrics=metrics[i : i + _METRICS])
