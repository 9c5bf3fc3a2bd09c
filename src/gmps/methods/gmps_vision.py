"""GMPS on policies that see (Mendonca et al. 2019, section 5.3 and appendix C).

As `gmps.methods.gmps`, and:

- the inner step moves the head alone: the fully connected layers and the bias transformation, or
  the latter alone, never the convolutions;
- experts label states, the learner imitates from pictures of these;
- in each outer step the features of the inner batch are computed once, for all tasks, and are data
  to the inner step as observations are. So a gradient reaches the convolutions through the features
  of the labels alone, that is through the outer loss.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Key, UInt8

from gmps.core.losses import InnerBatch
from gmps.core.meta_gradient import MetaParams, meta_value_and_grads
from gmps.core.nets import GaussianPolicy
from gmps.core.types import Demonstrations, Trajectories
from gmps.core.vision import VisionPolicy, encode
from gmps.errors import GmpsError
from gmps.methods.base import Gathered
from gmps.methods.gaussian import adapt_step, inner_view, with_heads
from gmps.methods.gmps import Gmps, GmpsState, run_block, weigh_batches
from gmps.methods.gmps_vision_settings import GmpsVisionConfig
from gmps.methods.imitation import blind_loss
from gmps.tasks.pixels import PixelFamily


class SeenBatch(NamedTuple):
    """An inner batch with what its features are computed from; leaves `(task, ep, t, ...)`."""

    #: Its observations are the features that the policy saw when it collected the batch.
    inner: InnerBatch
    frames: UInt8[np.ndarray, "task ep t height width 3"]
    hand: Float[Array, "task ep t hand"]


@dataclass(frozen=True)
class GmpsVision(Gmps):
    """GMPS with policies that see, on the training tasks of a world with a camera."""

    config: GmpsVisionConfig

    def __post_init__(self):
        if not isinstance(self.world.family, PixelFamily):
            raise GmpsError(
                f"gmps-vision learns from pictures, and {self.world.family.name} has no camera; "
                "choose a family that has one, such as sawyer-push-vision, or --method gmps."
            )

    def _inner_step(
        self, state: GmpsState, policies: VisionPolicy, data: Trajectories
    ) -> tuple[VisionPolicy, SeenBatch]:
        """The adapted policies, and the batch that their heads were adapted on."""
        config, policy = self.config, _one(policies)
        inner = inner_view(
            policy,
            data,
            discount=config.discount,
            gae_lambda=config.gae_lambda,
            baseline=config.baseline,
        )
        heads = adapt_step(_heads(state.params), policies.head, inner, config.subset)
        assert data.frames is not None
        hand = data.obs[..., : policy.hand_size]
        return with_heads(policies, heads), SeenBatch(inner, data.frames, hand)

    def update(
        self, state: GmpsState, gathered: Gathered, key: Key[Array, ""]
    ) -> tuple[GmpsState, dict[str, Float[Array, ""]]]:
        """A block of outer steps on the gathered episodes."""
        return _update(state, gathered.batches, key, self.config)


def _heads(params: MetaParams) -> MetaParams:
    """The parameters that an inner step concerns: the head and its step sizes."""
    return MetaParams(params.policy.head, params.step_sizes)  # pyright: ignore


def _one(policies: VisionPolicy) -> VisionPolicy:
    """The policy of the first task."""
    return jax.tree.map(lambda x: x[0], policies)


@partial(jax.jit, static_argnames="config")
def _update(
    state: GmpsState, batches: tuple[SeenBatch, ...], key: Key[Array, ""], config: GmpsVisionConfig
) -> tuple[GmpsState, dict[str, Float[Array, ""]]]:
    """A block of outer steps on the same episodes."""

    def weigh(params: MetaParams) -> tuple[tuple[InnerBatch, ...], Array, Array]:
        seen = tuple(_look(params, batches))
        return weigh_batches(_heads(params), seen, config)

    def outer(
        params: MetaParams, batches: tuple[InnerBatch, ...], labels: Demonstrations
    ) -> tuple[Array, MetaParams]:
        return outer_gradient(params, batches, labels, config)

    return run_block(state, key, config, weigh, outer)


def _look(params: MetaParams, batches: tuple[SeenBatch, ...]) -> Iterator[InnerBatch]:
    """The inner batches with features of the present convolutions."""
    encoder = params.policy.encoder  # pyright: ignore[reportAttributeAccessIssue]
    for batch in batches:
        features = encode(encoder, batch.frames, batch.hand)
        yield batch.inner._replace(obs=jax.lax.stop_gradient(features))


def outer_gradient(
    params: MetaParams,
    batches: tuple[InnerBatch, ...],
    labels: Demonstrations,
    config: GmpsVisionConfig,
) -> tuple[Float[Array, ""], MetaParams]:
    """Imitation loss after the inner step, and the gradient of the whole outer loss.

    The inner batches hold features, which are data; the labels hold frames.
    """
    policy: VisionPolicy = params.policy  # pyright: ignore[reportAssignmentType]
    hand = labels.obs[..., : policy.hand_size]
    features, encoder_pullback = jax.vjp(lambda e: encode(e, labels.frames, hand), policy.encoder)  # pyright: ignore
    seen = labels._replace(obs=features, frames=None)
    (loss, _), gradient, towards = meta_value_and_grads(
        _heads(params),
        batches,
        seen,
        subset=config.subset,
        first_order=config.first_order,
        imitation=config.imitation,
    )
    head: GaussianPolicy = gradient.policy
    if config.blind_weight:
        blind = jax.grad(
            lambda head, obs: blind_loss(head, seen._replace(obs=obs), config.imitation), (0, 1)
        )(policy.head, features)
        head, towards = jax.tree.map(
            lambda g, b: g + config.blind_weight * b, (head, towards), blind
        )
    (encoder,) = encoder_pullback(towards)
    return loss, MetaParams(VisionPolicy(encoder, head), gradient.step_sizes)  # pyright: ignore
