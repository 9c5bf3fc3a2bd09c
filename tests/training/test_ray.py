"""On a Ray cluster of this machine: the same numbers as here."""

import builtins
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gmps.cluster
from gmps.experts.base import ExpertActor
from gmps.experts.sac_settings import SacConfig
from gmps.runs.run import Run
from gmps.tasks import make_family
from gmps.training.expert_sources import find_expert
from gmps.training.sac_apart import train_apart, train_piece
from gmps.training.sac_settings import ExpertConfig
from gmps.worlds.factory import make_world
from gmps.worlds.ray_world import RayWorld

# Ray's own modules warn, when they are imported and when they are closed.
pytestmark = pytest.mark.filterwarnings("ignore:::ray", "ignore::ResourceWarning")
FAMILY = make_family("point-goal")
CONFIG = ExpertConfig(
    "point-goal",
    kind="per-task",
    rounds=4,
    tasks=2,
    gradient_steps=4,
    capacity=8,
    evaluate_every=2,
    checkpoint_every=2,
    sac=SacConfig(hidden=(8,), batch=8),
)


@pytest.fixture(scope="module")
def ray() -> Iterator[object]:
    module = gmps.cluster.connect()
    yield module
    module.shutdown()


def test_a_cluster_of_our_own_listens_on_loopback(ray):
    assert [node["NodeManagerAddress"] for node in ray.nodes()] == ["127.0.0.1"]


def test_pieces_equal_rollouts_here(ray):
    tasks = FAMILY.tasks("train", 5)
    actor, std = ExpertActor(FAMILY.expert, 2), 0.3 * jnp.ones(5)
    key = jax.random.key(3)
    spread = RayWorld(FAMILY, piece=2).rollout(actor, std, tasks, 3, key)
    for k, cut in enumerate((slice(0, 2), slice(2, 4), slice(4, 5))):
        here = make_world(FAMILY).rollout(
            actor, std[cut], tasks[cut], 3, jax.random.fold_in(key, k)
        )
        jax.tree.map(lambda a, b, c=cut: np.testing.assert_array_equal(a[c], b), spread, here)


def test_experts_trained_apart_equal_those_trained_here(ray, tmp_path):
    with Run.create(tmp_path / "whole", CONFIG):
        train_apart(tmp_path / "whole", CONFIG)
    # Again: there is nothing left to do.
    train_apart(tmp_path / "whole", CONFIG)
    with Run.create(tmp_path / "here", CONFIG):
        train_piece(str(tmp_path / "here"), replace(CONFIG, only=(1,), threads=1))
    part = "task-001/metrics.jsonl"
    assert (tmp_path / "whole" / part).read_bytes() == (tmp_path / "here" / part).read_bytes()
    expert = find_expert((str(tmp_path / "whole"),), FAMILY)
    assert expert.knows(FAMILY, FAMILY.tasks("train", 2)).all()
    (tmp_path / "whole" / "task-000" / "expert.safetensors").unlink()
    with pytest.raises(ValueError, match="there is no expert yet in task-000; go on with the"):
        find_expert((str(tmp_path / "whole"),), FAMILY)


def test_a_worker_that_does_not_see_the_folder_says_so(ray, tmp_path):
    with pytest.raises(ValueError, match=r"does not see .*; give --run a folder on storage"):
        train_apart(tmp_path / "absent", CONFIG)


def test_ray_is_asked_for_where_it_is_missing(monkeypatch):
    real = builtins.__import__

    def without_ray(name, *rest, **named):
        if name == "ray":
            raise ModuleNotFoundError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without_ray)
    with pytest.raises(ValueError, match=r"not installed; install gmps\[ray\]"):
        gmps.cluster.connect()


def test_the_core_does_not_import_ray():
    code = "import sys, gmps.training.train, gmps.commands.train; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
