"""Shared by all tests: arguments of the pure core are checked for shape and type at run time."""

import keep_programs  # noqa: F401  # isort: skip

from collections.abc import Iterator

import jax
import pytest
from jaxtyping import config, install_import_hook

import gmps.runs.versions
from places import ROOT

CORE = (
    "dist", "nets", "returns", "losses", "columns", "adapt", "meta_gradient", "encoders", "policy",
)  # fmt: skip
install_import_hook([f"gmps.core.{name}" for name in CORE], "beartype.beartype")


@pytest.fixture(autouse=True, scope="module")
def fresh_programs() -> Iterator[None]:
    """Forget a module's compiled programs when it is done.

    Each keeps some memory maps, and beyond the system's 65,530 for a process XLA crashes.
    """
    yield
    jax.clear_caches()


@pytest.fixture
def x64() -> Iterator[None]:
    """Float64 for one test: finite differences need the digits."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def unchecked() -> Iterator[None]:
    """No run-time type checks for one test: the core's own error is wanted."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.fixture
def frozen_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that are resumed in a test see one commit, whatever is committed meanwhile."""
    commit = gmps.runs.versions._commit(ROOT)
    monkeypatch.setattr(gmps.runs.versions, "_commit", lambda _: commit)
