"""Every file of a run, mutated: a sentence, or what was read before; `benchmarks/torture.py` does
this ten thousand times, with checkpoints, experts, policies and exported folders."""

import random
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from damaged_bytes import mutated
from gmps.errors import GmpsError
from gmps.report.runs import load_run
from gmps.runs.checkpoint import verify
from gmps.runs.run import Run
from synthetic_runs import Settings, write_run

FILES = ("config.json", "versions.json", "metrics.jsonl", "timing.jsonl", "scores.json")
FILES += ("paths.npz", "checkpoints/step_0000000002.safetensors")


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = write_run(tmp_path_factory.mktemp("runs") / "run", Settings(rounds=3), tasks=2)
    with Run.open(folder) as opened:
        opened.save(2, {"x": np.ones(3)}, score=1.0)
    return folder


def content(run: Path) -> tuple[list[Any], list[str]]:
    """What the files say, and what is said of them."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = load_run(run)
        checkpoint = verify(run / FILES[-1])
    paths = {k: (str(v.dtype), v.tolist()) for k, v in (data.paths or {}).items()}
    parts = [data.config, data.versions, data.metrics, data.timing, data.scores, paths, checkpoint]
    return parts, [str(w.message) for w in caught]


@settings(
    max_examples=600,
    derandomize=True,
    deadline=10_000,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    database=None,
)
@given(st.sampled_from(FILES), st.integers(0, 2**32))
def test_damage_is_a_sentence_or_changes_nothing(run, name, seed):
    path = run / name
    data = path.read_bytes()
    whole, silent = content(run)
    assert not silent
    try:
        path.write_bytes(mutated(data, random.Random(seed)))
        found, said = content(run)
    except GmpsError as error:
        assert "\n" not in str(error) and str(error).endswith(".")
        return
    finally:
        path.write_bytes(data)
    assert all("\n" not in sentence and sentence.endswith(".") for sentence in said)
    assert said or found == whole
