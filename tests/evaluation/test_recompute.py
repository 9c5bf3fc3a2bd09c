"""Summaries of stored results follow from their rows, in any format so far."""

import json
import sys
from copy import deepcopy

import pytest

from gmps.evaluation.scores import MODES
from places import BENCHMARKS

sys.path.append(str(BENCHMARKS))
from recompute import recomputed, same


@pytest.fixture(scope="module")
def stored():
    return json.loads((BENCHMARKS / "results/ml1-reach-gmps.json").read_text())


def test_stored_summaries_follow_from_their_rows(stored):
    assert same(recomputed(stored), stored)
    other = deepcopy(stored)
    seed = next(iter(other["per_seed"].values()))
    heldout = [row for row in seed["tasks"] if row["split"] == "heldout"]
    heldout[0]["deterministic"]["after_1"]["success"] += len(heldout)
    new = recomputed(other)
    was, now = (
        x["over_seeds"]["heldout"]["deterministic"]["conditions"]["after_1"]["success"]["mean"]
        for x in (stored, new)
    )
    assert now == pytest.approx(was + 1)


def test_rows_without_levels_get_them_from_their_scales(stored):
    old = deepcopy(stored)
    for seed in old["per_seed"].values():
        for row in seed["tasks"]:
            del row["levels"]
    new = recomputed(old)
    for a, b in zip(new["over_seeds"]["tasks"], stored["over_seeds"]["tasks"], strict=True):
        assert a["levels"]["untrained"] == pytest.approx(b["levels"]["untrained"], abs=1e-4)
        assert a["levels"]["expert"] == pytest.approx(b["levels"]["expert"], rel=1e-6)
        assert all(a[mode] == b[mode] for mode in MODES)
