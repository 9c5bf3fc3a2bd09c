"""Name the stored results whose code has changed since they were measured.

A result names the commit that it was measured with. It is stale where files that its training or
its measurement runs have changed since: the method's and the family's own, and what all runs share.
Files that name no commit, or one that the repository does not have, are named too. Commits are
counted, the most changed first. `--rerun N` measures the N anew that take the shortest, by the
command that they tell.

example:
  python benchmarks/stale.py
  python benchmarks/stale.py --rerun 2
"""

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import tyro

from gmps.methods.registry import METHODS
from gmps.tasks import family_names

#: What every training runs.
SHARED = ("core", "worlds", "sim", "data", "training", "tasks/base.py", "methods/base.py")
#: What a measurement of that name runs, with its script.
BENCHMARKS: dict[str, tuple[str, ...]] = {
    "meta_update": ("core", "methods/gmps.py"),
    "maml_update": ("core", "methods/maml.py", "methods/outer.py"),
    "sac_speed": ("experts/sac.py", "experts/replay.py"),
    "sac_pendulum": ("experts", "training/sac_training.py"),
    "sac_experts": ("experts", "training/sac_training.py", "worlds", "sim"),
    "throughput": ("sim", "worlds", "tasks"),
    "regression": ("core", "sim", "worlds"),
    "evaluation_repeats": ("evaluation",),
    "sampling": ("sim", "worlds"),
    "sampling_profile": ("sim", "worlds"),
    "rendering": ("rendering", "sim/cameras.py", "worlds/vision_world.py"),
    "torture": ("runs", "training", "aside.py", "commands/mishaps.py"),
    "ray_kill": ("cluster.py", "training"),
    "mjx_throughput": ("sim", "worlds"),
    "warp_throughput": ("tasks/ant.py", "tasks/sawyer.py", "tasks/sawyer_push.py"),
    "deploy_act": ("deploy",),
    "demos_import": ("data",),
    "metaworld_speed": ("metaworld",),
    "metaworld_experts": ("metaworld",),
    "theory_certificates": ("theory",),
    "theory_convergence": ("theory",),
}
#: Measurements whose script has another name than their file.
SCRIPTS = {"ant-goal-experts": "sac_experts", "sawyer-push-experts": "sac_experts"}
#: Those that take a few minutes at most and write their file by `--out`: for `--rerun`, shortest
#: first.
SHORT = ("deploy_act", "demos_import", "sac_speed", "maml_update", "meta_update")


@dataclass(frozen=True)
class Stale:
    """Settings."""

    results: Path = Path("benchmarks/results")
    """Folder of the results."""
    rerun: int = 0
    """Measure so many of the short stale ones anew."""


class Finding(NamedTuple):
    """One result that is not of today's code."""

    name: str
    #: Commits since that changed what it runs; None where its commit is not known.
    commits: int | None
    why: str


def stale(settings: Stale) -> None:
    found = []
    for path in sorted(settings.results.glob("*.json")):
        finding = judged(path.stem, json.loads(path.read_text()))
        if finding is not None:
            found.append(finding)
    for finding in sorted(found, key=lambda x: -(x.commits or 10**9)):
        print(f"{finding.name:34} {finding.why}")
    print(f"{len(found)} results are stale or of unknown code.")
    names = {finding.name for finding in found}
    for name in [x for x in SHORT if x in names][: settings.rerun]:
        out = settings.results / f"{name}.json"
        words = [sys.executable, f"benchmarks/{name}.py", "--out", str(out)]
        print(shlex.join(words))
        subprocess.run(words, check=True)


def judged(name: str, content: Any) -> Finding | None:
    """What is wrong with a result; None where nothing is."""
    known = sorted(commits_of(content))
    if not known:
        return Finding(name, None, "names no commit")
    missing = [x for x in known if not exists(x)]
    if missing:
        return Finding(name, None, f"commit {missing[0][:10]} is not in the repository")
    paths = paths_of(name, content)
    count, oldest = max((changes(commit, paths), commit) for commit in known)
    dirty = " with uncommitted changes" if is_dirty(content) else ""
    if not count and not dirty:
        return None
    return Finding(name, count, f"{count} commits since {oldest[:10]}{dirty}")


def commits_of(content: Any) -> set[str]:
    """All commits that a result names, however deep."""
    if isinstance(content, dict):
        own = {content["commit"]} if isinstance(content.get("commit"), str) else set()
        return own.union(*map(commits_of, content.values()))
    return set().union(*map(commits_of, content)) if isinstance(content, list) else set()


def is_dirty(content: Any) -> bool:
    if isinstance(content, dict):
        return content.get("dirty") is True or any(map(is_dirty, content.values()))
    return isinstance(content, list) and any(map(is_dirty, content))


def paths_of(name: str, content: Any) -> list[str]:
    """What a result runs, below the repository's root."""
    script = SCRIPTS.get(name, name)
    if script in BENCHMARKS:
        return [f"benchmarks/{script}.py", *(f"src/gmps/{x}" for x in BENCHMARKS[script])]
    config = content.get("config", {}) if isinstance(content, dict) else {}
    text = f"{config.get('family', name)} {config.get('method', name)}".replace("-", "_")
    family = max(
        (x.replace("-", "_") for x in family_names() if x.replace("-", "_") in text),
        key=len,
        default="base",
    ).removesuffix("_sparse")
    own = ["metaworld"] if text.startswith("ml") else [f"tasks/{family}.py", f"presets/{family}.py"]
    methods = [config["method"]] if config.get("method") in METHODS else list(METHODS)
    own += [f"methods/{x.replace('-', '_')}.py" for x in methods]
    return [f"src/gmps/{x}" for x in (*SHARED, *own)]


def exists(commit: str) -> bool:
    return git("cat-file", "-e", f"{commit}^{{commit}}").returncode == 0


def changes(commit: str, paths: list[str]) -> int:
    """Commits after one that changed any of the paths."""
    return int(git("rev-list", "--count", f"{commit}..HEAD", "--", *paths).stdout or 0)


def git(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *words], capture_output=True, text=True, check=False)


if __name__ == "__main__":
    stale(tyro.cli(Stale, description=__doc__))
