"""`gmps train FAMILY`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from gmps.commands.cli import console, leading
from gmps.commands.expert import train_in
from gmps.commands.options import Choice, first_stage, second_stage
from gmps.commands.session import train_and_judge
from gmps.errors import GmpsError
from gmps.methods.registry import option_prefix
from gmps.presets import Preset, preset
from gmps.presets.files import load_settings
from gmps.runs.run import Run, refuse_taken
from gmps.settings import Settings
from gmps.tasks import family_names, make_family
from gmps.tracking.follow import Tracker, require_trackers
from gmps.training.config import TrainConfig
from gmps.training.experiment import (
    OWN_EXPERT,
    expert_settings,
    prepare,
    require_fit,
    trains_expert,
)

#: What most people set: the first page of help. A method that was named adds its settings.
PAGE = (
    *("run", "preset", "file", "method", "demos", "expert", "rounds", "seed", "track"),
    *("train_tasks", "random_tasks"),
)


@dataclass(frozen=True)
class Train(Settings):
    """Meta-train a policy, judge it on held-out tasks beside its controls, and write a report.

    example:
      gmps train sawyer-push --demos my-demos.npz --run runs/push
      gmps train ant-goal --expert runs/ant-expert

    `--method NAME --help` adds the settings of a method, `--help-all` everything.
    """

    config: Annotated[TrainConfig, tyro.conf.arg(name="")]
    run: str | None = None
    """Folder of the run, by default runs/FAMILY-METHOD-seedS. It must not exist yet."""
    preset: Preset | None = None
    """Defaults of all other options: tuned for the family (default), or the paper's recipe."""
    file: Annotated[str | None, tyro.conf.arg(name="config", metavar="FILE")] = None
    """Defaults from a run's config.json, or from YAML; other options change them."""
    track: Annotated[tuple[Tracker, ...], tyro.conf.UseAppendAction] = ()
    """Tell an experiment tracker: tensorboard, wandb, mlflow or trackio. May be given several
    times; see docs/tracking.md."""
    eval: bool = True
    """Judge the policy at the end; `gmps eval` does so later."""


def run(argv: Sequence[str]) -> int:
    """Train, evaluate, report."""
    family, options = leading(argv, "train", "FAMILY", f"Families: {', '.join(family_names())}.")
    found = make_family(family)  # an unknown one is said before anything else
    prog = f"train {family}"
    choice, options = first_stage(Choice, options, prog)
    default = Train(defaults(family, choice), None, choice.preset, choice.config)
    page = (*PAGE, "settings") if choice.method else PAGE
    command = second_stage(options, prog, default, choice, page)
    config = command.config
    method = option_prefix(config.method)
    folder = command.run or f"runs/{found.name}-{method}-seed{config.seed}"
    refuse_taken(folder)
    require_trackers(command.track)
    require_fit(config, found)
    if trains_expert(config, found):
        with Run.create(folder, config, config.keep) as opened:
            two_phases(opened, config, command.eval, command.track)
        return 0
    # Bad data are said before the folder exists.
    experiment = prepare(config, question=True)
    with Run.create(folder, config, config.keep) as opened:
        train_and_judge(opened, config, experiment, command.eval, command.track)
    return 0


def defaults(family: str, choice: Choice) -> TrainConfig:
    """The settings that the options change: from a file, or else those of a preset.

    Raises:
        GmpsError: the choices do not go together.
    """
    if choice.config is None:
        return preset(family, choice.method, choice.preset or "default")
    if choice.preset is not None:
        raise GmpsError("--config and --preset both say what the defaults are; leave one out.")
    config = load_settings(choice.config, family)
    if choice.method not in (None, config.method):
        raise GmpsError(
            f"{choice.config} holds settings of {config.method}, not of {choice.method}; leave "
            "--method out."
        )
    return config


def two_phases(run: Run, config: TrainConfig, judged: bool, track: Sequence[Tracker] = ()) -> None:
    """Train experts in the run's folder, or go on there, then the meta-learner; judge it."""
    console.print("Phase 1 of 2: nobody is named who answers, so SAC makes an expert.")
    if config.demos is not None:
        console.print(f"  Half of what it learns from are the demonstrations of {config.demos}.")
    settings = expert_settings(config)
    # Told beside the run itself, as one of its own.
    name = f"{run.path.absolute().name}-{OWN_EXPERT}"
    train_in(run.path / OWN_EXPERT, settings, track=track, name=name)
    console.print("Phase 2 of 2: the meta-learner imitates them.")
    train_and_judge(run, config, prepare(config, run.path), judged, track)
