"""Policies that people hand on: one `.safetensors` file, read without running any code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from gmps.checkpoint import load, save, verify
from gmps.nets import GaussianPolicy, init_policy

_SIZES = "sizes"


def save_policy(path: str | Path, policy: GaussianPolicy, facts: Mapping[str, Any]) -> None:
    """Write a policy with facts about it (JSON values), atomically."""
    sizes = {
        "obs_size": int(policy.obs_mean.shape[0]),
        "act_size": int(policy.log_std.shape[0]),
        "hidden": [int(b.shape[0]) for b in policy.biases[:-1]],
        "bias_size": int(policy.bias_transform.shape[0]),
    }
    save(path, policy, {**facts, _SIZES: sizes})


def load_policy(path: str | Path) -> tuple[GaussianPolicy, dict[str, Any]]:
    """The policy of a file and the facts about it. `policy(obs)` gives mean and log std.

    Raises:
        ValueError: the file is missing, damaged, or holds no policy.
    """
    facts = verify(path)
    if _SIZES not in facts:
        raise ValueError(f"{path} holds no policy; `gmps adapt` writes policies.")
    sizes = {**facts[_SIZES], "hidden": tuple(facts[_SIZES]["hidden"])}
    like = init_policy(jax.random.key(0), **sizes)
    policy, _ = load(path, like)
    return policy, facts
