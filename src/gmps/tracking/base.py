"""What a tracker does, whoever made it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

#: How a training ended.
Status = Literal["finished", "stopped", "failed"]
#: Where the trackers' runs are collected, unless a tracker's own variable names another place.
PROJECT = "gmps"
#: The axis, and what stands beside it in every row.
OWN, ALL, ROUND = "env_steps/own", "env_steps/all", "round"


class Facts(NamedTuple):
    """What a tracker is told of a run at the start."""

    #: A folder of the run's for what the tracker keeps on this machine.
    folder: Path
    #: The run's name, and what it belongs to: its family, or the run that it is a part of.
    name: str
    group: str
    #: Settings by dotted names, such as `gmps.step_size`; plain values.
    settings: Mapping[str, Any]


class Row(NamedTuple):
    """One round."""

    round: int
    #: Environment steps of the learner's own episodes so far: the axis.
    own: int
    #: All environment steps so far, those of experts, demonstrations and evaluation too.
    all: int
    #: The round's lines in `metrics.jsonl` and `timing.jsonl`, without what is not a number.
    figures: Mapping[str, float]

    def named(self) -> dict[str, float]:
        """The figures and where they stand, by name."""
        return {OWN: self.own, ALL: self.all, ROUND: self.round, **self.figures}


class Tracker(ABC):
    """One run of one tracker. Made to begin it, or to go on with it.

    Derived classes take `(facts, identity)`: the identity is None at first, and later what the
    first one had. Whatever they raise ends the tracking, never the training.
    """

    #: Names the run at the tracker.
    identity: str
    #: Whether what was told before is gone, so that all rounds are told again.
    anew: bool = False

    @abstractmethod
    def log(self, row: Row) -> None:
        """Take a round; rounds rise."""

    @abstractmethod
    def summary(self, figures: Mapping[str, float], own: int) -> None:
        """Take the evaluation's figures, such as `heldout/deterministic/after_1/return`.

        Args:
            figures: by name.
            own: where the axis ends.
        """

    @abstractmethod
    def artifact(self, path: Path) -> None:
        """Take a file, replacing an older one of its name."""

    @abstractmethod
    def close(self, status: Status) -> None:
        """End, once everything is delivered."""
