"""What the machine refuses: closed folders, a limit, no home, a run that is deleted."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gmps.commands.cli import main

BRIEF = [
    *("--method", "gmps", "--train-tasks", "2", "--threads", "1", "--gmps.episodes", "2"),
    *("--gmps.hidden", "8", "--gmps.outer-steps", "1", "--gmps.labels", "5"),
    *("--gmps.pretrain-steps", "5", "--gmps.capacity", "50"),
]
#: Runs commands one after the other and prints status and words of each.
SCRIPT = """
import contextlib, io, json, sys
from gmps.commands.cli import main
found = []
for words in json.loads(sys.argv[1]):
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            status = main(words)
        except SystemExit as error:
            status = error.code
    found.append([status, said.getvalue()])
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "point"
    words = ["train", "point-goal", "--run", str(folder), "--rounds", "1", "--no-eval", *BRIEF]
    assert main(words) == 0
    return folder


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None,
    reason="root may write anywhere, unless setpriv takes that right away",
)
def test_a_folder_that_cannot_be_written_is_one_sentence_in_every_command(run, tmp_path):
    closed = tmp_path / "closed"
    shutil.copytree(run, closed / "run")
    shutil.copytree(run, tmp_path / "open")
    commands = [
        ["train", "point-goal", "--run", str(closed / "new"), "--rounds", "1", *BRIEF],
        ["resume", str(closed / "run")],
        ["eval", str(closed / "run"), "--tasks", "2"],
        ["report", str(closed / "run")],
        ["adapt", str(closed / "run"), "--task", "1", "1", "--episodes", "2"],
        ["adapt", str(tmp_path / "open"), "--task", "1", "1", "--out", str(closed / "p")],
        ["render", str(tmp_path / "open"), "--task", "1", "1", "--out", str(closed / "a.png")],
        ["export", str(closed / "run")],
        ["diagnose", str(closed / "run")],
        ["sweep", "point-goal", "--grid", "gmps.std=0.3", "--runs", str(closed / "sweep")],
        ["demos", "record", "point-goal", "--episodes", "1", "--out", str(closed / "demos")],
        ["demo", "--run", str(closed / "demo")],
    ]
    folders = [closed, *(path for path in closed.rglob("*") if path.is_dir())]
    for path in [*folders, *(p for p in closed.rglob("*") if p.is_file())]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = sorted(str(path) for path in closed.rglob("*"))
    python = [sys.executable, "-c", SCRIPT, json.dumps(commands)]
    if os.geteuid() == 0:
        rights = "-dac_override,-dac_read_search,-fowner"
        python = ["setpriv", f"--bounding-set={rights}", *python]
    try:
        done = subprocess.run(python, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        for words, (status, said) in zip(commands, json.loads(done.stdout), strict=True):
            assert status == 2, (words, said)
            # Where the place is asked about beforehand, the way out is named too.
            assert re.search(r"cannot be (read or )?written|is no folder to write to", said), said
            assert said.count("\n") == 1 and str(closed) in said, (words, said)
        assert sorted(str(path) for path in closed.rglob("*")) == before
    finally:
        for path in folders:
            path.chmod(0o755)


def test_a_limit_of_a_files_size_is_one_sentence(run, tmp_path):
    largest = max(path.stat().st_size for path in run.rglob("*.safetensors"))
    words = ["train", "point-goal", "--run", str(tmp_path / "new"), "--rounds", "1", "--no-eval"]
    limit = (
        "import resource, sys\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({largest // 2}, {largest // 2}))\n"
        "from gmps.commands.cli import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    # Its compiled programs would be over the limit, too.
    found = subprocess.run(
        [sys.executable, "-c", limit, *words, *BRIEF],
        env=os.environ | {"GMPS_COMPILE_CACHE": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 2
    assert "the file would be larger than this process may write; raise the limit" in found.stderr
    assert "Traceback" not in found.stderr
    assert not list((tmp_path / "new").rglob(".writing-*"))


def test_without_a_home_commands_work(tmp_path):
    without = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME")}
    words = ["demos", "record", "point-goal", "--episodes", "1", "--out", str(tmp_path / "demos")]
    python = [sys.executable, "-m", "gmps", *words]
    found = subprocess.run(python, env=without, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "demos").is_dir()


def test_a_run_that_is_deleted_while_it_trains_is_one_sentence(tmp_path):
    folder = tmp_path / "run"
    words = ["train", "point-goal", "--run", str(folder), "--rounds", "5000", "--no-eval", *BRIEF]
    training = subprocess.Popen(
        [sys.executable, "-m", "gmps", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    log = folder / "metrics.jsonl"
    while training.poll() is None and not (log.exists() and log.read_bytes().count(b"\n") > 2):
        time.sleep(0.02)
    folder.rename(tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "elsewhere")
    said = training.communicate(timeout=120)[1]
    assert training.returncode == 2, said
    assert "cannot be read or written: a file or folder is gone" in said
    assert str(folder) in said and "Traceback" not in said
