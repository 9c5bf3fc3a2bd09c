"""Every Python block of the README and the docs runs; every command they show is taken."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from test_meta_policy import write as write_policy

import gmps
from gmps.commands import cli, options
from gmps.presets import preset
from gmps.runs.run import Run
from places import EXAMPLES, ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROSE = [*PAGES, ROOT / "CHANGELOG.md", *sorted((ROOT / "packaging").rglob("*.md"))]
#: Words that stand for what a reader puts there.
STANDS_FOR = {
    "RUN": "runs/push",
    "FAMILY": "point-goal",
    "FOLDER": "runs/push",
    "HOST": "127.0.0.1",
}


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    lines: list[str]


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks, each from an opening fence to the next fence, which closes it."""
    inside: Block | None = None
    for line in page.read_text(encoding="utf-8").splitlines():
        fence = re.match(r"\s*```(\S*)\s*$", line)
        if inside is None and fence:
            inside = Block(fence[1], [])
        elif inside is not None and fence and not fence[1]:
            yield inside
            inside = None
        elif inside is not None:
            inside.lines.append(line)
    assert inside is None, f"{page.name}: a block is not closed"


#: Of a shell, and of what is answered to it: what begins with a dollar sign is typed.
SHELL, SESSION = "sh", "console"


def lines_of(block: Block) -> list[str]:
    """What is typed in a block of a shell; lines that end in a backslash go on."""
    lines = "\n".join(block.lines).replace("\\\n", " ").splitlines()
    if block.language == SESSION:
        return [x[2:] for x in lines if x.startswith("$ ")]
    return [x for x in lines if x] if block.language == SHELL else []


def typed(block: Block) -> Iterator[list[str]]:
    """The words of each `gmps` command of a block."""
    for line in lines_of(block):
        if line.startswith("gmps "):
            yield shlex.split(line, comments=True)[1:]


COMMANDS = [
    pytest.param(words, id=f"{page.stem}: {' '.join(words)}")
    for page in PAGES
    for block in blocks(page)
    for words in typed(block)
]


class Taken(Exception):
    """A command's options were all read and checked; its work would begin."""


@pytest.fixture
def only_read(monkeypatch, tmp_path):
    """Commands end once their options are checked; the runs that they name exist."""

    def taken(command: Any) -> None:
        original(command)
        raise Taken

    original = cli.check_options
    for module in (cli, options):
        monkeypatch.setattr(module, "check_options", taken)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(EXAMPLES)


def make_runs(words: list[str]) -> None:
    """Runs, without checkpoints, at the paths that a command reads."""
    if words[0] not in (
        "resume",
        "eval",
        "diagnose",
        "certify",
        "view",
        "adapt",
        "render",
        "export",
    ):
        return
    folder = Path(words[1])
    family = "ml1-reach-v3" if {"--harness", "metaworld"} & set(words) else "sawyer-push"
    if not folder.exists():
        with Run.create(folder, preset(family)):
            pass


def test_blocks_are_told_apart(tmp_path):
    page = tmp_path / "page.md"
    text = "```sh\ngmps a \\\n  b\n```\ntext\n```python\nb\n```\n\n"
    page.write_text(text + "```console\n$ gmps x\ngmps y\n```\n")
    found = list(blocks(page))
    assert found[1:] == [("python", ["b"]), ("console", ["$ gmps x", "gmps y"])]
    assert [w for block in found for w in typed(block)] == [["a", "b"], ["x"]]
    page.write_text("```\na\n")
    with pytest.raises(AssertionError, match="not closed"):
        list(blocks(page))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_blocks_say_what_they_hold(page: Path):
    """What is run is told from what is not."""
    for block in blocks(page):
        assert block.language in (SHELL, SESSION, "python", "toml", "text"), block
        code = [x for x in block.lines if re.match(r"\s*(gmps |pip |import |from )", x)]
        assert block.language != "text" or not code
        if block.language == "toml":
            groups = tomllib.loads("\n".join(block.lines))["project"]["entry-points"]
            assert set(groups) <= {"gmps.methods", "gmps.families"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    """What `gmps demo` leaves, after as little training as there can be."""
    config = preset("sawyer-push")
    settings = replace(config.settings, episodes=2, pretrain_steps=10, outer_steps=1)  # pyright: ignore
    config = replace(config, rounds=1, train_tasks=2, expert_episodes=1, settings=settings)
    run = gmps.train(config, tmp_path_factory.mktemp("runs") / "demo", evaluate=False)
    return run.path


class Robot:
    """Something with observations of a size, 20 steps an episode."""

    def __init__(self, obs_size: int):
        self.obs_size, self.random = obs_size, np.random.default_rng(0)

    def reset(self) -> np.ndarray:
        self.left = 20
        return self.random.normal(size=self.obs_size).astype(np.float32)

    def step(self, act: np.ndarray) -> tuple[np.ndarray, float, bool]:
        left = self.left - 1
        obs, self.left = self.reset(), left
        return obs, -float(np.square(act).sum()), left == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_python_blocks_run(page: Path, tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    if any('deploy.load("policy")' in line for block in blocks(page) for line in block.lines):
        write_policy(tmp_path / "policy")
    if any('"runs/demo"' in line for block in blocks(page) for line in block.lines):
        (tmp_path / "runs").mkdir()
        (tmp_path / "runs" / "demo").symlink_to(request.getfixturevalue("demo"))
    names: dict[str, Any] = {"robot": Robot(2)}
    for block in blocks(page):
        text = "\n".join(block.lines)
        # What trains is run by `test_documented.py`.
        if block.language == "python" and "gmps.train(" not in text:
            exec(compile(text, str(page), "exec"), names)


@pytest.mark.parametrize("words", COMMANDS)
def test_documented_commands_are_taken(words: list[str], only_read, capsys):
    for word, stands in STANDS_FOR.items():
        words = [re.sub(rf"^{word}\b", stands, x) for x in words]
    make_runs(words)
    # A family that takes a package which is not installed would say so at once.
    if any(re.match(r"ml\d+", word) for word in words):
        pytest.importorskip("metaworld.envs")
    try:
        with pytest.raises(Taken):
            status = cli.main(words)
            pytest.fail(f"gmps {shlex.join(words)}: {status}; {capsys.readouterr().err}")
    except SystemExit:
        pytest.fail(f"gmps {shlex.join(words)}: {capsys.readouterr().err}")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


NAMED = re.compile(r"\b(?:tests|benchmarks)/[\w./*-]+\.\w+")


def missing(text: str) -> list[str]:
    """Tests, benchmarks and results that are named and do not exist; `*` stands for any."""
    return [name for name in NAMED.findall(text) if not any(ROOT.glob(name))]


def test_a_missing_file_is_told():
    text = "`tests/test_docs.py` and `tests/commands/test_docs.py`, `benchmarks/results/x-*.json`."
    assert missing(text) == ["tests/test_docs.py", "benchmarks/results/x-*.json"]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_tests_and_benchmarks_that_are_named_exist(page: Path):
    assert not missing(page.read_text(encoding="utf-8"))


def too_long(text: str) -> list[str]:
    """Lines of 120 characters and more, tables excepted: a row cannot be wrapped."""
    return [x for x in text.splitlines() if len(x) >= 120 and not x.lstrip().startswith("|")]


def test_a_long_line_is_told():
    assert too_long("a" * 119 + "\n| " + "b" * 130 + "\n" + "c" * 120) == ["c" * 120]


@pytest.mark.parametrize("page", PROSE, ids=lambda p: p.name)
def test_lines_of_prose_are_below_120_characters(page: Path):
    assert not too_long(page.read_text(encoding="utf-8"))
