"""Append-only logs: one JSON object per line, one line per round."""

import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gmps.errors import GmpsError


class RoundLog:
    """A `.jsonl` file whose rows have a rising integer `round`.

    A process may be killed while it writes; a last line without its end does not count, and is cut
    off before the next row is written.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._last: int | None = None

    def rows(self) -> list[dict[str, Any]]:
        """All complete rows.

        Raises:
            GmpsError: if a complete line is no JSON object with a `round`.
        """
        return [row for row, _ in self._complete()]

    def append(self, step: int, figures: Mapping[str, float]) -> None:
        """Write one row and hand it to the operating system.

        Args:
            step: the round, larger than any before.
            figures: names to numbers; NaN and infinities become null.

        Raises:
            GmpsError: if the round was logged before, or a figure is no number.
        """
        row: dict[str, Any] = {"round": int(step)}
        for name, value in figures.items():
            if name == "round":
                raise GmpsError("A metric may not be called `round`: that is the row's number.")
            row[name] = _number(name, value)
        if self._last is None:
            self._cut(lambda _: True)
        last = self._last
        if last is not None and step <= last:
            raise GmpsError(
                f"Round {step} cannot be logged to {self.path} after round {last}; rounds rise."
            )
        with self.path.open("ab") as file:
            file.write(json.dumps(row, allow_nan=False).encode() + b"\n")
        self._last = int(step)

    def truncate_after(self, step: int) -> None:
        """Drop the rows of rounds after `step`, and a half-written last line."""
        self._cut(lambda row: row["round"] <= step)

    def sync(self) -> None:
        """Wait until all rows are on the disk."""
        if self.path.exists():
            with self.path.open("ab") as file:
                os.fsync(file.fileno())

    def _complete(self) -> list[tuple[dict[str, Any], int]]:
        """Complete rows, each with the byte where it ends."""
        if not self.path.exists():
            return []
        rows, end = [], 0
        for number, line in enumerate(self.path.read_bytes().splitlines(keepends=True), 1):
            if not line.endswith(b"\n"):
                break
            end += len(line)
            try:
                row = json.loads(line)
                valid = isinstance(row, dict) and isinstance(row.get("round"), int)
            except ValueError:
                valid = False
            if not valid:
                raise GmpsError(
                    f"Line {number} of {self.path} is damaged: it is no JSON object with a round."
                )
            rows.append((row, end))
        return rows

    def _cut(self, keep: Callable[[dict[str, Any]], bool]) -> None:
        """Shorten the file to the complete rows before the first one that is not kept."""
        end = 0
        self._last = None
        for row, row_end in self._complete():
            if not keep(row):
                break
            end, self._last = row_end, row["round"]
        if self.path.exists() and self.path.stat().st_size != end:
            os.truncate(self.path, end)


def _number(name: str, value: Any) -> int | float | None:
    if isinstance(value, bool | str) or value is None:
        raise GmpsError(f"The metric {name} must be a number, got {value!r}.")
    array = np.asarray(value)
    if array.ndim or array.dtype.kind not in "iufb":
        raise GmpsError(
            f"The metric {name} must be one number, got shape {array.shape} of {array.dtype}."
        )
    number = array.item()
    return number if math.isfinite(number) else None
