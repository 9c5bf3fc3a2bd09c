"""What a method hands on to `gmps.deploy`: a policy, its latent, and how the inner step works."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gmps.core.adapt import StepSizes
from gmps.core.choices import Baseline, Subset
from gmps.core.nets import GaussianPolicy
from gmps.core.policy import Policy
from gmps.deploy.adaptation import DECAY
from gmps.methods.latent import Latent


class Deployed(NamedTuple):
    """A method's state as a robot needs it."""

    #: The policy before adaptation.
    policy: Policy
    #: Settings of `gmps.deploy.adaptation`, JSON values; `kind` names the step.
    adaptation: dict[str, Any]
    #: Arrays that the step reads, by the names it reads them by.
    arrays: dict[str, np.ndarray]
    #: What an episode draws, where it draws a latent.
    latent: Latent | None = None
    #: Whether these draws are spread over the episodes of a task.
    spread: bool = False


def by_gradient(
    policy: Policy,
    step_sizes: StepSizes | Float[Array, ""],
    *,
    subset: Subset,
    whole: int = 1,
    decay: float = DECAY,
    discount: float = 0.99,
    gae_lambda: float = 1.0,
    baseline: Baseline = "linear",
) -> Deployed:
    """A policy that adapts by a policy-gradient step of its head."""
    if eqx.is_array(step_sizes):
        sizes = jax.tree.map(lambda x: jnp.full(x.shape, step_sizes), policy.head)
    else:
        sizes = jax.tree.map(lambda a, x: jnp.broadcast_to(a, x.shape), step_sizes, policy.head)
    settings = {
        "kind": "policy-gradient",
        "subset": subset,
        "whole": whole,
        "decay": decay,
        "discount": discount,
        "gae_lambda": gae_lambda,
        "baseline": baseline,
    }
    return Deployed(policy, settings, head_arrays("step_sizes", sizes))


def head_arrays(prefix: str, head: GaussianPolicy) -> dict[str, np.ndarray]:
    """The arrays of a head, or of a tree like one, by the names of `gmps.deploy.networks`."""
    named = {f"{prefix}/weights/{i}": x for i, x in enumerate(head.weights)}
    named |= {f"{prefix}/biases/{i}": x for i, x in enumerate(head.biases)}
    for name in ("bias_transform", "log_std", "obs_mean", "obs_std"):
        named[f"{prefix}/{name}"] = getattr(head, name)
    return {name: np.asarray(x, np.float32) for name, x in named.items()}
