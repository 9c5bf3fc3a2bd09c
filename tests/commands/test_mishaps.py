"""What goes wrong around a command is one sentence: the machine, and code that users brought."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gmps.commands.cli import main
from gmps.commands.mishaps import in_words
from gmps.runs.jsonl import RoundLog
from gmps.user_code import load_code


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (errno.ENOSPC, "the disk is full; make room"),
        (errno.EROFS, "the disk can only be read; choose another place"),
        (errno.EACCES, "this user may not; choose another place, or change its permissions"),
        (errno.EISDIR, os.strerror(errno.EISDIR)),
    ],
)
def test_the_system_refuses(number: int, cause: str):
    error = OSError(number, os.strerror(number), "runs/a/metrics.jsonl")
    error.add_note("The state after round 4 is saved.")
    assert in_words(error) == (
        f"runs/a/metrics.jsonl cannot be read or written: {cause}.\n"
        "The state after round 4 is saved."
    )


def test_a_fault_of_gmps_keeps_its_traceback():
    assert in_words(AssertionError("a fault")) is None
    assert in_words(SystemExit(0)) is None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="takes a disk that is always full")
def test_a_full_disk_is_told_with_the_file(tmp_path):
    log = RoundLog(tmp_path / "metrics.jsonl")
    log.path.symlink_to("/dev/full")
    with pytest.raises(OSError) as caught:
        log._append(b"{}\n")
    assert in_words(caught.value) == (
        f"{log.path} cannot be read or written: the disk is full; make room."
    )


CODE = {
    "syntax": "def act(task, obs:\n    return 1\n",
    "import": "import math\n\nraise ZeroDivisionError('at once')\n",
    "exit": "import sys\n\nsys.exit(3)\n",
}


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("syntax", "mine.py, line 1, fails: SyntaxError: "),
        ("import", "mine.py, line 3, fails: ZeroDivisionError: at once."),
        ("exit", "mine.py, line 3, ends the program (SystemExit: 3), which gmps may not let it."),
    ],
)
def test_a_users_file_that_cannot_be_loaded(name, sentence, tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(CODE[name])
    assert main(["tasks", f"{file}:Mine"]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    below = said.partition("In your code:\n")[2]
    assert below
    # The user's own lines, and none of ours or of Python's.
    assert {line for line in below.splitlines() if "File " in line} == {
        line for line in below.splitlines() if f'File "{file}"' in line
    }


def test_the_frames_are_the_users_alone(tmp_path):
    file = tmp_path / "helps.py"
    file.write_text("import json\n\n\ndef act(task, obs):\n    return json.loads('{')\n")
    act = load_code(f"{file}:act", "an expert")
    with pytest.raises(ValueError) as caught:
        act(0, 0)
    words = in_words(caught.value)
    assert words is not None
    first, below = words.split("\nIn your code:\n")
    assert "helps.py, line 5, in act, fails: JSONDecodeError: Expecting property name" in first
    assert [x.split('"')[1] for x in below.splitlines() if "File " in x] == [str(file)]


def test_a_reader_that_ends_is_no_mishap():
    words = f"{sys.executable} -m gmps tasks point-goal | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr and "Exception" not in done.stderr
    assert done.stdout.strip() in ("0", "1", "141")
