"""From the columns of somebody's recording to what a family observes, does and is rewarded for."""

import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from gmps.data.rates import ActionKind
from gmps.errors import GmpsError

#: Bytes of a file that holds a mapping.
_FILE = 1 << 20
_WORD = re.compile(
    r"(?P<column>[^=\[\]@]+)(\[(?P<start>\d*):(?P<stop>\d*)\])?(@(?P<at>first|last))?"
    r"=(?P<target>[\w./-]+)(\[(?P<first>\d+):(?P<end>\d+)\])?"
)


@dataclass(frozen=True)
class Mapping:
    """How to read a recording; kept in a small JSON file, to be used again."""

    map: tuple[str, ...] = ()
    """COLUMN=TARGET: the target is obs, act, reward, goal, frame, or a part of the family's
    observation by its name. COLUMN[0:3] takes some of its numbers, TARGET[0:3] fills some; several
    columns fill a target in turn. COLUMN@last=goal takes where an episode ends, @first where it
    starts."""
    scale: tuple[str, ...] = ()
    """TARGET=FACTOR multiplies, TARGET=LOW:HIGH brings these bounds to -1 and 1."""
    actions: str | None = None
    """What a recorded action is: displacement (covered in a step), rate (a speed or a torque), or
    target:PART, where that part of the observation is to be; PART is then taken away from it,
    before scaling."""
    hz: float | None = None
    """Steps a second in the recording, where it does not say so itself, or wrongly."""
    filter: str | None = None
    """robomimic: read only the episodes that mask/FILTER lists."""
    tasks: str | None = None
    """A table of tasks: a .csv file with a column `task` (index or words) or `episode` (name), and
    one column for each number of the goal."""
    failures: Literal["leave-out", "keep"] = "leave-out"
    """Episodes of which the recording says that they failed."""

    def __post_init__(self):
        if self.hz is not None and not 0 < self.hz < float("inf"):
            raise GmpsError(f"--hz is {self.hz}; it must be above 0.")
        if self.actions is not None and self.actions.partition(":")[0] not in get_args(ActionKind):
            raise GmpsError(
                f"--actions is {self.actions!r}; it is displacement, rate or target:PART."
            )
        if self.actions == "target":
            raise GmpsError("--actions target needs the part that it moves, such as target:hand.")
        if self.failures not in ("leave-out", "keep"):
            raise GmpsError(f"--failures is {self.failures!r}; it is leave-out or keep.")
        for word in self.map:
            parse_rule(word)
        for word in self.scale:
            parse_factor(word)


def save_mapping(mapping: Mapping, path: Path) -> None:
    """Write a mapping as JSON."""
    path.write_text(json.dumps(asdict(mapping), indent=2) + "\n")


def load_mapping(path: str | Path) -> Mapping:
    """Read a mapping that `gmps demos import` kept.

    Raises:
        GmpsError: the file is missing, damaged, or holds something else.
    """
    path = Path(path)
    if not path.is_file() or path.stat().st_size > _FILE:
        raise GmpsError(f"There is no mapping {path}.")
    try:
        found = json.loads(path.read_text())
        names = {field.name for field in fields(Mapping)}
        if not isinstance(found, dict) or not found.keys() <= names:
            raise ValueError(f"its keys must be among {', '.join(sorted(names))}")
        for name, value in found.items():
            several = name in ("map", "scale")
            if several and not (isinstance(value, list) and all(isinstance(x, str) for x in value)):
                raise ValueError(f"{name} must be a list of words")
            plain = isinstance(value, int | float) if name == "hz" else isinstance(value, str)
            if not several and value is not None and not plain:
                raise ValueError(f"{name} has the value {value!r}")
        words: dict[str, Any] = found | {k: tuple(found.get(k, ())) for k in ("map", "scale")}
        return Mapping(**words)
    except (ValueError, RecursionError, OSError) as error:
        raise GmpsError(f"The mapping {path} is damaged: {str(error).rstrip('.')}.") from error


class Rule(NamedTuple):
    """Some numbers of a column, and which numbers of a target they fill."""

    column: str
    start: int | None
    stop: int | None
    #: "first" or "last" step, or all.
    at: str | None
    target: str
    first: int | None
    end: int | None

    def take(self, array: np.ndarray) -> np.ndarray:
        """The numbers, `(step, number)`."""
        flat = array.reshape(len(array), -1)
        return flat[:, self.start : self.stop]


def parse_rule(word: str) -> Rule:
    """The rule of one word of `--map`; GmpsError if it is none."""
    match = _WORD.fullmatch(word)
    if match is None:
        raise GmpsError(
            f"--map {word} is not understood; write COLUMN=TARGET or COLUMN[0:3]=TARGET."
        )
    number = lambda key: int(match[key]) if match[key] else None  # noqa: E731
    return Rule(
        match["column"],
        number("start"),
        number("stop"),
        match["at"],
        match["target"],
        number("first"),
        number("end"),
    )


def parse_factor(word: str) -> tuple[str, str]:
    """Target and factor of one word of `--scale`; GmpsError if it is none."""
    target, _, factor = word.partition("=")
    try:
        numbers = [float(x) for x in factor.split(":")]
    except ValueError:
        numbers = []
    good = len(numbers) in (1, 2) and all(np.isfinite(numbers))
    if not target or not good or (len(numbers) == 2 and numbers[0] >= numbers[1]):
        raise GmpsError(
            f"--scale {word} is not understood; write TARGET=FACTOR or TARGET=LOW:HIGH."
        )
    return target, factor
