"""What `gmps eval` does."""

from gmps.commands.cli import console
from gmps.commands.eval import Eval
from gmps.commands.session import TerminalSession
from gmps.errors import GmpsError
from gmps.metaworld.family import MetaWorld
from gmps.metaworld.harness import JUDGE, Harness, run_harness, write_harness
from gmps.runs.run import HARNESS, Run
from gmps.training.config import TrainConfig, with_environments
from gmps.training.cost import require_evaluation_memory
from gmps.training.experiment import Experiment, load_experiment, run_family
from gmps.training.judge import with_evaluation
from gmps.training.train import restore


def evaluate(opened: Run, stored: TrainConfig, command: Eval) -> None:
    """Evaluate and report."""
    family = run_family(opened, stored, command.family)
    if command.harness == "metaworld" and not isinstance(family, MetaWorld):
        raise GmpsError(
            f"--harness metaworld judges Meta-World's benchmarks, but {opened.path} is a run on "
            f"{stored.family}."
        )
    require_evaluation_memory(command.config, family)
    config = with_environments(with_evaluation(stored, command.config), command.environments)
    own = command.harness == "own"
    experiment = load_experiment(opened, config, family=command.family, ask=own)
    if not own:
        _by_metaworld(opened, config, experiment, command)
    else:
        TerminalSession().judge(opened, config, experiment, command.checkpoint)


def _by_metaworld(run: Run, config: TrainConfig, experiment: Experiment, command: Eval) -> None:
    """Let Meta-World's harness judge, write its figures and print them."""
    family = experiment.world.family
    assert isinstance(family, MetaWorld)
    state, metadata = restore(run, config, experiment, command.checkpoint)
    with console.status("Meta-World's harness is judging"):
        splits = run_harness(experiment.method, state, family, command.metaworld)
    found = Harness(
        harness=JUDGE,
        family=config.family,
        method=config.method,
        seed=config.seed,
        checkpoint_round=metadata["round"],
        settings=command.metaworld,
        horizon_of_adaptation=family.horizon,
        splits=splits,
        steps=metadata["env_steps"],
    )
    write_harness(run.path, found)
    for split, counts in found.splits.items():
        for condition, row in (("before", counts.before), ("after", counts.after)):
            kinds = ", ".join(f"{kind} {x:.0%}" for kind, x in row.kinds.items())
            console.print(
                f"{split}, {condition} adaptation: success {row.success:.1%}, return "
                f"{row.mean_return:.0f}  ({kinds})"
            )
    console.print(f"figures {run.path / HARNESS}")
