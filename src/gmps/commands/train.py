"""`gmps train FAMILY`."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

import tyro

from gmps.commands.cli import console, leading, parse
from gmps.commands.expert import train_in
from gmps.commands.session import train_and_judge
from gmps.errors import GmpsError
from gmps.methods.registry import METHODS
from gmps.runs.run import Run, refuse_taken
from gmps.tasks import family_names, make_family
from gmps.training.config import PRESETS, Preset, TrainConfig, preset
from gmps.training.experiment import OWN_EXPERT, prepare, require_fit, trains_expert


@dataclass(frozen=True)
class Train:
    """Meta-train a policy, judge it on held-out tasks beside its controls, and write a report.

    example:
      gmps train sawyer-push --rounds 60 --seed 0 --run runs/push
      gmps train ant-goal
      gmps train ant-goal --expert runs/ant-expert
      gmps train ant-goal --demos ant-goal-demos.npz --gmps.std 0.5
      gmps train sawyer-push --method maml --maml.outer ppo
    """

    run: str | None = None
    """Folder of the run, by default runs/FAMILY-METHOD-seedS. It must not exist yet."""
    preset: Preset = "default"
    """Defaults of all other options: tuned for the family, or the paper's recipe."""
    config: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(
        default_factory=lambda: TrainConfig("")
    )


def run(argv: Sequence[str]) -> int:
    """Train, evaluate, report."""
    family, options = leading(argv, "train", "FAMILY", f"Families: {', '.join(family_names())}.")
    name_of_family = make_family(family).name  # an unknown one is said before anything else
    name = _preset_of(options)
    command = parse(Train, options, f"train {family}", Train(None, name, preset(family, name)))
    config = command.config
    refuse_others(options, config.method)
    folder = command.run or f"runs/{name_of_family}-{config.method}-seed{config.seed}"
    refuse_taken(folder)
    require_fit(config)
    if trains_expert(config):
        with Run.create(folder, config, config.keep) as opened:
            two_phases(opened, config)
        return 0
    # Bad data are said before the folder exists.
    experiment = prepare(config, question=True)
    with Run.create(folder, config, config.keep) as opened:
        train_and_judge(opened, config, experiment)
    return 0


def refuse_others(options: Sequence[str], method: str) -> None:
    """Raise GmpsError if an option sets something of a method that is not trained."""
    others = {e.settings: name for name, e in METHODS.items() if name != method}
    for word in options:
        owner = word.removeprefix("--").partition(".")[0].replace("-", "_")
        if word.startswith("--") and "." in word and owner in others:
            raise GmpsError(
                f"{word.partition('=')[0]} is a setting of {others[owner]}, but the method is "
                f"{method}: leave it out, or choose --method {others[owner]}."
            )


def two_phases(run: Run, config: TrainConfig) -> None:
    """Train experts in the run's folder, or go on there, then the meta-learner."""
    console.print("Phase 1 of 2: no demonstrations and no expert are given, so SAC makes experts.")
    train_in(run.path / OWN_EXPERT, replace(config.sac, threads=config.threads))
    console.print("Phase 2 of 2: the meta-learner imitates them.")
    train_and_judge(run, config, prepare(config, run.path))


def _preset_of(options: Sequence[str]) -> Preset:
    """The preset decides the defaults, so it is read before the other options."""
    for i, word in enumerate(options):
        value = word.partition("=")[2] or (options[i + 1] if i + 1 < len(options) else "")
        if word.partition("=")[0] == "--preset" and value in PRESETS:
            return value  # pyright: ignore[reportReturnType]
    return "default"
