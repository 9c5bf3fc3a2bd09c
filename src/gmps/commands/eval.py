"""`gmps eval RUN`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import tyro

from gmps.commands.cli import late, leading, parse
from gmps.evaluation.settings import EvaluationConfig
from gmps.metaworld.harness_settings import HarnessConfig
from gmps.settings import Settings, setting
from gmps.training.config import TrainConfig


@dataclass(frozen=True)
class Eval(Settings):
    """Judge a run on held-out tasks: before and after 1..k steps, controls, expert.

    Writes scores.json, paths.npz and report.html into the run, replacing older ones.

    With --harness metaworld, Meta-World's own evaluation judges instead; writes harness.json.

    example:
      gmps eval runs/push --repeats 10 --steps 3
      gmps eval runs/reach --harness metaworld
    """

    checkpoint: Literal["best", "latest"] = "best"
    """The checkpoint with the best return after the update on training tasks, or the last one."""
    family: str | None = None
    """Another definition of the run's family, as FILE.py:NAME, in place of the run's own."""
    environments: int | None = setting(None, at_least=1)
    """Of Gymnasium environments, at most how many at once; by default as in training."""
    harness: Literal["own", "metaworld"] = "own"
    """Who judges; metaworld takes a run on one of its benchmarks."""
    metaworld: HarnessConfig = field(default_factory=HarnessConfig)
    """Settings of Meta-World's harness."""
    config: Annotated[EvaluationConfig, tyro.conf.arg(name="")] = field(
        default_factory=EvaluationConfig
    )


def run(argv: Sequence[str]) -> int:
    """Evaluate and report."""
    folder, options = leading(argv, "eval", "RUN", "RUN is a folder that `gmps train` wrote.")
    with late("gmps.runs.run").Run.open(folder) as opened:
        stored = opened.load_config(TrainConfig)
        command = parse(Eval, options, "eval RUN", Eval(config=stored.evaluation))
        late("gmps.commands.evaluating").evaluate(opened, stored, command)
    return 0
