"""What a latent's step reaches from few episodes, and what steps after it add.

For each number of episodes, and each noise of the exploring actions as a share of the policy's, the
finished runs of some seeds adapt to all held-out tasks, in as many steps as asked for.
Every episode is a row of one batch, so that the simulation compiles once for all plans; latents
and steps are those of `gmps.deploy`. The policy after each step is judged without noise.

example:
  python benchmarks/few_episodes.py --name push --runs runs/push-seed0 runs/push-seed1
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from reports import over_seeds, write_report

from gmps.compile_cache import keep_compiled_programs
from gmps.deploy.adaptation import Acting, LatentStep
from gmps.deploy.episodes import Batch
from gmps.deploy.exploration import spread_evenly
from gmps.deploy.networks import GaussianNetwork
from gmps.evaluation.scores import Judged
from gmps.methods.base import policy_actor
from gmps.methods.deployed import head_arrays
from gmps.methods.latent import with_latent
from gmps.runs.run import Run
from gmps.runs.versions import collect_versions
from gmps.tasks.lists import validation_tasks
from gmps.training.config import TrainConfig
from gmps.training.experiment import load_experiment
from gmps.training.train import restore


@dataclass(frozen=True)
class FewEpisodes:
    """Settings."""

    name: str
    """Name of the study, in the name of its file."""
    runs: tuple[str, ...]
    """Finished runs of gmps-latent on one family, which are its seeds."""
    episodes: tuple[int, ...] = (5, 8, 10, 20)
    """Numbers of episodes for a step."""
    noises: tuple[float, ...] = (1.0,)
    """Noise of the exploring actions, as a share of the policy's."""
    steps: int = 3
    """Adaptation steps."""
    repeats: int = 3
    """Adaptations to each task."""
    planned: int | None = None
    """Episodes that were planned: those of a step are then the first of so many, where exploring
    was stopped early."""
    split: Judged = "heldout"
    """Which tasks: settings are chosen on the validation tasks."""
    rows: int = 480
    """Episodes that are simulated at a time."""
    out: str = "benchmarks/results"
    """Folder of the results."""


class Simulation:
    """A run's policy, played at any latents."""

    def __init__(self, folder: str, rows: int):
        run = Run.open(folder)
        config = run.load_config(TrainConfig)
        experiment = load_experiment(run, config)
        self.seed, self.rows = config.seed, rows
        self.world, method = experiment.world, experiment.method
        state, _ = restore(run, config, experiment)
        found = method.deployed(state)
        self.net, self.latent = found.policy, found.latent
        kept = {k: v for k, v in found.adaptation.items() if k != "kind"}
        self.step = LatentStep(found.arrays, **kept)
        head = head_arrays("policy", found.policy.head)
        self.network = GaussianNetwork.read(head, "policy", found.policy.head.activation)
        self._actors = {noisy: policy_actor(self.world.family, noisy) for noisy in (True, False)}

    def play(self, z: np.ndarray, tasks: np.ndarray, noise: float, key: Any) -> Any:
        """Rewards `(n, t)` and outcomes of one episode at each latent, in each task."""
        found = []
        for start in range(0, len(z), self.rows):
            part = np.minimum(np.arange(start, start + self.rows), len(z) - 1)
            net = self.net.with_std(max(noise, 1e-6) * self.net.action_std)
            policies = jax.vmap(with_latent, (None, 0))(net, jnp.asarray(z[part], jnp.float32))
            roll = self.world.rollout(
                self._actors[True],
                policies,
                jnp.asarray(tasks[part]),
                1,
                jax.random.fold_in(key, start),
            )
            kept = slice(0, len(z) - start)
            figures = {"return": roll.trajectories.returns, **roll.outcome}
            found.append(
                (
                    np.asarray(roll.trajectories.reward)[kept, 0],
                    {name: np.asarray(x)[kept, 0] for name, x in figures.items()},
                )
            )
        rewards = np.concatenate([x for x, _ in found])
        return rewards, {k: np.concatenate([x[k] for _, x in found]) for k in found[0][1]}


def adapt(
    simulation: Simulation,
    tasks: np.ndarray,
    episodes: int,
    noise: float,
    settings: FewEpisodes,
) -> list[dict[str, np.ndarray]]:
    """Figures `(n,)` before adaptation and after each step."""
    n, key = len(tasks), jax.random.key(1000 * simulation.seed + episodes)
    assert simulation.latent is not None
    latent = tuple(np.asarray(x) for x in simulation.latent)
    acting = [Acting(simulation.network, (latent[0], latent[1]))] * n
    levels = []
    for step in range(settings.steps + 1):
        judge_key, draw_key, play_key = jax.random.split(jax.random.fold_in(key, step), 3)
        means = np.stack([a.latent[0] for a in acting if a.latent is not None])
        _, figures = simulation.play(means, tasks, 0.0, judge_key)
        levels.append(figures)
        if step == settings.steps:
            break
        rng = np.random.default_rng(np.asarray(jax.random.key_data(draw_key)))
        size, planned = means.shape[1], max(episodes, settings.planned or 0)
        held = np.stack([spread_evenly(rng, planned, size)[:episodes] for _ in range(n)])
        held = held.astype(np.float64)
        stds = np.stack([np.exp(a.latent[1]) for a in acting if a.latent is not None])
        z = (means[:, None] + stds[:, None] * held).reshape(n * episodes, -1)
        rewards, _ = simulation.play(z, np.repeat(tasks, episodes, 0), noise, play_key)
        own = rewards.reshape(n, episodes, -1).astype(np.float64)
        acting = [
            simulation.step(a, _batch(reward, h))
            for a, reward, h in zip(acting, own, held, strict=True)
        ]
    return levels


def _batch(reward: np.ndarray, held: np.ndarray) -> Batch:
    """What a step of the latent looks at; the rest has no effect."""
    nothing = np.zeros((*reward.shape, 0))
    alive = np.ones(reward.shape, bool)
    return Batch(nothing, nothing, reward, 0 * reward, alive, held, nothing[:, 0], ~alive[:, 0])


def study(settings: FewEpisodes) -> None:
    keep_compiled_programs()
    plans = [(noise, episodes) for noise in settings.noises for episodes in settings.episodes]
    found: dict[tuple[float, int], list[list[dict[str, np.ndarray]]]] = {p: [] for p in plans}
    seeds, count = [], 0
    for folder in settings.runs:
        simulation = Simulation(folder, settings.rows)
        seeds.append(simulation.seed)
        family = simulation.world.family
        if settings.split == "validation":
            tasks = np.asarray(validation_tasks(family))
        else:
            tasks = np.asarray(family.tasks(settings.split))
        count = len(tasks)
        tasks = np.repeat(tasks, settings.repeats, 0)
        for noise, episodes in plans:
            levels = adapt(simulation, tasks, episodes, noise, settings)
            found[noise, episodes].append(levels)
            words = [{k: float(f"{x.mean():.4g}") for k, x in level.items()} for level in levels]
            print(f"seed {seeds[-1]}, noise {noise}, {episodes} episodes: {words}", flush=True)
    report = {
        "about": __doc__,
        "split": settings.split,
        "planned": settings.planned,
        "tasks": count,
        "repeats": settings.repeats,
        "seeds": seeds,
        "rows": [
            {"noise": noise, "episodes": episodes, "after_steps": after_steps(levels, count)}
            for (noise, episodes), levels in found.items()
        ],
        "versions": collect_versions(),
    }
    write_report(report, Path(settings.out) / f"few-episodes-{settings.name}.json")


def after_steps(levels: list[list[dict[str, np.ndarray]]], tasks: int) -> list[dict[str, Any]]:
    """For each number of steps, each figure's mean, 95 % interval and mean of each seed."""
    rows = []
    for same in zip(*levels, strict=True):
        row = {}
        for name in same[0]:
            values = np.stack([level[name].reshape(tasks, -1).mean(1) for level in same])
            row[name] = over_seeds(values)
        rows.append(row)
    return rows


if __name__ == "__main__":
    study(tyro.cli(FewEpisodes, description=__doc__))
