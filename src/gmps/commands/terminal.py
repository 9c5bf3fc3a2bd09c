"""What reaches the terminal: users' words, files' names, nothing that the terminal would obey."""

from typing import Any

from rich.console import Console
from rich.text import Text

from gmps.commands.printable import printable


class Terminal(Console):
    """A console that takes text as it is: brackets are no markup, and control characters are
    spelled out. Styles are given apart from the text."""

    def __init__(self):
        super().__init__(highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """All text comes through here, cells of tables too."""
        return super().render_str(printable(text), **options)
