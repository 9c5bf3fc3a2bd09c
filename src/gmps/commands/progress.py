"""Bars that count what takes long."""

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from gmps.commands.cli import console


def counting(unit: str, of: str = "") -> Progress:
    """A bar that counts, as in `round 3/40`, with a task's `figures` and times behind it."""
    return Progress(
        TextColumn(f"{unit} {{task.completed:.0f}}/{{task.total:.0f}}{of}"),
        BarColumn(6),
        TextColumn("{task.fields[figures]}", markup=False),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
        console=console,
    )
