"""Policies that people hand on: one `.safetensors` file, read without running any code."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from gmps.core.nets import GaussianPolicy, init_policy
from gmps.core.vision import VisionPolicy, init_vision_policy
from gmps.errors import GmpsError
from gmps.runs.checkpoint import load, save, verify

_SIZES = "sizes"


def save_policy(
    path: str | Path, policy: GaussianPolicy | VisionPolicy, facts: Mapping[str, Any]
) -> None:
    """Write a policy with facts about it (JSON values), atomically."""
    head = policy.head if isinstance(policy, VisionPolicy) else policy
    sizes = {
        "obs_size": int(head.obs_mean.shape[0]),
        "act_size": int(head.log_std.shape[0]),
        "hidden": [int(b.shape[0]) for b in head.biases[:-1]],
        "bias_size": int(head.bias_transform.shape[0]),
        "activation": head.activation,
    }
    if isinstance(policy, VisionPolicy):
        del sizes["obs_size"]
        sizes["hand_size"] = policy.hand_size
    save(path, policy, {**facts, _SIZES: sizes})


def load_policy(path: str | Path) -> tuple[GaussianPolicy | VisionPolicy, dict[str, Any]]:
    """The policy of a file and the facts about it. `policy(obs)` gives mean and log std, and that
    of a policy that sees `policy(frame, hand)`.

    Raises:
        GmpsError: the file is missing, damaged, or holds no policy.
    """
    facts = verify(path)
    if _SIZES not in facts:
        raise GmpsError(f"{path} holds no policy; `gmps adapt` writes policies.")
    sizes = {**facts[_SIZES], "hidden": tuple(facts[_SIZES]["hidden"])}
    make = init_vision_policy if "hand_size" in sizes else init_policy
    like = make(jax.random.key(0), **sizes)
    policy, _ = load(path, like)
    return policy, facts
