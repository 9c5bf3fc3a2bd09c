"""Text of users and files reaches the terminal as text."""

import io
from pathlib import Path

import pytest
from rich.table import Table

from gmps.commands.cli import main
from gmps.commands.terminal import Terminal
from gmps.printable import printable

#: Markup, an escape sequence, and a change of the direction of writing.
NASTY = "[/red] [bold]goal[/] \x1b[31mred\x1b]0;title\x07 \u202eflip"
SHOWN = "[/red] [bold]goal[/] \\x1b[31mred\\x1b]0;title\\x07 \\x202eflip"


@pytest.mark.parametrize("style", [None, "bold red"])
def test_text_is_shown_as_it_is(style):
    console = Terminal()
    console.file = io.StringIO()
    console.print(NASTY, style=style, soft_wrap=True)
    assert console.file.getvalue() == f"{SHOWN}\n"


def test_cells_of_tables_too():
    table = Table(box=None)
    table.add_column(NASTY, no_wrap=True)
    table.add_row(NASTY)
    console = Terminal()
    console.file = io.StringIO()
    console.print(table, width=200)
    assert [line.strip() for line in console.file.getvalue().splitlines()] == [SHOWN, SHOWN]


def test_in_a_pipe_lines_are_whole_and_in_a_terminal_words_are():
    words = "Go on with: gmps eval " + "folder/" * 20 + " and a long sentence" * 4
    for terminal in (False, True):
        console = Terminal()
        console.file, console._force_terminal, console.width = io.StringIO(), terminal, 60
        console.print(words)
        lines = console.file.getvalue().splitlines()
        assert (len(lines) > 1) == terminal
        assert lines == [words] if not terminal else max(map(len, lines)) <= 60
        console.print(words, soft_wrap=True)
        assert console.file.getvalue().endswith(f"{words}\n")


def test_printable_leaves_words_of_all_languages():
    for text in ("plain", "Größe 3\xa0m", "日本語", "a\tb\nc", "🤖"):
        assert printable(text) == text


def test_errors_and_lists_of_a_users_family(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "\x1b[31mred"]) == 2
    assert "\x1b" not in capsys.readouterr().err
    Path("own.py").write_text(
        "from gmps.tasks.point_goal import PointGoal\n"
        "class Own(PointGoal):\n"
        f"    def describe(self, task): return {NASTY!r}\n"
    )
    words = ["expert", "eval", "own.py:Own", "--episodes", "1", "--split", "heldout"]
    assert main(words) == 0
    text = capsys.readouterr().out
    assert "[bold]goal[/]" in text
    assert "\x1b" not in text
