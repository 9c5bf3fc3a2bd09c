"""What reaches the terminal: users' words, files' names, nothing that the terminal would obey."""

from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from gmps.printable import printable


class Terminal(Console):
    """A console that takes text as it is: brackets are no markup, and control characters are
    spelled out. Styles are given apart from the text."""

    def __init__(self):
        super().__init__(highlight=False, markup=False, emoji=False)

    def print(self, *objects: Any, **options: Any) -> None:
        """A table that is wider than the terminal is printed whole: figures are not cut off. Where
        there is no terminal, such as in a pipe, lines of text are whole too."""
        tables = [x for x in objects if isinstance(x, Table)]
        needed = max(map(self.needed, tables), default=0)
        width = self.width
        if not tables and not self.is_terminal:
            options = {"soft_wrap": True, **options}
        if needed <= width:
            super().print(*objects, **options)
            return
        self.width = needed
        try:
            super().print(*objects, **{"crop": False, **options})
        finally:
            self.width = width

    def needed(self, table: Table) -> int:
        """The width at which nothing of a table is cut off."""
        return Measurement.get(self, self.options.update_width(10_000), table).maximum

    def render_str(self, text: str, **options: Any) -> Text:
        """All text comes through here, cells of tables too."""
        return super().render_str(printable(text), **options)
