"""Pushed and pulled by the real package against a server of this machine; strangers' lists."""

import base64
import functools
import http.server
import importlib
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from test_meta_policy import write

import gmps.deploy
from gmps.commands.cli import main
from gmps.errors import GmpsError
from gmps.hub.contents import LIST, MAX_LIST
from gmps.hub.places import place
from gmps.hub.transfer import pull, push
from gmps.runs.run import Run
from synthetic_runs import Settings, write_run


@pytest.fixture
def run(tmp_path) -> Path:
    """A run with three checkpoints, of which the first is the best, and what stays at home."""
    folder = write_run(tmp_path / "push", Settings(rounds=3), tasks=2)
    with Run.open(folder) as opened:
        for step, score in enumerate((3.0, 1.0, 2.0)):
            opened.save(step, {"weight": np.full(3, step, np.float32)}, score)
    (folder / "report.html").write_text("<script>alert(1)</script>")
    (folder / "code" / "family").mkdir(parents=True)
    (folder / "code" / "family" / "mine.py").write_text("print('executed')")
    return folder


@pytest.fixture
def policy(tmp_path) -> Path:
    return write(tmp_path / "policy")


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def serve() -> Iterator[Any]:
    """Starts servers of this machine alone; gives their addresses."""
    running = []

    def start(handler: Any) -> str:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


class Web(http.server.SimpleHTTPRequestHandler):
    """Files of a folder."""

    def log_message(self, *_: object) -> None:
        """Quiet."""


class FakeHub(http.server.BaseHTTPRequestHandler):
    """As much of the Hub's HTTP interface as repositories of a few files take."""

    repositories: ClassVar[dict[str, Any]]
    tokens: ClassVar[list[str | None]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
        self.tokens.append(self.headers.get("Authorization"))
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            # Older releases ask for the one, newer ones for the other.
            private = asked.get("private") or asked.get("visibility") == "private"
            new = {"private": private, "files": {}}
            self.repositories.setdefault(name, new)
            self.answer({"url": f"http://{self.headers['Host']}/{name}"})
        elif self.path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif found := re.fullmatch(r"/api/models/([\w-]+/[\w-]+)/preupload/main", self.path):
            listed = json.loads(body)["files"]
            mode = {"uploadMode": "regular", "shouldIgnore": False}
            self.answer({"files": [{"path": x["path"], **mode} for x in listed]})
        elif found := re.fullmatch(r"/api/models/([\w-]+/[\w-]+)/commit/main", self.path):
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    data = base64.b64decode(line["value"]["content"])
                    self.repositories[found[1]]["files"][line["value"]["path"]] = data
            url = f"http://{self.headers['Host']}/{found[1]}/commit/{'0' * 40}"
            self.answer({"success": True, "commitOid": "0" * 40, "commitUrl": url})
        else:
            self.answer({"error": "there is no such request"}, 404)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        found = re.fullmatch(r"/([\w-]+/[\w-]+)/resolve/main/([\w./-]+)", self.path)
        repository = self.repositories.get(found[1]) if found else None
        if repository is None:
            self.answer({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
            return
        assert found
        data = repository["files"].get(found[2])
        if data is None:
            self.answer({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
            return
        self.send(data, 200, {"ETag": f'"{hash(data)}"', "X-Repo-Commit": "0" * 40})

    def answer(self, content: Any, status: int = 200, headers: dict[str, str] | None = None):
        self.send(json.dumps(content).encode(), status, headers or {})

    def send(self, data: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        sizes = {"Content-Length": str(len(data)), "Content-Type": "application/json"}
        for name, value in {**sizes, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def address(serve) -> str:
    """Of one server: older releases of the package keep the first one that they see."""
    return serve(FakeHub)


@pytest.fixture
def hub(address, monkeypatch) -> type[FakeHub]:
    pytest.importorskip("huggingface_hub")
    FakeHub.repositories, FakeHub.tokens = {}, []
    monkeypatch.setenv("HF_ENDPOINT", address)
    monkeypatch.setenv("HF_TOKEN", "hf_of_this_test")
    return FakeHub


def test_a_meta_policy_goes_to_a_repository_and_back(hub, policy, tmp_path, capsys):
    assert main(["push", str(policy), "hf:me/point"]) == 0
    repository = hub.repositories["me/point"]
    assert repository["private"]
    assert repository["files"].keys() == {*files(policy), LIST}
    assert set(hub.tokens) == {"Bearer hf_of_this_test"}
    out = tmp_path / "pulled"
    assert main(["pull", "hf:me/point", str(out)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"written: {out} go on with: gmps explore {out} --help" in said
    found = files(out)
    del found[LIST]
    assert found == files(policy)
    assert gmps.deploy.load(out).meta == gmps.deploy.load(policy).meta


def test_a_run_goes_to_a_public_repository_with_a_card(hub, run, tmp_path):
    push(run, place("hf:me/push"), public=True)
    repository = hub.repositories["me/push"]
    assert not repository["private"]
    card = repository["files"]["README.md"].decode()
    assert card.startswith("---\nlibrary_name: gmps\n")
    assert "| after 1 |" in card
    contents = pull(place("hf:me/push@main"), tmp_path / "pulled", 10**9)
    assert contents.kind == "run"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hf:me/nothing", r"^hf:me/nothing cannot be read: .*404"),
        ("hf:../../etc", r"^'hf:\.\./\.\./etc' is no repository; write hf:OWNER/NAME"),
        ("hf:point", r"^'hf:point' is no repository; write hf:OWNER/NAME or hf:OWNER/NAME@REV"),
        ("hf:me/other", r"^hf:me/other has no gmps\.json; it was not written by `gmps push`"),
        ("file:///etc", r"^file:///etc is not read; give http://, https://, hf: or a folder\."),
    ],
)
def test_what_is_no_place_to_pull_from(hub, tmp_path, name, said):
    hub.repositories["me/other"] = {"private": False, "files": {"model.bin": b""}}
    with pytest.raises(GmpsError, match=said):
        pull(place(name), tmp_path / "out", 10**9)
    assert not (tmp_path / "out").exists()


def test_the_package_of_repositories_may_be_missing(monkeypatch):
    monkeypatch.setitem(importlib.import_module("sys").modules, "huggingface_hub", None)
    with pytest.raises(GmpsError, match=r'^hf: takes the package .*pip install "gmps\[hub\]"\.$'):
        place("hf:me/point")


def test_of_a_run_data_alone_are_handed_on(run, tmp_path):
    push(run, place(str(tmp_path / "shelf")))
    watched = {}
    contents = pull(place(str(tmp_path / "shelf")), tmp_path / "out", 10**9, watched.__setitem__)
    best_and_last = {f"checkpoints/step_{i:010d}.safetensors" for i in (0, 2)}
    assert contents.files.keys() == {
        *("config.json", "versions.json", "metrics.jsonl", "timing.jsonl", "scores.json"),
        *("paths.npz", "README.md"),
        *best_and_last,
    }
    found = files(tmp_path / "out")
    assert found.keys() == {*contents.files, LIST}
    assert {name: len(found[name]) for name in contents.files} == watched
    here = files(run)
    assert all(found[name] == here[name] for name in contents.files if name != "README.md")
    assert Run.open(tmp_path / "out").checkpoints.best().step == 0


def test_a_run_comes_from_a_web_server(run, tmp_path, serve):
    push(run, place(str(tmp_path / "shelf")))
    address = serve(functools.partial(Web, directory=tmp_path))
    pull(place(f"{address}/shelf/"), tmp_path / "out", 10**9)
    assert files(tmp_path / "out") == files(tmp_path / "shelf")
    with pytest.raises(GmpsError, match=r"/nowhere holds nothing that `gmps push` wrote: it has"):
        pull(place(f"{address}/nowhere"), tmp_path / "other", 10**9)
    with pytest.raises(GmpsError, match=r"is only read; push to a folder that is served, or to hf"):
        push(run, place(address))
    with pytest.raises(GmpsError, match=r"gmps\.json cannot be read: .*refused"):
        pull(place("http://127.0.0.1:1"), tmp_path / "other", 10**9)


@pytest.mark.parametrize("name", ["http://[bad", "http://exa mple.org", "http://a..b/x"])
def test_malformed_addresses_are_one_sentence(name, tmp_path):
    with pytest.raises(
        GmpsError, match="^" + re.escape(name) + r"/gmps\.json cannot be read: .+\.$"
    ):
        pull(place(name), tmp_path / "out", 10**9)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "name",
    [
        *("../evil", "/etc/passwd", "a/../../b", "code/family/mine.py", "report.html", "x.pkl"),
        *("checkpoints/../config.json", "config.json\n", "checkpoints/step_1.safetensors", ""),
    ],
)
def test_no_name_leads_out_of_the_folder_and_none_is_code(run, tmp_path, name):
    shelf = tmp_path / "shelf"
    push(run, place(str(shelf)))
    content = json.loads((shelf / LIST).read_text())
    content["files"][name] = content["files"]["config.json"]
    (shelf / LIST).write_text(json.dumps(content))
    said = re.escape(f"{shelf} lists {name!r}, which is no file of a run.")
    with pytest.raises(GmpsError, match=f"^{said}$"):
        pull(place(str(shelf)), tmp_path / "out", 10**9)
    assert not (tmp_path / "out").exists()


def test_sizes_and_digests_are_held(run, tmp_path):
    shelf, out = tmp_path / "shelf", tmp_path / "out"
    size = push(run, place(str(shelf)))[0].size
    with pytest.raises(GmpsError, match=rf"has {size:,} bytes; at most {size - 1:,} are taken"):
        pull(place(str(shelf)), out, size - 1)
    scores = (shelf / "scores.json").read_bytes()
    (shelf / "scores.json").write_bytes(scores + b" ")
    said = rf"^scores\.json of .* has more than the {len(scores):,} bytes that it was said to have"
    with pytest.raises(GmpsError, match=said):
        pull(place(str(shelf)), out, 10**9)
    (shelf / "scores.json").write_bytes(scores.replace(b"1", b"2"))
    with pytest.raises(GmpsError, match=r"^scores\.json of .* is not the file that its gmps\.json"):
        pull(place(str(shelf)), out, 10**9)
    (shelf / "scores.json").unlink()
    (shelf / "scores.json").symlink_to(run / "scores.json")
    with pytest.raises(GmpsError, match=r"lacks scores\.json, which its gmps\.json lists\.$"):
        pull(place(str(shelf)), out, 10**9)
    (shelf / LIST).write_bytes(b" " * (MAX_LIST + 1))
    with pytest.raises(GmpsError, match=r"more than the 1,048,576 bytes that a list may have\.$"):
        pull(place(str(shelf)), out, 10**9)
    assert not out.exists()


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "{}", '{"format": 2}', "[" * 10_000, '{"format": 1, "kind": "run"}'),
        '{"format": 1, "kind": "run", "files": {"config.json": {"size": -1, "digest": "0"}}}',
        '{"format": 1, "kind": "model", "files": {"config.json": {"size": 1, "digest": "0"}}}',
    ],
)
def test_a_damaged_list_is_a_sentence(tmp_path, text):
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf" / LIST).write_text(text)
    with pytest.raises(GmpsError, match=r"^gmps\.json of .* is damaged: "):
        pull(place(str(tmp_path / "shelf")), tmp_path / "out", 10**9)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"family": "mine.py:Mine"}, r"takes code of its maker's, mine\.py:Mine, so it is not "),
        ({"method": "os:system"}, r"takes code of its maker's, os:system, so it is not "),
        ({"expert": ["antigravity:x"]}, r"takes code of its maker's, antigravity:x, so it is"),
        ({"address": "10.0.0.1:6379"}, r"names a cluster, 10\.0\.0\.1:6379, which others are not"),
        ({"family": None}, r"^config\.json of the run is damaged: a name is no word\.$"),
    ],
)
def test_a_run_that_takes_code_or_a_cluster_is_not_handed_on(run, tmp_path, change, said):
    shelf = tmp_path / "shelf"
    push(run, place(str(shelf)))
    config = json.loads((run / "config.json").read_text()) | change
    (run / "config.json").write_text(json.dumps(config))
    with pytest.raises(GmpsError, match=said):
        push(run, place(str(tmp_path / "again")))
    # A stranger's list is right about its files.
    listed = json.loads((shelf / LIST).read_text())
    (shelf / "config.json").write_text(json.dumps(config))
    contents = importlib.import_module("gmps.hub.contents")
    entry = contents.entry_of(shelf / "config.json")
    listed["files"]["config.json"] = {"size": entry.size, "digest": entry.digest}
    (shelf / LIST).write_text(json.dumps(listed))
    with pytest.raises(GmpsError, match=said):
        pull(place(str(shelf)), tmp_path / "out", 10**9)
    assert not (tmp_path / "out").exists()


def test_what_is_neither_a_run_nor_a_meta_policy_is_not_pushed(tmp_path, run, capsys):
    with pytest.raises(GmpsError, match=r"is neither a run nor a meta-policy; name a folder that"):
        push(tmp_path, place(str(tmp_path / "shelf")))
    for path in (run / "checkpoints").iterdir():
        path.unlink()
    with pytest.raises(GmpsError, match=r"has no checkpoint yet; train it with `gmps resume "):
        push(run, place(str(tmp_path / "shelf")))
    assert main(["pull", "here", str(run)]) == 2
    assert f"{run} already exists; choose another name" in capsys.readouterr().err
