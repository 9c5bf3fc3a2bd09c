"""The benchmark of MJX, small and on a CPU."""

import json
import subprocess
import sys

import pytest

from places import BENCHMARKS

pytest.importorskip("mujoco.mjx")


@pytest.mark.slow
def test_mjx_throughput_runs_and_reports(tmp_path):
    out = tmp_path / "speed.json"
    options = "--families ant-goal --batches 4 --tasks 2 --steps 2 --repeats 1 --native --out"
    done = subprocess.run(
        [sys.executable, BENCHMARKS / "mjx_throughput.py", *options.split(), out],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    assert [r["sim"] for r in report["results"]] == ["mjx", "native"]
    assert all(r["control_steps_per_second"] > 0 and r["batch"] == 4 for r in report["results"])
    assert report["device"]["platform"] in ("cpu", "gpu")
