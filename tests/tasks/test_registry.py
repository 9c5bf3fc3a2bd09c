import sys
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmps.errors import GmpsError
from gmps.presets import preset
from gmps.tasks import family_names, make_family
from gmps.tasks.base import TaskFamily
from gmps.tasks.point_goal import PointGoal

TWO_TASKS = ("ant-forward-backward", "half-cheetah-dir")


@pytest.mark.parametrize("name", family_names())
def test_families_keep_the_contract(name):
    family = make_family(name)
    assert isinstance(family, TaskFamily)
    assert family.name == name
    assert family == make_family(name)
    assert hash(family) == hash(make_family(name))
    spec = family.spec
    for split in ("train", "heldout"):
        tasks = family.tasks(split)
        # The families of two opposite tasks have these in both splits.
        assert len(tasks) > 3 or name in TWO_TASKS
        assert len(family.tasks(split, 2)) == 2
    assert len(family.tasks("train", 70, jax.random.key(0))) == 70
    task = tasks[0]
    state = family.reset(jax.random.key(0), task)
    assert all(x.dtype == jnp.float32 for x in state)
    assert family.observe(state).shape == (spec.obs_size,)
    assert family.context(task).shape == (spec.context_size,)
    assert family.goal_point(task).shape == (2,)
    assert family.describe(task)
    assert not family.terminated(state)
    if family.expert is not None:
        act = family.expert(task, family.observe(state))
        assert act.shape == (spec.act_size,)
        assert np.abs(act).max() <= 1


def test_unknown_family_lists_what_exists_and_the_nearest_name():
    with pytest.raises(ValueError, match="family") as error:
        make_family("ant-gaol")
    assert str(error.value) == (
        "There is no task family 'ant-gaol'. Did you mean 'ant-goal'? "
        f"Families: {', '.join(family_names())}."
    )
    with pytest.raises(ValueError, match=r"no task family 'zzz'\. Families: ant-dir, "):
        make_family("zzz")


@pytest.fixture
def notebook(monkeypatch):
    """Defines names where notebooks do."""
    main = sys.modules["__main__"]
    return lambda name, value: monkeypatch.setattr(main, name, value, raising=False)


@dataclass(frozen=True)
class Noted(PointGoal):
    """As a notebook would define it."""

    name: ClassVar[str] = "noted"
    size: float = 1.0


Noted.__module__ = "__main__"


def test_a_family_of_a_notebook_is_named_and_found_again(notebook):
    notebook("Noted", Noted)
    for family in (Noted, Noted()):
        config = preset(family)
        assert config.family == "__main__:Noted"
        assert make_family(config.family) == Noted()
        assert make_family(family) == Noted()
    with pytest.raises(GmpsError, match=r"^The family noted is bound to no name in __main__"):
        preset(Noted(2.0))
    wide = Noted(2.0)
    notebook("wide", wide)
    assert make_family(preset(wide).family) is wide


def test_families_that_have_a_name_keep_it(tmp_path):
    assert preset(PointGoal).family == preset(PointGoal()).family == "point-goal"
    file = tmp_path / "own.py"
    file.write_text(
        "from gmps.tasks.point_goal import PointGoal\nclass Own(PointGoal):\n    name = 'own'\n"
    )
    assert preset(make_family(f"{file}:Own")).family == f"{file}:Own"
