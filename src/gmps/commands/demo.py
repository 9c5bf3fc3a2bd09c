"""`gmps demo`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gmps.commands.cli import console, parse
from gmps.commands.session import train_and_judge
from gmps.presets import preset
from gmps.runs.run import CONFIG, Run
from gmps.settings import Settings, setting
from gmps.training.config import TrainConfig
from gmps.training.experiment import load_experiment


@dataclass(frozen=True)
class Demo(Settings):
    """Train a robot hand to push a block, then adapt it to goals it has never seen.

    A scripted expert that sees the goal teaches a policy that does not. Takes some minutes on two
    cores; stopped, it goes on where it was when it is started again.

    example:
      gmps demo
    """

    run: str = "runs/demo"
    """Folder of the run."""
    rounds: int = setting(30, at_least=1)
    """Rounds of training."""


def run(argv: Sequence[str]) -> int:
    """Train or go on, and show the table."""
    command = parse(Demo, argv, "demo")
    if (Path(command.run) / CONFIG).exists():
        console.print(f"Going on with {command.run}; remove the folder to start anew.")
        opened = Run.open(command.run)
        config = opened.load_config(TrainConfig)
    else:
        config = replace(preset("sawyer-push"), rounds=command.rounds)
        opened = Run.create(command.run, config, config.keep)
    with opened:
        train_and_judge(opened, config, load_experiment(opened, config, ask=True))
    return 0
