"""The rewards of demonstrations: those of the file, or the family's own."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from gmps.data.checks import reward_words
from gmps.data.demos import DemoSet
from gmps.data.relabel import own_rewards, same_rewards
from gmps.tasks.base import TaskFamily


class KnownRewards(NamedTuple):
    """What demonstrations earned, as far as it is known."""

    values: Float[np.ndarray, "task ep t"] | None
    #: Where they come from, for the summary.
    words: str
    #: Whether they are the family's own, not the file's.
    recomputed: bool = False
    #: What is to be said loudly.
    warnings: tuple[str, ...] = ()


def known_rewards(demos: DemoSet, family: TaskFamily) -> KnownRewards:
    """The rewards of the file, or the family's own where the file has none or others and the
    observations tell them."""
    own, given = own_rewards(demos, family), demos.reward
    if own is None:
        words = "unknown: the file has none" if given is None else "of the file"
        return KnownRewards(given, words)
    warnings = ()
    if given is not None:
        # Of the steps that are used: own rewards are 0 in episodes that were left out.
        lived = given[demos.alive], own[demos.alive]
        if same_rewards(*lived):
            return KnownRewards(given, "of the file")
        differ = reward_words(*lived)
        warnings = (
            f"The rewards in {demos.report.source} are not those of {family.name}: {differ}; "
            "the demonstrators' level is computed from the observations.",
        )
    return KnownRewards(own, "recomputed", True, warnings)
