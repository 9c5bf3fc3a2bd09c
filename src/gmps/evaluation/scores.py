"""What an evaluation found: the content of `scores.json`.

Figures are in the family's own units. `return` is the undiscounted return, `normalised` is 0 for an
untrained policy and 1 for the expert, `success` a share (`success_at_end`, where a family tells it,
another), and the others are the family's outcomes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from gmps.runs.results import read_result, write_result
from gmps.runs.run import SCORES
from gmps.tasks.choices import Split

FORMAT = 3
Mode = Literal["deterministic", "stochastic"]
#: Actions without noise, and with.
MODES: tuple[Mode, ...] = ("deterministic", "stochastic")
SPLITS: tuple[Split, ...] = ("heldout", "train")
#: What a run may be judged on: beside these, the tasks that settings are chosen by.
Judged = Literal["heldout", "train", "validation"]
JUDGED: tuple[Judged, ...] = ("heldout", "train", "validation")


@dataclass(frozen=True)
class Figure:
    """A figure over tasks (and seeds), with its 95 % interval."""

    #: Plain mean over tasks and seeds of the mean over repeats.
    mean: float
    #: Over other tasks, and other seeds where there are several.
    ci_low: float
    ci_high: float
    #: Median over tasks and seeds.
    median: float


def is_rate(measure: str) -> bool:
    """Whether a measure is a share of episodes."""
    return measure.startswith("success")


#: Figures of one condition, by measure.
Measures = dict[str, Figure]


@dataclass(frozen=True)
class Difference:
    """Mean of a figure's difference between two conditions, paired by task and seed."""

    mean: float
    ci_low: float
    ci_high: float


#: Differences to one condition, by measure.
Differences = dict[str, Difference]


@dataclass(frozen=True)
class AdaptationScore:
    """`(after - control) / (top - control)` of mean normalised returns, with its 95 % interval.

    The value is None where the top is not above the control, the ends where it is not above it
    once a seed or a task is left out: then these tasks do not bound the score.
    """

    value: float | None
    ci_low: float | None
    ci_high: float | None
    #: The best of the controls: see `gmps.evaluation.conditions.CONTROLS`.
    control: str | None


@dataclass(frozen=True)
class ModeScores:
    """All conditions in one noise mode."""

    #: Measures by condition. A level without episodes of its own has no outcomes.
    conditions: dict[str, Measures]
    #: By condition (`after_1` and so on) and by what is subtracted from it, one of
    #: `gmps.evaluation.conditions.COMPARED`.
    differences: dict[str, dict[str, Differences]]
    #: By condition: `after_1` and so on. The top is the expert.
    adaptation_score: dict[str, AdaptationScore]
    #: The same with the demonstrators' level as the top; empty where that is not known, or where it
    #: stands for the expert's.
    demonstrator_score: dict[str, AdaptationScore]


@dataclass(frozen=True)
class SplitScores:
    """Both noise modes of one split."""

    deterministic: ModeScores
    stochastic: ModeScores

    def __getitem__(self, mode: Mode) -> ModeScores:
        return getattr(self, mode)

    def items(self) -> Iterator[tuple[Mode, ModeScores]]:
        """Each mode with its scores."""
        return ((mode, self[mode]) for mode in MODES)


@dataclass(frozen=True)
class TaskLevels:
    """Returns that make the normalised scores 0 and 1 in a task, and the demonstrators'."""

    untrained: float
    expert: float
    #: Between demonstrated tasks interpolated; None where nobody demonstrated.
    demonstrators: float | None = None


@dataclass(frozen=True)
class TaskRow:
    """One task: means over repeats, by condition and measure."""

    split: Judged
    #: Its place in the split.
    index: int
    #: In words.
    task: str
    levels: TaskLevels
    deterministic: dict[str, dict[str, float]]
    stochastic: dict[str, dict[str, float]]
    #: By noise mode, after one step. None where the expert is not above the control.
    adaptation_score: dict[str, float | None]
    #: Independent adaptations that it was given; None where all were made that were allowed.
    repeats: int | None = field(default=None, metadata={"before": None})

    def __getitem__(self, mode: Mode) -> dict[str, dict[str, float]]:
        return getattr(self, mode)


@dataclass(frozen=True)
class EpisodeCounts:
    """How each task was judged."""

    #: Episodes of own experience for each adaptation step.
    adaptation: int
    #: Episodes that measure each adapted policy.
    evaluation: int
    #: Independent adaptations, at most: see `TaskRow.repeats`.
    repeats: int


@dataclass(frozen=True)
class LevelWords:
    """Where the levels of the normalised score come from, in words."""

    untrained: str
    expert: str

    @classmethod
    def of(cls, untrained: float, expert: float, source: str) -> "LevelWords":
        """Of mean returns, and whose the expert's is."""
        known = f"mean return {expert:.1f}: {source}"
        return cls(f"mean return {untrained:.1f} of an untrained policy", known)

    @property
    def source(self) -> str:
        """Whose the expert's return is."""
        return re.sub(r"^mean return [-0-9.]+: ", "", self.expert)


@dataclass(frozen=True)
class PlainCandidate:
    """One setting of the plain control that was tried on the training tasks."""

    std: float
    step_size: float
    #: Mean return after the step.
    score: float


@dataclass(frozen=True)
class PlainScores:
    """The plain control that was chosen."""

    std: float
    step_size: float
    candidates: tuple[PlainCandidate, ...]
    #: As they were when it was judged.
    settings: dict[str, Any]

    @property
    def inside(self) -> bool:
        """Whether less and more than what was chosen was tried, of whatever had several values."""
        tried = {(c.std, c.step_size) for c in self.candidates}
        for values, chosen in zip(
            zip(*tried, strict=True), (self.std, self.step_size), strict=True
        ):
            several = len(set(values)) > 1
            # Deviations are stored as logarithms in float32.
            if several and not min(values) * 1.001 < chosen < max(values) * 0.999:
                return False
        return True


@dataclass(frozen=True)
class ExpertSummary:
    """The expert in the training tasks, before anything learned from it."""

    source: str
    mean: dict[str, float]
    worst: dict[str, float]
    #: Of each task: its parameter as `task`, and its figures.
    tasks: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Scores:
    """The scores of one run, or of several seeds as one (see `gmps.evaluation.aggregate`)."""

    format: Literal[3]
    family: str
    method: str
    #: None over several seeds, as are the round, the plain control and the expert.
    seed: int | None
    checkpoint_round: int | None
    episodes: EpisodeCounts
    levels: LevelWords
    heldout: SplitScores
    train: SplitScores
    plain_control: PlainScores | None
    expert: ExpertSummary | None
    #: Environment steps by column; means over several seeds.
    steps: dict[str, int | float]
    #: Labels that the expert gave in states that others visited; the mean over several seeds.
    expert_queries: float
    tasks: tuple[TaskRow, ...]
    #: On the validation tasks; None where these were not judged.
    validation: SplitScores | None = field(default=None, metadata={"before": None})
    #: Labels of the experts' own episodes, or of demonstrations, that training took; None where it
    #: was not counted. A mean over several seeds.
    expert_labels: float | None = field(default=None, metadata={"before": None})

    def __getitem__(self, split: Split) -> SplitScores:
        return getattr(self, split)

    def rows(self, split: Judged) -> tuple[TaskRow, ...]:
        """The rows of one split."""
        return tuple(row for row in self.tasks if row.split == split)


def read_scores(run: Path) -> Scores | None:
    """The scores in a run's folder, or None before an evaluation.

    Raises:
        GmpsError: the file is damaged, or of another version.
    """
    return read_result(run / SCORES, Scores, f"gmps eval {run}")


def write_scores(run: Path, scores: Scores) -> Path:
    """Write `scores.json` into a run's folder, replacing an older one."""
    return write_result(run / SCORES, scores)
