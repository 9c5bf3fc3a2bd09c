"""Rows of a run's metrics: what is refused, and what is damaged."""

import json
import re

import numpy as np
import pytest
from test_run import Settings, train

from gmps.errors import GmpsError
from gmps.runs.jsonl import RoundLog
from gmps.runs.run import Run


@pytest.fixture
def run(tmp_path):
    with Run.create(tmp_path / "run", Settings()) as run:
        yield run


def test_rows(run):
    run.log(0, {"return/before": np.float32(0.5), "steps/meta": 100, "loss": float("nan")})
    run.log(3, {"return/before": 1}, timing={"seconds/rollout": 0.25})
    assert run.metrics() == [
        {"round": 0, "return/before": 0.5, "steps/meta": 100, "loss": None},
        {"round": 3, "return/before": 1},
    ]
    assert run.timing() == [{"round": 3, "seconds/rollout": 0.25}]


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({"a": "x"}, "The metric a must be a number, got 'x'."),
        ({"a": None}, "The metric a must be a number, got None."),
        ({"a": np.zeros(2)}, "The metric a must be one number, got shape (2,) of float64."),
        ({"round": 1}, "A metric may not be called `round`: that is the row's number."),
    ],
)
def test_what_is_no_metric(run, metrics, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        run.log(0, metrics)
    assert run.metrics() == []


def test_rounds_rise(run):
    run.log(1, {})
    message = "Round 1 cannot be logged to .* after round 1; rounds rise."
    with pytest.raises(ValueError, match=message):
        run.log(1, {})
    run.close()
    with Run.open(run.path) as again, pytest.raises(ValueError, match=message):
        again.log(1, {})


@pytest.mark.parametrize("half", [b'{"round": 2, "a', b'{"round": 2}', b"\xff"])
def test_half_written_last_line(tmp_path, half):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"round": 0}\n{"round": 1}\n' + half)
    log = RoundLog(path)
    assert [row["round"] for row in log.rows()] == [0, 1]
    log.append(2, {"a": 5})
    assert path.read_bytes() == b'{"round": 0}\n{"round": 1}\n{"round": 2, "a": 5}\n'


@pytest.mark.parametrize("line", [b"nonsense", b"[1]", b'{"a": 1}', b"", b'{"round": null}'])
def test_damaged_line_in_the_middle(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"round": 0}\n' + line + b'\n{"round": 1}\n')
    with pytest.raises(ValueError, match=rf"^Line 2 of {path} is damaged: it is no JSON object"):
        RoundLog(path).rows()
    said = RoundLog(path).mend()
    assert said is not None
    assert said.endswith("is kept as metrics.jsonl.damaged, and its 2 readable rows are used.")
    assert path.read_bytes() == b'{"round": 0}\n{"round": 1}\n'
    assert RoundLog(path).mend() is None


@pytest.mark.parametrize("line", [b'{"round": 0}', b'{"round": 7, "a": "x"}', b'{"round": true}'])
def test_rows_hold_numbers_and_rounds_that_rise(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"round": 0}\n' + line + b"\n")
    with pytest.raises(GmpsError, match=r"^Line 2 of .* is damaged: it is no JSON object"):
        RoundLog(path).rows()


def test_metrics_that_were_changed_since_the_checkpoint(run):
    train(run, 7)
    path = run.path / "metrics.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    changed = lines[1].replace(b"0.", b"0.9")
    path.write_bytes(b"".join([lines[0], changed, *lines[2:]]))
    message = r"metrics\.jsonl is damaged: up to round 5 it is not as it was when that round's"
    with pytest.raises(GmpsError, match=message):
        run.metrics()
    with pytest.warns(UserWarning, match=message + r".*; it is kept as metrics\.jsonl\.damaged"):
        restored = run.restore({"x": np.float64(0)})
    assert restored is not None and restored.step == 5
    assert len(run.metrics()) == 6
    train(run, 10, 6)
    assert run.metrics()[1]["x"] == json.loads(changed)["x"]
    assert len(run.metrics()) == 10


def test_wall_clock_figures_that_were_changed(run):
    train(run, 7)
    path = run.path / "timing.jsonl"
    whole = path.read_bytes().splitlines(keepends=True)
    for lines in (whole[:2] + whole[3:], [whole[0].replace(b": 0.", b": 1."), *whole[1:]]):
        path.write_bytes(b"".join(lines))
        with pytest.raises(GmpsError, match=r"it does not fit its check number; `gmps resume` go"):
            Run.open(run.path).timing()
    with pytest.warns(UserWarning, match=r"kept as timing\.jsonl\.damaged, and its 7 readable"):
        run.restore({"x": np.float64(0)})
    assert len(run.timing()) == 6
