"""Which trackers there are: reading it imports none of them, and no JAX."""

import importlib.util
from collections.abc import Sequence
from typing import Literal, get_args

from gmps.errors import GmpsError

Tracker = Literal["tensorboard", "wandb", "mlflow", "trackio"]
#: The tracker's class, and the package that it takes.
KINDS: dict[str, tuple[str, str]] = {
    "tensorboard": ("TensorBoard", "tensorboardX"),
    "wandb": ("Wandb", "wandb"),
    "mlflow": ("MLflow", "mlflow"),
    "trackio": ("Trackio", "trackio"),
}


def require_trackers(names: Sequence[str]) -> None:
    """That there are such trackers, and their packages; asked before anything long begins.

    Raises:
        GmpsError: naming the tracker, and what to install.
    """
    for name in names:
        if name not in KINDS:
            raise GmpsError(
                f"There is no tracker {name!r}; choose among {', '.join(get_args(Tracker))}."
            )
        package = KINDS[name][1]
        if importlib.util.find_spec(package) is None:
            raise GmpsError(
                f"--track {name} takes the package {package}, which is not installed: "
                'pip install "gmps[track]".'
            )
