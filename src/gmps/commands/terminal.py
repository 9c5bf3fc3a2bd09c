"""What reaches the terminal: users' words, files' names, nothing that the terminal would obey."""

import unicodedata
from typing import Any

from rich.console import Console
from rich.text import Text


def printable(text: str) -> str:
    """The text with control characters, such as those of escape sequences or of another direction
    of writing, spelled out. Line ends and tabs stay."""
    if text.isprintable():
        return text
    return "".join(c if c in "\n\t" or not _controls(c) else f"\\x{ord(c):02x}" for c in text)


def _controls(c: str) -> bool:
    return unicodedata.category(c) in ("Cc", "Cf", "Cs")


class Terminal(Console):
    """A console that takes text as it is: brackets are no markup, and control characters are
    spelled out. Styles are given apart from the text."""

    def __init__(self):
        super().__init__(highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """All text comes through here, cells of tables too."""
        return super().render_str(printable(text), **options)
