"""`gmps expert train FAMILY` and `gmps expert eval SOURCE ...`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from gmps.cluster import Executor
from gmps.commands.cli import late, leading, parse
from gmps.commands.options import Help, first_stage, second_stage
from gmps.errors import GmpsError
from gmps.presets import expert_preset
from gmps.settings import Settings, seed_setting, setting
from gmps.tasks import family_names, require_family
from gmps.tracking.kinds import Tracker, require_trackers
from gmps.training.sac_settings import ExpertConfig

#: The first page of help of `expert train`.
PAGE = ("run", "on", "address", "track", "kind", "rounds", "seed", "tasks", "threads")


@dataclass(frozen=True)
class Train(Settings):
    """Train SAC experts that see the task: one for all tasks, or one for each.

    A folder that holds an interrupted training goes on.

    example:
      gmps expert train sawyer-push --run runs/push-expert
      gmps expert train sawyer-push --kind per-task --tasks 5 --on ray
      gmps train sawyer-push --expert runs/push-expert

    `--help-all` lists every option.
    """

    config: Annotated[ExpertConfig, tyro.conf.arg(name="")]
    run: str | None = None
    """Folder of the run, by default runs/FAMILY-KIND-expert-seedS."""
    on: Executor = "here"
    """Where to train per-task experts: side by side here, or each as a task of a Ray cluster."""
    address: str | None = None
    """The cluster, HOST:PORT; by default one of this machine alone, started for this."""
    track: Annotated[tuple[Tracker, ...], tyro.conf.UseAppendAction] = ()
    """Tell an experiment tracker: tensorboard, wandb, mlflow or trackio. May be given several
    times; see docs/tracking.md."""


@dataclass(frozen=True)
class Eval(Settings):
    """Measure an expert in each task, without action noise.

    example:
      gmps expert eval sawyer-push --expert runs/push-expert
      gmps expert eval sawyer-push --expert my_policy.py:act --split train
    """

    expert: tuple[str, ...] = ("scripted",)
    """scripted, FILE.py:FUNCTION, or folders of `gmps expert train`."""
    split: Literal["train", "heldout", "both"] = "both"
    """The family's lists of tasks."""
    random: int | None = setting(None, at_least=1)
    """Instead: this many random tasks of the family."""
    episodes: int = setting(4, at_least=1)
    """Episodes of each task."""
    seed: int = seed_setting()
    """Seed of the episodes, and of random tasks."""


def run(argv: Sequence[str]) -> int:
    """Run `train` or `eval`."""
    word, options = leading(argv, "expert", "train|eval", "`train` makes experts, `eval` measures.")
    if word not in ("train", "eval"):
        raise GmpsError(
            f"There is no command 'expert {word}'; use `expert train` or `expert eval`."
        )
    rule = f"Families: {', '.join(family_names())}."
    family, options = leading(options, f"expert {word}", "FAMILY", rule)
    require_family(family)  # an unknown one is said before anything else
    if word == "train":
        prog = f"expert train {family}"
        wanted, options = first_stage(Help, options, prog)
        command = second_stage(options, prog, Train(expert_preset(family)), wanted, PAGE)
        config = command.config
        if command.on == "ray" and config.kind != "per-task":
            raise GmpsError("Only per-task experts are trained on a cluster; add --kind per-task.")
        if command.on != "ray" and command.address is not None:
            raise GmpsError("--address is of a Ray cluster: give --on ray too.")
        if command.on == "ray" and command.track:
            raise GmpsError("--track follows what is trained here; leave it out with --on ray.")
        require_trackers(command.track)
        training = late("gmps.commands.expert_training")
        folder = Path(command.run or training.usual_folder(config))
        training.train_in(folder, config, command.on, command.address, command.track)
    else:
        measured = parse(Eval, options, f"expert eval {family}")
        late("gmps.commands.expert_training").measure(family, measured)
    return 0
