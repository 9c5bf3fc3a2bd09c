"""The benchmark of MuJoCo Warp: what it reads, and one step of it on a CPU."""

import json
import os
import subprocess
import sys

import mujoco
import numpy as np
import pytest

from gmps.tasks import make_family
from places import BENCHMARKS

#: An interpreter that has mujoco_warp, which needs another MuJoCo than the tests do.
WARP = os.environ.get("GMPS_WARP_PYTHON")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    words = [sys.executable, BENCHMARKS / "warp_models.py", folder, "--families", "sawyer-push"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_written_model_moves_as_the_family_s_own(models):
    """One recorded control step of five physics steps, by hand."""
    family, positions = make_family("sawyer-push"), []
    model = mujoco.MjModel.from_xml_path(str(models / "sawyer-push.xml"))
    assert model.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_WARMSTART
    with np.load(models / "sawyer-push.npz") as record:
        start, control = record["starts"][5].astype(float), record["controls"][5, 0].astype(float)
        assert record["controls"].shape == (64, 50, 3)
        assert int(record["frame_skip"]) == 5
        for own in (model, family.model()):
            data = mujoco.MjData(own)
            data.qpos[:], data.qvel[:], data.mocap_pos[0] = start[:6], start[6:12], control
            mujoco.mj_step(own, data, nstep=5)
            positions.append(data.qpos.copy())
    np.testing.assert_allclose(positions[0], positions[1], rtol=0, atol=1e-12)
    assert not np.array_equal(positions[0], start[:6])


def test_written_policy_acts_as_its_means_say(models):
    with np.load(models / "sawyer-push.npz") as record:
        x = record["starts"][63, :6]
        for i in range(3):
            x = (np.maximum(x, 0) if i else x) @ record[f"w{i}"][15] + record[f"b{i}"][15]
        np.testing.assert_allclose(x, record["means"][63], rtol=0, atol=1e-6)


@pytest.mark.skipif(WARP is None, reason="no interpreter with mujoco_warp in GMPS_WARP_PYTHON")
def test_one_step_of_both_loops(models, tmp_path):
    out = tmp_path / "speed.json"
    options = "--worlds 2 --steps 1 --repeats 1 --device cpu --out"
    done = subprocess.run(
        [WARP, BENCHMARKS / "warp_throughput.py", models, *options.split(), out],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(out.read_text())
    found, threads, *loops = report["results"]
    assert found["difference"]["first_action"] < 1e-5
    assert found["difference"]["position_after_steps"]["1"]["largest"] < 1e-6
    assert threads["threads"]["control_steps_per_second"] > 0
    assert [row["loop"] for row in loops] == ["open", "closed"]
    assert all(row["control_steps_per_second"] > 0 and row["worlds"] == 2 for row in loops)
    assert all(row["overflowed"] == row["not_finite"] == 0 for row in loops)
