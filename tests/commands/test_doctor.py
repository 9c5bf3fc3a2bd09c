"""`gmps doctor` for a maintainer: JSON, warnings and checks that fail."""

import json
import sys

import jax
import pytest

from gmps.commands import examining
from gmps.commands.cli import main
from gmps.commands.examining import Check


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No simulation, which another test runs."""
    monkeypatch.setattr(examining, "_simulation", lambda: Check("simulation", True, "not run"))


def test_json_holds_what_a_maintainer_asks_for(monkeypatch, capsys, tmp_path):
    (tmp_path / "program").write_bytes(b"12345")
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("MUJOCO_GL", "")
    monkeypatch.setenv("SECRET", "not told")
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["packages"]["jax"] == jax.__version__
    assert found["python"]["executable"] == sys.executable
    assert found["cores"]["all"] >= found["cores"]["usable"] >= 1
    assert found["memory"] > 2**28
    assert found["disk"]["free"] > 0
    assert found["cache"] == {"folder": str(tmp_path), "size": 5}
    assert found["jax"]["devices"][0].startswith("cpu:0")
    assert set(found["gl"]) == {"backend", "error"}
    assert found["environment"]["MUJOCO_GL"] == ""
    assert "SECRET" not in found["environment"]
    names = [check["name"] for check in found["checks"]]
    assert names == ["versions", "devices", "simulation", "mjx", "rendering"]


def test_a_pair_that_does_not_go_together_is_a_warning_line(monkeypatch, capsys):
    monkeypatch.setattr(examining, "conflicts", lambda: ["jax [1] and jaxlib [2] do not fit."])
    assert main(["doctor"]) == 0
    assert "WARNING jax [1] and jaxlib [2] do not fit." in capsys.readouterr().out


def test_a_check_that_fails_is_a_finding_and_the_others_go_on(monkeypatch, capsys):
    def _devices() -> Check:
        raise RuntimeError("no backend [cuda]")

    monkeypatch.setattr(examining, "_devices", _devices)
    assert main(["doctor"]) == 1
    lines = " ".join(capsys.readouterr().out.split())
    assert "MISSING devices failed: RuntimeError: no backend [cuda]" in lines
    assert "ok mjx" in lines
