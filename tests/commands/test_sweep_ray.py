"""A sweep on a Ray cluster: what workers do, and a node that dies under it."""

import json
import os
import time
from pathlib import Path

import pytest

from gmps.commands.cli import main
from gmps.commands.sweep_ray import state_of, train_cell, train_cells
from gmps.training.sweep import Cell, cells, standings

# Ray's own modules warn, when they are imported and when they are closed.
pytestmark = pytest.mark.filterwarnings("ignore:::ray", "ignore::ResourceWarning")
QUICK = [
    *("--rounds", "6", "--train-tasks", "3", "--expert-episodes", "1", "--checkpoint-every", "1"),
    *("--multitask-bc.pretrain-steps", "5", "--multitask-bc.steps", "2", "--threads", "1"),
    *("--multitask-bc.episodes", "4", "--multitask-bc.hidden", "8", "--multitask-bc.stds", "0.3"),
    *("--evaluation.episodes", "4", "--evaluation.steps", "1", "--evaluation.repeats", "1"),
    *("--evaluation.tasks", "3", "--plain.steps", "5", "--plain.stds", "0.3"),
    *("--plain.step-sizes", "0.05", "--multitask-bc.tune-every", "1"),
]


def command(cell: Cell) -> list[str]:
    words = ["train", "point-goal", "--method", "multitask-bc", "--run", str(cell.folder)]
    return [*words, "--seed", str(cell.seed), *cell.options(), *QUICK]


def test_a_worker_says_why_a_run_failed(tmp_path, capsys):
    folder = tmp_path / "sweep" / "run"
    with pytest.raises(ValueError, match=r"does not see .*sweep; give --runs a folder"):
        train_cell(["train", "point-goal"], str(folder))
    folder.parent.mkdir()
    with pytest.raises(ValueError, match="There is no method 'nothing'"):
        train_cell(["train", "point-goal", "--method", "nothing"], str(folder))
    assert state_of([Cell(folder, {}, 0)], {}) == (0, 0, {})
    folder.mkdir()
    (folder / "config.json").write_text('{"rounds": 6}')
    (folder / "metrics.jsonl").write_text('{"round": 0}\n{"rou')
    assert state_of([Cell(folder, {}, 0)], {}) == (0, 0, {"run": (1, 6)})
    assert state_of([Cell(folder, {}, 0)], {"run": "why"}) == (0, 1, {})
    (folder / "scores.json").write_text("{}")
    train_cell(["train"], str(folder))  # there is nothing left to do
    assert state_of([Cell(folder, {}, 0)], {}) == (1, 0, {})


def test_an_address_needs_a_cluster(capsys):
    assert main(["sweep", "point-goal", "--method", "maml", "--address", "auto"]) == 2
    assert "it is of a Ray cluster: give --on ray too" in capsys.readouterr().err


@pytest.mark.slow
def test_a_sweep_survives_a_node(tmp_path: Path, monkeypatch, frozen_commit):
    monkeypatch.setitem(os.environ, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    import ray  # noqa: PLC0415 - an extra
    from ray.cluster_utils import Cluster  # noqa: PLC0415 - an extra

    quiet = {"num_cpus": 1, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=quiet)
    other = cluster.add_node(num_cpus=1)
    folder = tmp_path / "sweep"
    folder.mkdir()
    runs = cells({"multitask-bc.learning-rate": ("1e-3", "1e-2", "1e-1")}, (0,), folder)
    killed, most = [], 0

    def watch(state) -> None:
        nonlocal most
        most = max(most, len(state.running))
        # Both nodes are in the middle of a run.
        if not killed and len(state.running) == 2 and min(state.running.values())[0] > 0:
            cluster.remove_node(other, allow_graceful=False)
            killed.append(time.time())

    try:
        assert train_cells(runs, list(map(command, runs)), cluster.address, watch) == {}
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert killed
    assert most == 2
    found = standings(runs).settings
    assert len(found) == 3
    assert all(standing.seeds == (0,) for standing in found)
    # Whatever was broken off ended as if it had been left alone.
    for cell in runs:
        alone = cell._replace(folder=tmp_path / "alone" / cell.folder.name)
        assert main(command(alone)) == 0
        for name in ("metrics.jsonl", "scores.json"):
            ours, theirs = ((x.folder / name).read_text() for x in (cell, alone))
            if name == "scores.json":
                assert json.loads(ours)["heldout"] == json.loads(theirs)["heldout"]
            else:
                assert ours == theirs
