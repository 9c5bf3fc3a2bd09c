"""`gmps resume RUN`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from gmps.commands.cli import late, leading
from gmps.commands.options import Choice, first_stage, second_stage
from gmps.errors import GmpsError
from gmps.settings import Settings
from gmps.tracking.kinds import Tracker, require_trackers
from gmps.training.config import FREE, TrainConfig


@dataclass(frozen=True)
class Resume(Settings):
    """Go on with an interrupted run, or with a finished one for more rounds.

    Settings that change the outcome must be those the run was started with.

    example:
      gmps resume runs/push
      gmps resume runs/push --rounds 100

    `--help-all` lists every option.
    """

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    family: str | None = None
    """Another definition of the run's family, as FILE.py:NAME, in place of the run's own."""
    track: Annotated[tuple[Tracker, ...], tyro.conf.UseAppendAction] = ()
    """Tell further experiment trackers; those that were told of the run are told again."""
    eval: bool = True
    """Judge the policy at the end; `gmps eval` does so later."""


def run(argv: Sequence[str]) -> int:
    """Continue, evaluate, report."""
    folder, options = leading(argv, "resume", "RUN", "RUN is a folder that `gmps train` wrote.")
    opened = late("gmps.runs.run").Run.open(folder)
    stored = opened.load_config(TrainConfig)
    choice, options = first_stage(Choice, options, "resume RUN")
    if choice.preset is not None or choice.config is not None:
        raise GmpsError("A run goes on with its own settings; leave --preset and --config out.")
    if choice.method not in (None, stored.method):
        raise GmpsError(
            f"The run {folder} was started with method {stored.method}, not {choice.method}; "
            "resume it unchanged, or start a new run with another --run."
        )
    page = (*FREE, "family", "track", "eval")
    command = second_stage(options, "resume RUN", Resume(stored), choice, page)
    config = command.config
    opened.check_config(config, FREE)
    require_trackers(command.track)
    late("gmps.commands.session").go_on(folder, config, command.family, command.eval, command.track)
    return 0
