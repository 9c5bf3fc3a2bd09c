"""Compiled programs are kept between processes, in a folder of the user's own, within bounds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gmps.compile_cache import prune

PROGRAM = """
from gmps.compile_cache import keep_compiled_programs
keep_compiled_programs()
import jax, jax.numpy as jnp
print(float(jax.jit(lambda x: jnp.sin(x) @ jnp.cos(x).T)(jnp.ones((3, 3)))[0, 0]))
print(jax.config.jax_compilation_cache_dir)
"""


def answers(home: Path, **variables: str) -> list[str]:
    """What the program says with that home."""
    kept = {k: v for k, v in os.environ.items() if "CACHE" not in k}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        env={**kept, "HOME": str(home), **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_a_second_process_reads_what_the_first_compiled(tmp_path):
    first = answers(tmp_path)
    folder = tmp_path / ".cache" / "gmps" / "compiled"
    assert first[1] == str(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    files = {p: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert files
    assert answers(tmp_path) == first
    assert {p: p.stat().st_mtime_ns for p in folder.iterdir()} == files
    # Cut off, as after a kill: compiled anew, and nothing is said.
    for path in files:
        path.write_bytes(path.read_bytes()[:20])
    assert answers(tmp_path) == first


def test_another_folder_or_none(tmp_path):
    assert answers(tmp_path, GMPS_COMPILE_CACHE="0")[1] == "None"
    assert answers(tmp_path, JAX_COMPILATION_CACHE_DIR=str(tmp_path / "mine"))[1].endswith("mine")
    assert not (tmp_path / ".cache").exists()
    chosen = tmp_path / "caches"
    assert answers(tmp_path, XDG_CACHE_HOME=str(chosen))[1] == str(chosen / "gmps" / "compiled")


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_a_folder_that_others_write_is_not_used(tmp_path):
    folder = tmp_path / ".cache" / "gmps" / "compiled"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    assert answers(tmp_path)[1] == "None"
    assert not list(folder.iterdir())


def test_what_was_used_longest_ago_leaves_first(tmp_path):
    for i in range(10):
        file = tmp_path / f"{i}-cache"
        file.write_bytes(bytes(100))
        os.utime(file, (1000 + i, 1000))
    prune(tmp_path, limit=1000, left=500)
    assert len(list(tmp_path.iterdir())) == 10
    prune(tmp_path, limit=999, left=500)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{i}-cache" for i in range(5, 10)]
