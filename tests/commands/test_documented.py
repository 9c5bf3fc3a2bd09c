"""Every page's blocks run in order, in a folder of their own, as a reader would run them."""

import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from brief import brief
from published import robomimic
from test_docs import PAGES, Block, Robot, blocks, lines_of

from gmps.commands.cli import main
from gmps.tasks import make_family
from places import EXAMPLES, ROOT

#: Lines that no test runs as they stand, by how they begin, and why.
NOT_RUN = {
    "make setup": "installs a thousand files; `make test` does it first, in continuous integration",
    "make test": "continuous integration runs it",
    "make lint": "continuous integration runs it",
    "make bench": "compares speeds, for quiet cores; tests/test_regression_tool.py has its rule",
    "make docs": "tests/packaging/test_manual_site.py runs it",
    "make demo": "trains for minutes; run by hand before README's figures are printed",
    "pip install": "takes the package registry; tests/packaging/test_bare.py does so for deploy",
    "pipx install": "takes a tool that is not among the developers' packages",
    "uv tool install": "takes a tool that is not among the developers' packages",
    "docker": "takes a Docker daemon; tests/packaging/test_requirements.py reads the file",
    "python benchmarks/torture.py": "takes an hour; tests/runs has a small part of each",
    "python benchmarks/ray_kill.py": "takes a cluster, for minutes",
    "gmps view RUN": "serves until it is ended; tests/view starts it",
    "gmps push policy hf:": "takes an account; tests/hub does it against a server of its own",
    "gmps pull hf:": "takes the network; tests/hub does it against a server of its own",
    "gmps pull https:": "takes the network; tests/hub does it against a server of its own",
    "gmps expert train sawyer-push --kind per-task --on ray": "takes a cluster; see tests/training",
    "gmps train sawyer-push --expert /shared/push --on ray": "takes a cluster; see tests/training",
}
#: What a reader of a page has before its first block: a command that made it, by what it made.
PUSH = "gmps train sawyer-push --run runs/push"
BEFORE: dict[str, tuple[str, ...]] = {
    "README": (
        "gmps train sawyer-push --run runs/demo",
        "gmps train sawyer-push --method gmps --run runs/push",
    ),
    "deploy": (PUSH,),
    "gmps": (),
    "hub": (PUSH, "gmps export runs/push --out policy"),
    "in-context": (PUSH,),
    "maesn": ("gmps expert train ant-goal --run runs/ant-expert",),
    "maml": ("gmps expert train ant-goal --run runs/ant-expert",),
    "gmps-latent": ("gmps expert train ant-goal --run runs/ant-expert",),
    "rendering": (PUSH,),
    "theory": ("gmps train sawyer-push --method gmps --run runs/push",),
    "tracking": (PUSH,),
    "view": (PUSH, "gmps train sawyer-push --seed 1 --run runs/push-1"),
}
#: Demonstrations that a reader has: file to family.
RECORDED = {
    ("README", "my-demos.npz"): "ant-goal",
    ("demonstrations", "my-demos.npz"): "sawyer-push",
    ("data", "SOURCE"): "sawyer-push",
    ("own-demonstrations", "recordings.npz"): "point-goal",
    ("gmps", "ant-goal-demos.npz"): "ant-goal",
    ("multitask", "ant-goal-demos.npz"): "ant-goal",
}
#: What stands for what a reader puts there.
STANDS_FOR = {"FAMILY": "sawyer-push"}


def reason(line: str) -> str | None:
    """Why a line is not run, or None where it is."""
    if line.startswith("gmps view") and "--export" not in line and "--film" not in line:
        line = "gmps view RUN"
    return next((why for start, why in NOT_RUN.items() if line.startswith(start)), None)


def shell(block: Block) -> list[str]:
    """What is typed in a block of a shell."""
    return lines_of(block) if block.language in ("sh", "console") else []


LINES = [line for page in PAGES for block in blocks(page) for line in shell(block)]


def test_each_line_of_a_shell_is_run_or_has_a_reason():
    assert [x for x in LINES if not x.startswith("gmps ") and reason(x) is None] == []


def test_no_reason_is_left_behind():
    for start, why in NOT_RUN.items():
        assert any(reason(line) == why for line in LINES), start


def record(path: Path, family_name: str) -> None:
    """Demonstrations of two tasks of a family, two episodes each, as an .npz file."""
    family = make_family(family_name)
    spec, random = family.spec, np.random.default_rng(0)
    tasks = np.asarray(family.tasks("train", 2))
    shape = (2, 2, spec.horizon)
    np.savez(
        path,
        observations=random.uniform(-0.1, 0.1, (*shape, spec.obs_size)).astype(np.float32),
        actions=random.uniform(-1, 1, (*shape, spec.act_size)).astype(np.float32),
        rewards=random.normal(size=shape).astype(np.float32),
        goals=tasks,
    )


def prepare(page: Path) -> None:
    """Bring what a reader has, into the working folder."""
    Path("examples").symlink_to(EXAMPLES)
    if page.stem == "data":
        robomimic(Path("lift.hdf5"))
    if page.stem == "metaworld":
        code = [block for block in blocks(page) if block.language == "python"]
        Path("my_controller.py").write_text("\n".join(code[0].lines))
    for (stem, name), family in RECORDED.items():
        if stem == page.stem:
            with Path(name).open("wb") as file:
                record(file, family)  # pyright: ignore[reportArgumentType]
    for line in BEFORE.get(page.stem, ()):
        assert main(brief(shlex.split(line)[1:])) == 0


def run_line(line: str) -> None:
    """Run a command of gmps, cut down."""
    words = shlex.split(line, comments=True)[1:]
    words = [STANDS_FOR.get(word, word) for word in words]
    assert main(brief(words)) == 0, line


def run_code(block: Block, page: Path, names: dict[str, Any]) -> None:
    """Run Python in the names that earlier blocks of the page left."""
    text = "\n".join(block.lines).replace("rounds=30", "rounds=1")
    exec(compile(text, str(page), "exec"), names)


@pytest.mark.slow
@pytest.mark.usefixtures("frozen_commit")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_page_runs_from_its_first_block_to_its_last(page: Path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    found = list(blocks(page))
    if not any(shell(block) or block.language == "python" for block in found):
        pytest.skip("no code")
    if any(re.search(r"\bml\d+-", line) for block in found for line in shell(block)):
        pytest.importorskip("metaworld.envs")
    prepare(page)
    names: dict[str, Any] = {"robot": Robot(6)}
    for block in found:
        if block.language == "python":
            run_code(block, page, names)
        for line in shell(block):
            if reason(line) is None:
                run_line(line)
