"""`gmps train FAMILY`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from gmps.commands.cli import late, leading
from gmps.commands.options import Choice, first_stage, second_stage
from gmps.errors import GmpsError
from gmps.presets import Preset, preset
from gmps.presets.files import load_settings
from gmps.settings import Settings
from gmps.tasks import family_names, require_family
from gmps.tracking.kinds import Tracker, require_trackers
from gmps.training.config import TrainConfig

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
    require_family(family)  # an unknown one is said before anything else
    prog = f"train {family}"
    choice, options = first_stage(Choice, options, prog)
    default = Train(defaults(family, choice), None, choice.preset, choice.config)
    page = (*PAGE, "settings") if choice.method else PAGE
    command = second_stage(options, prog, default, choice, page)
    require_trackers(command.track)
    session = late("gmps.commands.session")
    session.train_new(command.config, command.run, command.eval, command.track)
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
