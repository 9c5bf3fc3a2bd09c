"""Without what training needs: gmps is importable, helps, and says what to install."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bare_environment import make_bare_environment

#: Hides every package but those that acting needs.
HIDE = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

HIDDEN = {"jax", "jaxlib", "mujoco", "equinox", "optax", "jaxtyping", "gymnasium", "minari",
          "filelock", "packaging", "tyro", "yaml", "cloudpickle", "rich", "tensorboardX",
          "matplotlib", "h5py", "scipy"}
sys.meta_path.insert(0, Hidden())
"""


def bare(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", HIDE + code], capture_output=True, text=True, check=False
    )


def test_help_and_version_take_no_package():
    for words in ([], ["--help"], ["--version"]):
        found = bare(f"from gmps.commands.cli import main; raise SystemExit(main({words!r}))")
        assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("gmps ")


@pytest.mark.parametrize("words", [["train", "point-goal"], ["tasks"], ["doctor"], ["demo"]])
def test_a_command_that_needs_more_says_so_in_one_sentence(words):
    found = bare(f"from gmps.commands.cli import main; raise SystemExit(main({words!r}))")
    assert found.returncode == 2
    assert found.stderr == (
        f"gmps: `gmps {words[0]}` needs the package tyro, which is not installed: "
        'pip install "gmps[train]".\n'
    )


def test_a_package_of_a_command_is_named():
    code = "HIDDEN.remove('tyro')\n"
    found = bare(code + "from gmps.commands.cli import main; raise SystemExit(main(['tasks']))")
    assert found.returncode == 2
    assert found.stderr.endswith('which is not installed: pip install "gmps[train]".\n')


#: Commands with what they need before their options.
FIRST = (
    *("adapt", "certify", "demo", "diagnose", "doctor", "eval", "explore", "export", "pull"),
    *("push", "render", "report", "resume", "tasks", "view", "demos import", "demos record"),
    *("expert train point-goal", "expert eval point-goal", "sweep point-goal", "train point-goal"),
    *("train ml1-reach-v3", "train own.py:Family"),
)


def test_neither_help_nor_a_refusal_waits_for_jax():
    code = """
HIDDEN.difference_update({"tyro", "yaml", "rich", "jaxtyping", "gymnasium"})
from gmps.commands.cli import main
for words in %r:
    for option in ("--help", "--bogus"):
        try:
            status = main([*words.split(), option])
        except SystemExit as end:
            status = end.code
        assert status == (0 if option == "--help" else 2), (words, option, status)
        print(words, option)
"""
    found = bare(code % (FIRST,))
    assert found.returncode == 0, found.stdout[-300:] + found.stderr
    assert found.stderr.count("needs the package") == 0, found.stderr


def test_gmps_is_imported_within_a_third_of_a_second():
    # Of the processor: what else the machine does is not gmps's.
    code = "import time; t = time.process_time(); import gmps; print(time.process_time() - t)"
    best = min(float(bare(code).stdout) for _ in range(3))
    assert best < 0.3


@pytest.mark.slow
def test_the_wheel_with_deploy_brings_numpy_and_safetensors_alone(tmp_path: Path):
    """Takes the package registry."""
    python = make_bare_environment(tmp_path)

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python, "-I", *words], capture_output=True, text=True, check=False, cwd=tmp_path
        )

    listed = json.loads(run("-m", "pip", "list", "--format", "json").stdout)
    names = {package["name"] for package in listed} - {"pip", "setuptools"}
    assert names == {"gmps", "numpy", "safetensors"}
    absent = "import importlib.util as u; assert not any(map(u.find_spec, ('jax', 'mujoco')))"
    assert run("-c", f"import gmps; {absent}").returncode == 0
    assert "usage: gmps COMMAND" in run("-m", "gmps", "--help").stdout
    refused = run("-m", "gmps", "train", "point-goal")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert 'pip install "gmps[train]"' in refused.stderr
