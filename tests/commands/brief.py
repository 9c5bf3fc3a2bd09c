"""Documented commands as they stand, but with as little learning and judging as there can be."""

from collections.abc import Sequence
from dataclasses import fields

from gmps.methods.registry import option_prefix, settings_class

#: What a training leaves is judged by `gmps eval`, on the pages that name it.
_TRAIN = ["--rounds", "1", "--threads", "1", "--no-eval"]
#: Of any method's settings, those that are there.
_LEARNING = {
    "episodes": "2",
    "hidden": "8",
    "labels": "5",
    "pretrain_steps": "5",
    "pretrain_labels": "5",
    "outer_steps": "1",
    "steps": "1",
    "capacity": "50",
    "gradient_steps": "2",
    "practice_episodes": "2",
    "practice_tasks": "2",
    "prior_episodes": "1",
    "collect": "2",
    "meta_batch": "2",
    "context": "8",
    "stds": "0.3",
    "measure_episodes": "1",
    "width": "8",
    "layers": "1",
    "remembered": "5",
    "trials": "1",
    "memory": "8",
    "advantage_hidden": "8",
}
_SAC = [
    *("--rounds", "1", "--tasks", "2", "--gradient-steps", "1", "--evaluation-episodes", "1"),
    *("--sac.hidden", "8", "--sac.batch", "8", "--threads", "1"),
]
_EVALUATION = [
    *("--episodes", "2", "--steps", "1", "--repeats", "2", "--evaluation-episodes", "1"),
    *("--tasks", "2"),
]
#: The plain control, which a run's own settings fit when it is judged.
_PLAIN = [
    *("--plain.steps", "2", "--plain.episodes", "2", "--plain.stds", "0.3"),
    *("--plain.step-sizes", "0.1", "--plain.measure-episodes", "1"),
]
#: What is added to a command, by its first words: the last of two that differ counts.
_ADDED: dict[str, list[str]] = {
    "resume": ["--rounds", "2"],
    "eval": _EVALUATION,
    "adapt": ["--episodes", "2"],
    "render": ["--episodes", "2"],
    "diagnose": ["--episodes", "2", "3", "--repeats", "4", "--measure-episodes", "1"],
    "certify": [
        *("--tasks", "1", "--adaptation-episodes", "2", "--sampling.repeats", "1"),
        *("--sampling.episodes", "2", "--sampling.states", "2", "--sampling.pairs", "1"),
        *("--sampling.continuations", "1"),
    ],
    "expert train": _SAC,
    "expert eval": ["--episodes", "1"],
    "demos record": ["--episodes", "1"],
    "sweep": ["--dry-run"],
    "view": ["--tasks", "2"],
}


def brief(words: Sequence[str]) -> list[str]:
    """The words of a command after `gmps`, cut down."""
    if words[0] == "train":
        return [*words, *_training(words)]
    for start, added in _ADDED.items():
        if list(words[: len(start.split())]) == start.split():
            harness = ["--metaworld.evals", "1", "--metaworld.adaptation-episodes", "2"]
            return [*words, *added, *(harness if "--harness" in words else [])]
    return list(words)


def _training(words: Sequence[str]) -> list[str]:
    method = "gmps" if "paper" in words else "gmps-latent"
    if "--method" in words:
        method = words[words.index("--method") + 1]
    added = [*_TRAIN, *_PLAIN]
    names = {field.name for field in fields(settings_class(method))}
    for name in _LEARNING.keys() & names:
        added += [f"--{option_prefix(method)}.{name.replace('_', '-')}", _LEARNING[name]]
    if "sac" in names:
        prefix = option_prefix(method)
        added += [f"--{prefix}.sac.hidden", "8", f"--{prefix}.sac.batch", "8"]
    if "--expert" not in words and words[1].startswith("ant"):
        added += _under("sac", _SAC)
    if "--demos" not in words:
        added += ["--expert-episodes", "1"]
        # Of random tasks few are drawn, of listed ones few are taken.
        added += ["--random-tasks" if "--random-tasks" in words else "--train-tasks", "3"]
    return added


def _under(prefix: str, words: Sequence[str]) -> list[str]:
    return [f"--{prefix}.{w.removeprefix('--')}" if w.startswith("--") else w for w in words]
