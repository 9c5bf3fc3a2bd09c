"""Did the update work? What can be said without a simulator, from the episodes alone."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gmps.deploy.adaptation import Acting
from gmps.deploy.advantages import segment
from gmps.deploy.dependence import LEAST, chance
from gmps.deploy.episodes import Batch
from gmps.deploy.networks import Arrays

#: States further than this from those of training, in deviations, are said.
FAR = 5.0
#: Actions further than this from what the policy meant, in its deviations, are not its own.
STRANGE = 3.0
#: Rewards that say nothing pass for informative ones this often.
MISSED = 0.1
#: Parts of an episode that its states and rewards are averaged over, and states in which latents
#: are compared.
PARTS, STATES = 10, 300


@dataclass(frozen=True)
class Trust:
    """Figures of one adaptation, and what they mean."""

    #: Returns of the exploring episodes.
    returns: tuple[float, ...]
    #: How often rewards handed to other episodes at random follow what the robot did as well as
    #: the true ones do: the p-value of a permutation test; None with fewer than five episodes.
    chance: float | None
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
        if self.chance is None:
            words.append(
                "They are too few to tell whether rewards follow what was done: record "
                f"{LEAST} or more."
            )
        else:
            words.append(
                "Rewards handed to other episodes at random follow what was done as well in "
                f"{self.chance:.1%} of cases."
            )
        if self.farthest is not None:
            far, which = self.farthest
            words.append(f"Observation {which} lies farthest from training: {far:.1f} deviations.")
        words += [f"DOUBT: {doubt}" for doubt in self.doubts]
        return " ".join(words)


def judge(
    before: Acting,
    after: Acting,
    batch: Batch,
    meta: dict[str, Any],
    arrays: Arrays,
) -> Trust:
    """What the episodes of a step say about it."""
    returns = np.where(batch.alive, batch.reward, 0).sum(1)
    doubts = _reward_doubts(batch, returns, meta)
    share = _chance(before, batch)
    if share is not None and share > MISSED and not doubts:
        doubts.append(
            "the rewards may have nothing to do with what the robot did, and the step be chance: "
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
    return Trust(tuple(map(float, returns)), share, size, farthest, tuple(doubts))


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


def _chance(before: Acting, batch: Batch) -> float | None:
    """The p-value of `Trust.chance`. What an episode did is the states that it saw and, where it
    drew a latent, what that makes the policy do."""
    if len(batch.reward) < LEAST:
        return None
    alive, steps = batch.alive, batch.alive.sum(1)
    # Behind its end an episode stays where it was, and earns what is usual.
    stayed = np.minimum(np.arange(alive.shape[1])[None], steps[:, None] - 1)
    obs = np.take_along_axis(batch.obs, stayed[..., None], 1) / before.network.obs_std
    did = [np.concatenate([segment(x, PARTS) for x in np.moveaxis(obs, -1, 0)], 1)]
    if before.latent is not None:
        seen = batch.obs[alive]
        seen = seen[:: -(-len(seen) // STATES)]
        did.append(np.stack([before.drawn(h).forward(seen)[0].ravel() for h in batch.held]))
    usual = batch.reward[alive].mean()
    return chance(did, segment(np.where(alive, batch.reward - usual, 0), PARTS))
