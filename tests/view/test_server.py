"""The server, without a browser: what it serves, what it does not, how it ends."""

import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gmps.commands import cli, view, viewing
from gmps.errors import GmpsError
from gmps.view.learner import RunLearner
from gmps.view.server import Server

pytest.importorskip("viser")


def get(address: str, path: str) -> tuple[int, bytes]:
    """What the server answers to a request, whose path is sent as it is."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.fixture
def broken():
    def load():
        raise GmpsError("The run is damaged.")

    server = Server(load, port=8790)
    yield server
    server.close()


def test_nothing_but_the_page_is_served(broken, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.txt").write_text("secret")
    status, page = get(broken.address, "/")
    assert status == 200 and b"<html" in page.lower()
    for path in (
        "/secret.txt",
        f"{tmp_path}/secret.txt",
        "/../../../../../../../../etc/passwd",
        "/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/..%5c..%5cetc/passwd",
        "/config.json",
    ):
        status, content = get(broken.address, path)
        assert status == 404 and b"secret" not in content and b"root:" not in content, path


def test_it_listens_on_this_machine_alone_and_opens_no_tunnel(broken):
    assert broken.address == "http://127.0.0.1:8790"
    with Path("/proc/net/tcp").open() as file:
        listening = {row.split()[1] for row in file if row.split()[3] == "0A"}
    port = f"{8790:04X}"
    assert f"0100007F:{port}" in listening  # 127.0.0.1
    assert f"00000000:{port}" not in listening
    assert broken._viser.request_share_url() is None


def test_a_taken_port_is_passed_over(broken):
    other = Server(lambda: [], port=8790)
    assert other.address == "http://127.0.0.1:8791"
    other.close()


def test_what_is_wrong_with_a_run_is_kept_for_the_page(broken):
    end = time.monotonic() + 20
    while broken._busy and time.monotonic() < end:
        time.sleep(0.02)
    assert (broken._said, broken.ready) == ("The run is damaged.", False)


def test_a_damaged_checkpoint_is_a_sentence(trained, tmp_path):
    run = shutil.copytree(trained, tmp_path / "run")
    for file in (run / "checkpoints").iterdir():
        file.write_bytes(file.read_bytes()[:-100])
    server = Server(lambda: [RunLearner(run)], port=8798)
    assert server.worker.wait(60)
    assert re.search(r"damaged|cut|short", server._said), server._said
    assert "Traceback" not in server._said and not server.ready
    server.close()


def test_without_viser_one_sentence_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(GmpsError, match=r'needs the package viser.*pip install "gmps\[view\]"'):
        Server(lambda: [])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "shows one run or compares two, and 0 were named"),
        (["a", "b", "c"], "shows one run or compares two, and 3 were named"),
        (["nowhere"], "There is no folder nowhere"),
        (["nowhere", "--port", "0"], "--port is 0; it must be at least 1"),
    ],
)
def test_bad_commands_are_one_sentence(words, said, capsys):
    assert cli.main(["view", *words]) == 2
    assert said in capsys.readouterr().err


def test_runs_of_two_families_are_not_compared(monkeypatch):
    class Named:
        def __init__(self, folder, *_):
            self.name = folder
            self.family = type("Family", (), {"name": f"family of {folder}"})

    monkeypatch.setattr(viewing, "_learner", Named)
    with pytest.raises(GmpsError, match="different families, family of a and family of b"):
        viewing._load(view.View(runs=("a", "b")))


#: The command; where the tests themselves run in the background, Ctrl-C would be ignored.
START = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from gmps.commands.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_ctrl_c_ends_it_within_a_second(trained):
    words = [sys.executable, "-c", START, "view", str(trained), "--port", "8795", "--no-browser"]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(words, **options, env={**os.environ, "PYTHONUNBUFFERED": "1"}) as server:
        line = server.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+", line)
        assert address, line + server.stderr.read()
        # While the run is loaded and programs are compiled.
        assert get(address[0], "/")[0] == 200
        pressed = time.monotonic()
        server.send_signal(signal.SIGINT)
        try:
            server.wait(20)
        finally:
            server.kill()
        taken = time.monotonic() - pressed
        said = server.stdout.read()
    assert (server.returncode, said) == (0, "stopped\n")
    assert taken < 1.0


def test_another_address_is_warned_of(tmp_path, monkeypatch, capsys):
    (tmp_path / "config.json").write_text("{}")

    class Stub:
        address = "http://127.0.0.1:8080"

        def __init__(self, *_):
            pass

        def wait(self):
            raise KeyboardInterrupt

    ended = []
    monkeypatch.setattr(viewing, "Server", Stub)
    monkeypatch.setattr(os, "_exit", ended.append)
    view.run([str(tmp_path), "--host", "0.0.0.0", "--no-browser"])
    said = " ".join(capsys.readouterr().out.split())
    assert "WARNING: everybody who reaches 0.0.0.0 can use this page; there is no password" in said
    view.run([str(tmp_path), "--no-browser"])
    assert "WARNING" not in capsys.readouterr().out
    assert ended == [0, 0]
