"""`gmps sweep FAMILY`."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from gmps.cluster import Executor
from gmps.commands.cli import late, leading, parse
from gmps.presets import Preset
from gmps.settings import SEED_MAX, Settings, setting
from gmps.tasks import family_names, require_family


@dataclass(frozen=True)
class Sweep(Settings):
    """Train every setting of a grid with several seeds; choose by validation tasks.

    Finished runs are read, interrupted ones go on: the same command continues a sweep. Machines
    that share the folder each take a part of it.

    example:
      gmps sweep sawyer-push --method maml --dry-run
      gmps sweep sawyer-push --grid gmps.std=0.2,0.3 gmps.step-size=0.05,0.1 --seeds 0 1
      gmps sweep sawyer-push --method maesn --on ray --address auto
      gmps sweep ant-goal --method gmps --shard 3/40 --options="--expert runs/ant-expert"
    """

    method: str = "gmps"
    """What to sweep: a method, or sac for the contextual expert."""
    grid: tuple[str, ...] = ()
    """What to try, as OPTION=VALUE,VALUE in the words of `gmps train`; by default the sweep of the
    paper's appendix D."""
    seeds: tuple[int, ...] = setting((0, 1, 2), at_least=0, at_most=SEED_MAX, not_empty="seed")
    """Seeds of each setting."""
    preset: Preset = "default"
    """The settings that the grid varies: tuned for the family, or the paper's. Not for sac."""
    options: str = ""
    """Other options of `gmps train`, the same for all runs, as in --options="--rounds 50"."""
    runs: str | None = None
    """Folder of the runs, by default runs/sweep-FAMILY-METHOD."""
    shard: str = "1/1"
    """Which part of the runs is trained here: 2/8 is the second of eight."""
    on: Executor = "here"
    """Where runs are trained: one after the other in this process, or as tasks of a Ray cluster,
    which needs gmps[ray] and a folder that all its nodes see."""
    address: str | None = None
    """Address of the Ray cluster, HOST:PORT or auto; by default a cluster of this machine alone."""
    dry_run: bool = False
    """Print the commands and train nothing."""

    def rules(self) -> None:
        """A cluster's address needs a cluster, and a choice needs scores."""
        if "--no-eval" in shlex.split(self.options):
            self.refuse("options", "a sweep chooses by scores: leave --no-eval out")
        if self.address is not None and self.on != "ray":
            self.refuse("address", "it is of a Ray cluster: give --on ray too")


def run(argv: Sequence[str]) -> int:
    """Train what is missing, print the table."""
    name, options = leading(argv, "sweep", "FAMILY", f"Families: {', '.join(family_names())}.")
    require_family(name)
    command = parse(Sweep, options, f"sweep {name}")
    return late("gmps.commands.sweeping").sweep(name, command)
