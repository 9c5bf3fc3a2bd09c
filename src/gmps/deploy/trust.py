"""Did the update work? What can be said without a simulator, from the episodes alone."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gmps.deploy.adaptation import Acting, Inner
from gmps.deploy.episodes import Batch
from gmps.deploy.networks import Arrays

#: States further than this from those of training, in deviations, are said.
FAR = 5.0
#: Actions further than this from what the policy meant, in its deviations, are not its own.
STRANGE = 3.0
#: Below this agreement of the steps from two halves of the episodes, a step is mostly chance.
DISAGREEING = 0.2


@dataclass(frozen=True)
class Trust:
    """Figures of one adaptation, and what they mean."""

    #: Returns of the exploring episodes.
    returns: tuple[float, ...]
    #: Cosine of the steps from two halves of the episodes; None with fewer than four.
    agreement: float | None
    #: Root mean square difference of the mean actions before and after, in [-1, 1] units.
    moved: float
    #: Largest mean distance of an observation's number from training, in training's deviations,
    #: and which number that is; None where training's are not known.
    farthest: tuple[float, int] | None
    #: Reasons not to trust the policy; empty if none was found.
    doubts: tuple[str, ...]

    @property
    def trusted(self) -> bool:
        """Whether nothing speaks against the policy."""
        return not self.doubts

    def __str__(self) -> str:
        low, high = min(self.returns), max(self.returns)
        words = [
            f"{len(self.returns)} episodes with returns from {low:.4g} to {high:.4g}.",
            f"The step changes the mean action by {self.moved:.3f} (actions lie in [-1, 1]).",
        ]
        if self.agreement is not None:
            words.append(f"Steps from two halves of the episodes agree by {self.agreement:.2f}.")
        if self.farthest is not None:
            far, which = self.farthest
            words.append(f"Observation {which} lies farthest from training: {far:.1f} deviations.")
        words += [f"DOUBT: {doubt}" for doubt in self.doubts]
        return " ".join(words)


def judge(
    inner: Inner,
    before: Acting,
    after: Acting,
    batch: Batch,
    meta: dict[str, Any],
    arrays: Arrays,
) -> Trust:
    """What the episodes of a step say about it."""
    returns = np.where(batch.alive, batch.reward, 0).sum(1)
    doubts = _reward_doubts(batch, returns, meta)
    agreement = _agreement(inner, before, batch)
    if agreement is not None and agreement < DISAGREEING:
        doubts.append(
            "two halves of the episodes ask for different steps, so this one is mostly chance: "
            "record more episodes, or less noisy rewards."
        )
    strange = _strangeness(before, batch)
    if strange > STRANGE:
        doubts.append(
            f"the actions lie {strange:.2g} deviations from those that this policy meant: record "
            "them as drawn, in [-1, 1], or they are another policy's."
        )
    obs = batch.obs[batch.alive]
    moved = after.at_mean.forward(obs)[0] - before.at_mean.forward(obs)[0]
    size = float(np.sqrt(np.mean(moved**2)))
    if size > 1:
        doubts.append("the step changes the actions by more than half of their range.")
    farthest = None
    if "training/obs_mean" in arrays:
        distance = np.abs(obs - arrays["training/obs_mean"]).mean(0) / arrays["training/obs_std"]
        which = int(np.argmax(distance))
        farthest = (float(distance[which]), which)
        if distance[which] > FAR:
            doubts.append(
                f"observation {which} lies {distance[which]:.0f} deviations from training: check "
                "its unit and sign."
            )
    return Trust(tuple(map(float, returns)), agreement, size, farthest, tuple(doubts))


def _strangeness(acting: Acting, batch: Batch) -> float:
    """Root mean square distance of the actions from their means, in the policy's deviations: 1 or
    less for its own."""
    total = 0.0
    for obs, act, alive, held in zip(batch.obs, batch.act, batch.alive, batch.held, strict=True):
        network = acting.drawn(held)
        z = (act[alive] - network.forward(obs[alive])[0]) / network.std
        total += float((z**2).sum())
    return float(np.sqrt(total / (batch.alive.sum() * batch.act.shape[-1])))


def _reward_doubts(batch: Batch, returns: np.ndarray, meta: dict[str, Any]) -> list[str]:
    rewards = batch.reward[batch.alive]
    if not rewards.any():
        return ["all rewards are zero, so they say nothing about the task."]
    if np.ptp(rewards) == 0:
        return [f"all rewards are {rewards[0]:.4g}, so they say nothing about the task."]
    doubts = []
    if np.ptp(returns) <= 1e-6 * max(1.0, float(np.abs(returns).max())):
        doubts.append("all episodes have the same return, so none is better than another.")
    top = (rewards == rewards.max()).mean()
    if top > 0.5:
        doubts.append(
            f"{top:.0%} of the rewards are the largest one, {rewards.max():.4g}: they look "
            "saturated."
        )
    scale = meta.get("reward", {}).get("scale")
    if scale:
        ratio = float(np.abs(rewards).mean() / scale)
        if not 0.02 < ratio < 50:
            doubts.append(
                f"rewards are {ratio:.2g} times as large as in training: check their unit."
            )
    return doubts


def _agreement(inner: Inner, before: Acting, batch: Batch) -> float | None:
    """Cosine of the steps from two halves, mirrored pairs kept together; None with too few."""
    count = len(batch.reward)
    pair = np.arange(count) // 2
    halves = [np.flatnonzero(pair % 2 == k) for k in (0, 1)]
    if min(map(len, halves)) < max(2, inner.least):
        return None
    steps = [_flat(inner(before, Batch(*(x[half] for x in batch)))) for half in halves]
    first, second = (step - _flat(before) for step in steps)
    size = np.linalg.norm(first) * np.linalg.norm(second)
    return float(first @ second / size) if size > 0 else 0.0


def _flat(acting: Acting) -> np.ndarray:
    """All numbers that a step may move, but for the latent's deviation."""
    parts = list(replace(acting, latent=None).network.arrays("").values())
    if acting.latent is not None:
        parts = [acting.latent[0]]
    return np.concatenate([np.ravel(x) for x in parts]).astype(np.float64)
