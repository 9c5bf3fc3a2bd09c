"""How often `trust` doubts adaptations that are good, and rewards that say nothing.

Finished runs adapt to held-out tasks through `gmps.deploy`, from episodes of our own simulation,
and `MetaPolicy.trust` judges each adaptation. Then the same episodes are given rewards that say
nothing, or less, and are judged again. An adaptation counts as good where the policy without noise
earns no less after it than before.

example:
  python benchmarks/trust.py --name push --runs runs/push-seed0 runs/push-seed1
"""

import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from reports import write_report

import gmps.deploy
from gmps.compile_cache import keep_compiled_programs
from gmps.core.types import Trajectories, stack, task_count
from gmps.deploy import RecordedEpisode
from gmps.runs.run import Run
from gmps.runs.versions import collect_versions
from gmps.tasks.choices import Split
from gmps.training.config import TrainConfig
from gmps.training.experiment import load_experiment
from gmps.training.export import export
from gmps.training.train import restore

Episodes = list[RecordedEpisode]


@dataclass(frozen=True)
class TrustStudy:
    """Settings."""

    name: str
    """Name of the study, in the name of its file."""
    runs: tuple[str, ...]
    """Runs of one method on one family, which are its seeds; policies act on states."""
    episodes: tuple[int, ...] = (10, 20)
    """Numbers of episodes for a step."""
    repeats: int = 2
    """Adaptations to each task."""
    split: Split = "heldout"
    """Which tasks."""
    out: str = "benchmarks/results"
    """Folder of the results."""


def recorded(data: Trajectories, task: int) -> Episodes:
    """A task's episodes as a robot records them: each to its end, mirrored ones together."""
    count = data.alive.shape[1]
    pairs = np.arange(count - count % 2).reshape(2, -1).T.ravel()
    found = []
    for e in [*pairs, *range(len(pairs), count)]:
        steps = int(data.alive[task, e].sum())
        rows = [
            np.asarray(x[task, e])[:steps] for x in (data.obs, data.act, data.reward, data.log_prob)
        ]
        last, ended = np.asarray(data.last_obs[task, e]), bool(data.terminated[task, e])
        found.append(RecordedEpisode(*rows, np.asarray(data.held[task, e]), last, ended))
    return found


def spoiled(episodes: Episodes, rng: np.random.Generator) -> Iterator[tuple[str, Episodes]]:
    """The same episodes with rewards that say nothing, or less."""

    def given(rewards: Sequence[np.ndarray]) -> Episodes:
        return [replace(e, reward=r) for e, r in zip(episodes, rewards, strict=True)]

    own = [e.reward for e in episodes]
    everything = np.concatenate(own)
    usual, spread = everything.mean(), everything.std()
    others = [own[i] for i in rng.permutation(len(own))]
    # An episode that outlasts the one whose rewards it is given earns what is usual from there on.
    handed = [np.full_like(r, usual) for r in own]
    for mine, other in zip(handed, others, strict=True):
        steps = min(len(mine), len(other))
        mine[:steps] = other[:steps]
    yield "of other episodes", given(handed)
    noise = [(usual + spread * rng.standard_normal(len(r))).astype(np.float32) for r in own]
    yield "noise", given(noise)
    yield "constant", given([np.full_like(r, usual) for r in own])
    top = np.quantile(everything, 0.1)
    yield "saturated from the lowest tenth", given([np.minimum(r, top) for r in own])
    returns = np.array([r.sum() for r in own])
    off = returns.std() * rng.standard_normal(len(own))
    yield (
        "half of the returns' variance noise",
        given([(r + x / len(r)).astype(np.float32) for r, x in zip(own, off, strict=True)]),
    )


def judged(folder: Path, episodes: Episodes) -> list[str]:
    """The doubts about the adaptation from these episodes."""
    meta = gmps.deploy.load(folder)
    meta.adapt(episodes)
    assert meta.trust is not None
    return list(meta.trust.doubts)


def of_run(folder: str, settings: TrustStudy) -> dict[int, dict[str, list[list[str]]]]:
    """For each number of episodes and kind of rewards, the doubts of each adaptation."""
    run = Run.open(folder)
    config = run.load_config(TrainConfig)
    experiment = load_experiment(run, config)
    world, method, data = experiment.world, experiment.method, experiment.data
    state, metadata = restore(run, config, experiment)
    tasks = world.family.tasks(settings.split)
    count = task_count(tasks) * settings.repeats
    tasks = jax.tree.map(lambda x: jnp.repeat(x, settings.repeats, axis=0), tasks)
    start = stack(method.policy(state), count)
    key = jax.random.key(config.seed)
    facts: dict[str, Any] = {"family": config.family, "method": config.method, "scores": None}
    facts |= {"seed": config.seed, "round": metadata["round"], "versions": {}, "return": None}
    facts["episodes"] = config.evaluation.episodes

    def level(policies: Any) -> np.ndarray:
        judge = method.actor(stochastic=False)
        seen = world.rollout(judge, policies, tasks, 2, jax.random.fold_in(key, 1000))
        return np.asarray(seen.trajectories.returns).mean(1)

    found: dict[int, dict[str, list[list[str]]]] = {}
    before, rng = level(start), np.random.default_rng(config.seed)
    with tempfile.TemporaryDirectory() as place:
        policy = Path(place) / "policy"
        gmps.deploy.save(policy, *export(method, state, data.tasks, data.demos, facts))
        for episodes in settings.episodes:
            rows = found.setdefault(episodes, {"good": [], "bad": []})
            at = jax.random.fold_in(key, episodes)
            seen = world.rollout(method.actor(), start, tasks, episodes, at).trajectories
            good = level(method.adapt(state, start, seen)) >= before
            for task in range(count):
                own = recorded(seen, task)
                rows["good" if good[task] else "bad"].append(judged(policy, own))
                for kind, others in spoiled(own, rng):
                    rows.setdefault(kind, []).append(judged(policy, others))
            words = {k: f"{sum(map(bool, v))}/{len(v)}" for k, v in rows.items()}
            print(f"{folder}, {episodes} episodes, doubted: {words}", flush=True)
    return found


def study(settings: TrustStudy) -> None:
    keep_compiled_programs()
    seeds = []
    for folder in settings.runs:
        seeds.append(of_run(folder, settings))
        write(settings, seeds)


def write(settings: TrustStudy, seeds: list[dict[int, dict[str, list[list[str]]]]]) -> None:
    """The results of the runs so far."""
    first = Run.open(settings.runs[0])
    rows = {}
    for episodes in settings.episodes:
        kinds = seeds[0][episodes]
        of_kind = {k: [doubts for seed in seeds for doubts in seed[episodes][k]] for k in kinds}
        rows[str(episodes)] = {
            kind: {
                "adaptations": len(found),
                "doubted": sum(map(bool, found)),
                "doubted of each seed": [sum(map(bool, seed[episodes][kind])) for seed in seeds],
                "reasons": reasons(found),
            }
            for kind, found in of_kind.items()
        }
    report = {
        "about": __doc__,
        "family": first.config["family"],
        "method": first.config["method"],
        "split": settings.split,
        "repeats": settings.repeats,
        "seeds": len(seeds),
        "episodes": rows,
        "versions": collect_versions(),
    }
    write_report(report, Path(settings.out) / f"trust-{settings.name}.json")


def reasons(found: list[list[str]]) -> dict[str, int]:
    """How often each doubt was said, without its numbers."""
    words = [re.sub(r"[-\d.]+", "#", doubt) for doubts in found for doubt in doubts]
    return {word: words.count(word) for word in sorted(set(words))}


if __name__ == "__main__":
    study(tyro.cli(TrustStudy, description=__doc__))
