"""`gmps resume RUN`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import tyro

from gmps.commands.cli import leading, parse
from gmps.commands.session import train_and_judge
from gmps.commands.train import two_phases
from gmps.runs.run import Run
from gmps.training.config import TrainConfig
from gmps.training.experiment import prepare, trains_expert

#: Settings that may differ when a run goes on: none of them changes a round that was done.
FREE = ("rounds", "threads", "checkpoint_every", "keep", "demos", "expert", "address")


@dataclass(frozen=True)
class Resume:
    """Go on with an interrupted run, or with a finished one for more rounds.

    Settings that change the outcome must be those the run was started with.

    example:
      gmps resume runs/push
      gmps resume runs/push --rounds 100
    """

    config: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(
        default_factory=lambda: TrainConfig("")
    )


def run(argv: Sequence[str]) -> int:
    """Continue, evaluate, report."""
    folder, options = leading(argv, "resume", "RUN", "RUN is a folder that `gmps train` wrote.")
    opened = Run.open(folder)
    stored = opened.load_config(TrainConfig)
    config = parse(Resume, options, "resume RUN", Resume(stored)).config
    opened.check_config(config, FREE)
    with Run.open(folder, config.keep) as opened:
        if trains_expert(config):
            two_phases(opened, config)
        else:
            train_and_judge(opened, config, prepare(config))
    return 0
