"""`gmps eval RUN`."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import tyro

from gmps.cli import leading, parse
from gmps.commands.session import judge
from gmps.config import TrainConfig
from gmps.evaluate import EvaluationConfig
from gmps.experiment import prepare
from gmps.run import Run


@dataclass(frozen=True)
class Eval:
    """Judge a run on held-out tasks: before and after 1..k steps, controls, expert.

    Writes scores.json, paths.npz and report.html into the run, replacing older ones.

    example:
      gmps eval runs/push --repeats 10 --steps 3
    """

    checkpoint: Literal["best", "latest"] = "best"
    """The checkpoint with the best return after the update on training tasks, or the last one."""
    config: Annotated[EvaluationConfig, tyro.conf.arg(name="")] = field(
        default_factory=EvaluationConfig
    )


def run(argv: Sequence[str]) -> int:
    """Evaluate and report."""
    folder, options = leading(argv, "eval", "RUN", "RUN is a folder that `gmps train` wrote.")
    with Run.open(folder) as opened:
        stored = opened.load_config(TrainConfig)
        command = parse(Eval, options, "eval RUN", Eval(config=stored.evaluation))
        config = replace(stored, evaluation=command.config)
        judge(opened, config, prepare(config, opened.path), command.checkpoint)
    return 0
