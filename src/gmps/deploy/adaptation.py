"""The inner step in numpy, for each way in which a method adapts: float64 inside, float32 out.

An `Acting` is what acts in one task: a network and, where the method has one, the distribution of
a latent that each episode draws. An `Inner` takes it one step on, from its own episodes.
"""

from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from gmps.deploy.advantages import episode_advantages, segment, step_advantages
from gmps.deploy.episodes import Batch
from gmps.deploy.networks import Arrays, GaussianNetwork, log_prob, step_tree
from gmps.errors import GmpsError

#: How fast the gradient steps after those of training shrink: the n-th goes 1/(1 + n DECAY) of its
#: way. Chosen on random tasks of the training range.
DECAY = 6.0
#: Where MAESN's inner step leaves the latent's log deviation: its gradient is proportional to the
#: deviation, so that steps without a limit may run away.
LOG_STD_RANGE = (-3.0, 0.7)
#: Directions that were tried less than this share of the most tried one were not tried.
TRIED = 1e-3


@dataclass(frozen=True)
class Acting:
    """A policy of one task."""

    network: GaussianNetwork
    #: Mean and log deviation of the latent, `(z,)`; None where there is no latent.
    latent: tuple[np.ndarray, np.ndarray] | None = None

    def drawn(self, held: np.ndarray) -> GaussianNetwork:
        """The network that acts in an episode which holds these normal numbers."""
        if self.latent is None:
            return self.network
        mean, log_std = self.latent
        return self.network.at(mean + np.exp(log_std) * held)

    @property
    def at_mean(self) -> GaussianNetwork:
        """The network that acts once exploring is over."""
        return self.network if self.latent is None else self.network.at(self.latent[0])


class Inner(Protocol):
    """One adaptation step."""

    #: Episodes without which it cannot work.
    least: int

    def __call__(self, acting: Acting, batch: Batch) -> Acting:
        """The policy that a step proposes from the episodes that the present one collected."""
        ...

    def share(self, step: int) -> float:
        """How far the `step`-th step (from 1) goes of the way to what it proposes, in (0, 1]."""
        ...


@dataclass(frozen=True)
class PolicyGradient:
    """A policy-gradient step with learned step sizes (GMPS, eq. 1; MAML; multi-task policies)."""

    arrays: Arrays
    subset: str
    discount: float
    gae_lambda: float
    baseline: str
    #: Steps that it was trained to take one after the other.
    whole: int = 1
    #: How fast further ones shrink; see `gradient_share`.
    decay: float = DECAY
    least: int = 1

    def __call__(self, acting: Acting, batch: Batch) -> Acting:
        """See `Inner`. The gradient is that of `-mean_t[log pi(a_t|s_t) A_t]`."""
        advantage = step_advantages(
            batch, discount=self.discount, gae_lambda=self.gae_lambda, baseline=self.baseline
        )
        return Acting(
            step_tree(acting.network, self.arrays, self._gradient(acting, batch, advantage))
        )

    def share(self, step: int) -> float:
        """See `Inner`."""
        return gradient_share(step, self.whole, self.decay)

    def _gradient(self, acting: Acting, batch: Batch, advantage: np.ndarray) -> dict[str, Any]:
        network, alive = acting.network, batch.alive
        obs, act, weight = batch.obs[alive], batch.act[alive], advantage[alive] / alive.sum()
        mean, hidden = network.forward(obs)
        deviation = (act - mean) / network.std
        towards_mean = -weight[:, None] * deviation / network.std
        rest, delta = network.backward(hidden, towards_mean)
        size, arrived = len(network.obs_mean), delta.sum(0)
        gradient: dict[str, Any] = {
            "/bias_transform": network.weights[0][size:] @ arrived,
        }
        if self.subset == "bias":
            return gradient
        scaled = (obs - network.obs_mean) / network.obs_std
        gradient["/weights/0"] = np.concatenate(
            [scaled.T @ delta, np.outer(network.bias_transform, arrived)]
        )
        gradient["/biases/0"] = arrived
        for i, (weights, biases) in enumerate(rest, start=1):
            gradient[f"/weights/{i}"], gradient[f"/biases/{i}"] = weights, biases
        if self.subset == "all":
            free = np.exp(network.log_std) >= network.std
            gradient["/log_std"] = free * -(weight[:, None] * (deviation**2 - 1)).sum(0)
        return gradient


@dataclass(frozen=True)
class LatentStep:
    """The natural policy gradient of the latent's mean, by advantages of whole episodes."""

    arrays: Arrays
    advantage: str
    segments: int
    narrowing: float
    least: int = 2

    def __call__(self, acting: Acting, batch: Batch) -> Acting:
        """See `Inner`. The latent then explores more narrowly."""
        assert acting.latent is not None
        mean, log_std = acting.latent
        weight = episode_advantages(
            self.advantage, self.arrays, segment(batch.reward, self.segments)
        )
        if self.advantage == "learned":
            move = slope_at_mean(batch.held, weight)
        else:
            move = (batch.held * weight).mean(0)
        moved = (mean + np.exp(log_std) * move).astype(np.float32)
        narrowed = (log_std + np.log(self.narrowing)).astype(np.float32)
        return replace(acting, latent=(moved, narrowed))

    def share(self, step: int) -> float:
        """See `Inner`: its steps narrow by themselves."""
        del step
        return 1.0


def slope_at_mean(held: np.ndarray, advantage: np.ndarray) -> np.ndarray:
    """How advantages `(ep, z or 1)` rise with the numbers that episodes held, `(ep, z)`: `(z,)`.

    The least-squares slope, the shortest where episodes are too few. It is `mean_e[e A]` where the
    second moment of `e` is the identity; elsewhere, as after an early stop, that mean goes too far
    along what was often tried.
    """
    centred = held - held.mean(0)
    return (np.linalg.pinv(centred, rcond=TRIED).T * advantage).sum(0)


@dataclass(frozen=True)
class LatentGradient:
    """A policy-gradient step of the latent's mean and log deviation (MAESN, algorithm 1)."""

    arrays: Arrays
    discount: float
    gae_lambda: float
    least: int = 1

    def __call__(self, acting: Acting, batch: Batch) -> Acting:
        """See `Inner`. The gradient is that of `-mean_t[r_t A_t]`, `r` the ratio of densities."""
        assert acting.latent is not None
        network, (mean, log_std) = acting.network, acting.latent
        advantage = step_advantages(
            batch, discount=self.discount, gae_lambda=self.gae_lambda, baseline="linear"
        )
        alive = batch.alive
        held = np.broadcast_to(batch.held[:, None], (*alive.shape, batch.held.shape[-1]))[alive]
        obs, act = batch.obs[alive], batch.act[alive]
        actions, hidden = network.forward(obs, mean + np.exp(log_std) * held)
        ratio = np.exp(log_prob(act, actions, network.log_std) - batch.log_prob[alive])
        weight = -(ratio * advantage[alive]) / alive.sum()
        _, delta = network.backward(hidden, weight[:, None] * (act - actions) / network.std**2)
        towards = delta @ network.weights[0][len(network.obs_mean) :].T
        of_log_std = (towards * held * np.exp(log_std)).sum(0)
        mean = mean - self.arrays["step_sizes/mean"] * towards.sum(0)
        log_std = log_std - self.arrays["step_sizes/log_std"] * of_log_std
        return replace(
            acting,
            latent=(
                mean.astype(np.float32),
                np.clip(log_std, *LOG_STD_RANGE).astype(np.float32),
            ),
        )

    def share(self, step: int) -> float:
        """See `Inner`: whole steps of a latent were found to add up."""
        del step
        return 1.0


def gradient_share(step: int, whole: int = 1, decay: float = DECAY) -> float:
    """How far gradient step number `step` goes: 1 up to step `whole`, then 1/7, 1/13, 1/19, ...,
    or by another `decay`.

    A learned step size is that of the first step, and advantages are standardised, so that a step
    does not shrink where the goal is near: whole further steps leap over it, or follow chance.
    These shares add up to any way, and their squares do not (Robbins and Monro 1951).

    Args:
        step: number of the step, from 1.
        whole: steps that the method was trained to take one after the other.
        decay: how fast those after them shrink.
    """
    return 1.0 / (1.0 + decay * max(0, step - whole))


def part_of_the_way(before: Acting, proposed: Acting, share: float) -> Acting:
    """`before + share * (proposed - before)`; what is proposed where it is 1."""
    if share == 1:
        return proposed
    part = lambda a, b: (a + np.float32(share) * (b - a)).astype(np.float32)  # noqa: E731
    old, new = before.network.arrays(""), proposed.network.arrays("")
    between = {name: part(old[name], new[name]) for name in old}
    latent = None
    if before.latent is not None and proposed.latent is not None:
        mean, log_std = (part(*both) for both in zip(before.latent, proposed.latent, strict=True))
        latent = (mean, log_std)
    return Acting(GaussianNetwork.read(between, "", before.network.activation), latent)


def inner_of(settings: dict[str, Any], arrays: Arrays) -> Inner:
    """The step that a meta-policy's file describes.

    Raises:
        GmpsError: this version does not know its kind.
    """
    kinds = {
        "policy-gradient": PolicyGradient,
        "latent-step": LatentStep,
        "latent-gradient": LatentGradient,
    }
    kind = settings.get("kind")
    if kind not in kinds:
        raise GmpsError(
            f"This meta-policy adapts by {kind!r}, which this version of gmps does not know "
            f"({', '.join(kinds)}); install the version that wrote it."
        )
    return kinds[kind](arrays, **{k: v for k, v in settings.items() if k != "kind"})
