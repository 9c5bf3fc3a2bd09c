"""What `make bench` calls slower."""

import sys

from places import BENCHMARKS

sys.path.append(str(BENCHMARKS))
from regression import slower


def rows(**medians):
    return {name.replace("__", "/"): {"median": x} for name, x in medians.items()}


def test_a_share_that_falls_and_a_cost_that_grows_are_slower():
    stored = rows(matmul_share=0.5, doubled_tasks__16=2.0, doubled_episodes__16=2.0)
    within = rows(matmul_share=0.46, doubled_tasks__16=2.19, doubled_episodes__16=1.0)
    assert slower(within, stored, 0.1) == []
    beyond = rows(matmul_share=0.44, doubled_tasks__16=2.21, doubled_episodes__16=2.0)
    assert slower(beyond, stored, 0.1) == [
        "matmul_share is 0.440, but was 0.500",
        "doubled_tasks/16 is 2.210, but was 2.000",
    ]
    # What is shared work done better is none the worse.
    assert slower(rows(matmul_share=0.9, doubled_tasks__16=1.0), stored, 0.1) == []
