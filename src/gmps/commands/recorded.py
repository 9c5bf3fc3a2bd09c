"""`gmps adapt RUN|POLICY --episodes FILE`: from episodes that were recorded elsewhere."""

from pathlib import Path
from typing import Any

from gmps.commands.cli import console
from gmps.core.types import stack, tree_index
from gmps.deploy import load, read_episodes
from gmps.deploy.folder import META
from gmps.runs.new_file import require_new_file
from gmps.runs.policy_file import save_policy
from gmps.runs.run import Run
from gmps.training.config import TrainConfig
from gmps.training.experiment import load_experiment
from gmps.training.export import spaces
from gmps.training.recorded import as_trajectories, require_held
from gmps.training.train import restore
from gmps.version import __version__


def is_meta_policy(folder: str) -> bool:
    """Whether a folder is one that `gmps export` wrote."""
    return (Path(folder) / META).is_file()


def adapt_meta_policy(folder: str, source: str, out: str | None) -> None:
    """Adapt an exported policy, in numpy, and say whether it may be trusted."""
    meta = load(folder)
    path = require_new_file(out or Path(folder) / f"adapted-{Path(source).stem}.safetensors")
    policy = meta.adapt(source)
    trust = meta.trust
    assert trust is not None
    console.print(str(trust), style=None if trust.trusted else "bold red")
    path.parent.mkdir(parents=True, exist_ok=True)
    policy.save(path)
    console.print(f"written: {path}")


def adapt_run(
    folder: str, source: str, out: str | None, checkpoint: str, family: str | None
) -> None:
    """Adapt a run's policy, in JAX: the step that training took."""
    run = Run.open(folder)
    path = require_new_file(out or run.path / f"adapted-{Path(source).stem}.safetensors")
    episodes = read_episodes(source)
    config = run.load_config(TrainConfig)
    experiment = load_experiment(run, config, family=family)
    method = experiment.method
    require_held(method, episodes)
    data = as_trajectories(experiment.world.family, episodes)
    state, metadata = restore(run, config, experiment, checkpoint)
    policies: Any = method.adapt(state, stack(method.policy(state), 1), data)
    console.print(
        f"{config.family}: {len(episodes)} recorded episodes, returns "
        f"{float(data.returns.min()):.4g} to {float(data.returns.max()):.4g}"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    adapted = tree_index(policies, 0).export()
    save_policy(
        path,
        adapted,
        {
            "family": config.family,
            "spaces": spaces(experiment.world, adapted),
            "episodes_from": str(source),
            "episodes": len(episodes),
            "steps": 1,
            "run_round": metadata["round"],
            "gmps": __version__,
        },
    )
    console.print(f"written: {path}")
