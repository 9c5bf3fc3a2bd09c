"""Policies that people hand on: one `.safetensors` file, read without running any code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from gmps.core.policy import Policy, init_policy
from gmps.errors import GmpsError
from gmps.runs.checkpoint import load, save, verify

_SIZES = "sizes"


def save_policy(path: str | Path, policy: Policy, facts: Mapping[str, Any]) -> None:
    """Write a policy with facts about it (JSON values), atomically."""
    head = policy.head
    sizes = {
        "obs_size": policy.obs_size,
        "camera": policy.encoder.needs_frames,
        "act_size": int(head.log_std.shape[0]),
        "hidden": [int(b.shape[0]) for b in head.biases[:-1]],
        "bias_size": int(head.bias_transform.shape[0]),
        "activation": head.activation,
    }
    save(path, policy, {**facts, _SIZES: sizes})


def load_policy(path: str | Path) -> tuple[Policy, dict[str, Any]]:
    """The policy of a file and the facts about it. `policy(obs)` gives mean and log std, and
    `policy(proprioception, frame)` where there is a camera.

    Raises:
        GmpsError: the file is missing, damaged, or holds no policy.
    """
    facts = verify(path)
    if _SIZES not in facts:
        raise GmpsError(f"{path} holds no policy; `gmps adapt` writes policies.")
    try:
        sizes = {**facts[_SIZES], "hidden": tuple(facts[_SIZES]["hidden"])}
        # Nothing is allocated for sizes that the file does not hold.
        like = jax.eval_shape(lambda: init_policy(jax.random.key(0), **sizes))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise GmpsError(f"{path} does not say what its policy's sizes are.") from error
    policy, _ = load(path, like)
    return policy, facts
