"""Text of users and files without what a terminal would obey."""

import unicodedata


def printable(text: str) -> str:
    """The text with control characters, such as those of escape sequences or of another direction
    of writing, spelled out. Line ends and tabs stay."""
    if text.isprintable():
        return text
    return "".join(c if c in "\n\t" or not _controls(c) else f"\\x{ord(c):02x}" for c in text)


def _controls(c: str) -> bool:
    return unicodedata.category(c) in ("Cc", "Cf", "Cs")
