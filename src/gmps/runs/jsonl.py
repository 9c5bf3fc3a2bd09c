"""Append-only logs: one JSON object per line, one line per round."""

import hashlib
import json
import math
import os
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gmps.aside import naming, write_atomically
from gmps.errors import GmpsError
from gmps.plain_json import parse_json

#: The check number of a row, in logs that have them.
CHECK = "check"


class RoundLog:
    """A `.jsonl` file whose rows have a rising integer `round`.

    A process may be killed while it writes; a last line without its end does not count, and is cut
    off before the next row is written.
    """

    def __init__(self, path: str | Path, checked: bool = False):
        """Args:
        path: the file.
        checked: each row ends with a check number of itself and of those before it.
        """
        self.path = Path(path)
        self._checked = checked
        self._last: int | None = None
        self._check = 0

    def rows(self) -> list[dict[str, Any]]:
        """All complete rows.

        Raises:
            GmpsError: a complete line is no JSON object with a `round` above the last and numbers,
                or does not fit its check number.
        """
        return [row for row, _ in self._complete()]

    def digest(self, step: int) -> str:
        """SHA-256 of the complete lines up to the round `step`, as they are in the file.

        Lines that are damaged count as they are.
        """
        return hashlib.sha256(b"".join(self._lines_until(step))).hexdigest()

    def count(self, step: int) -> int:
        """How many complete lines of rounds up to `step` there are, damaged ones too."""
        return len(self._lines_until(step))

    def _lines_until(self, step: int) -> list[bytes]:
        lines = _complete_lines(self.path.read_bytes()) if self.path.exists() else []
        # From the end: rounds rise, and this is asked at every checkpoint.
        while lines and (_round_of(lines[-1]) or 0) > step:
            lines.pop()
        return lines

    def mend(self, fault: str | None = None) -> str | None:
        """Keep a damaged file aside, as `NAME.damaged`, and go on with its rows that can be read.

        Args:
            fault: what is known to be wrong with rows that can all be read.

        Returns:
            What was wrong and what was done, in a sentence; None where all is well.
        """
        try:
            self.rows()
        except GmpsError as error:
            fault = str(error).partition(";")[0].removesuffix(".")
        if fault is None:
            return None
        kept = self.path.with_name(f"{self.path.name}.damaged")
        data = self.path.read_bytes()
        write_atomically(kept, data)
        rows, check, last = [], 0, -1
        for line in _complete_lines(data):
            row = _parsed(line)
            if row is not None and row["round"] > last:
                row.pop(CHECK, None)
                text, check = self._line(row, check)
                rows.append(text)
                last = row["round"]
        write_atomically(self.path, b"".join(rows))
        self._last = None
        return f"{fault}; it is kept as {kept.name}, and its {len(rows)} readable rows are used."

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
            if name in ("round", CHECK):
                raise GmpsError(f"A metric may not be called `{name}`: that is the row's number.")
            row[name] = _number(name, value)
        if self._last is None:
            self._cut(lambda _: True)
        last = self._last
        if last is not None and step <= last:
            raise GmpsError(
                f"Round {step} cannot be logged to {self.path} after round {last}; rounds rise."
            )
        text, check = self._line(row, self._check)
        self._last = None  # if writing fails half-way, the half line is cut off before the next
        self._append(text)
        self._last, self._check = int(step), check

    def _append(self, text: bytes) -> None:
        with naming(self.path), self.path.open("ab") as file:
            file.write(text)

    def truncate_after(self, step: int) -> None:
        """Drop the rows of rounds after `step`, and a half-written last line."""
        self._cut(lambda row: row["round"] <= step)

    def sync(self) -> None:
        """Wait until all rows are on the disk."""
        if self.path.exists():
            with self.path.open("ab") as file:
                os.fsync(file.fileno())

    def _line(self, row: Mapping[str, Any], before: int) -> tuple[bytes, int]:
        """A row as it is written, and its check number, which follows that of the row before."""
        if not self._checked:
            return json.dumps(row, allow_nan=False).encode() + b"\n", 0
        check = _check_of(row, before)
        return json.dumps({**row, CHECK: check}, allow_nan=False).encode() + b"\n", check

    def _complete(self) -> list[tuple[dict[str, Any], int]]:
        """Complete rows, each with the byte where it ends."""
        self._check = 0
        if not self.path.exists():
            return []
        rows, end, last = [], 0, -1
        for number, line in enumerate(_complete_lines(self.path.read_bytes()), 1):
            end += len(line)
            row = _parsed(line)
            if row is None or row["round"] <= last:
                raise GmpsError(
                    f"Line {number} of {self.path} is damaged: it is no JSON object with a round "
                    "above the last, and numbers; `gmps resume` goes on without it."
                )
            if self._checked:
                check = row.pop(CHECK, None)
                if check != _check_of(row, self._check):
                    raise GmpsError(
                        f"Line {number} of {self.path} is damaged, or from an older version of "
                        "gmps: it does not fit its check number; `gmps resume` goes on without it."
                    )
                self._check = check
            last = row["round"]
            rows.append((row, end))
        return rows

    def _cut(self, keep: Callable[[dict[str, Any]], bool]) -> None:
        """Shorten the file to the complete rows before the first one that is not kept."""
        end, check = 0, 0
        self._last = None
        for row, row_end in self._complete():
            if not keep(row):
                break
            end, self._last, check = row_end, row["round"], _check_of(row, check)
        self._check = check if self._checked else 0
        if self.path.exists() and self.path.stat().st_size != end:
            os.truncate(self.path, end)


def _complete_lines(data: bytes) -> list[bytes]:
    """The lines with their ends, without what follows the last end."""
    return [line + b"\n" for line in data.split(b"\n")[:-1]]


def _check_of(row: Mapping[str, Any], before: int) -> int:
    return zlib.crc32(json.dumps(row, sort_keys=True).encode(), before)


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The row of a line, or None if it is none."""
    try:
        row = parse_json(line)
    except ValueError:
        return None
    if not isinstance(row, dict) or type(row.get("round")) is not int or row["round"] < 0:
        return None
    # None stands for a number that was not finite.
    fits = all(x is None or type(x) in (int, float) for x in row.values())
    return row if fits else None


def _round_of(line: bytes) -> int | None:
    row = _parsed(line)
    return None if row is None else row["round"]


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
