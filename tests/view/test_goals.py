"""Which tasks can be picked, and which are unlike those of training."""

import jax.numpy as jnp
import numpy as np
import pytest

from gmps.tasks import make_family
from gmps.view.goals import Goals


def goals(name):
    family = make_family(name)
    return Goals(family, family.tasks("train"), family.tasks("heldout"))


def test_a_click_on_the_table_is_the_goal():
    found = goals("sawyer-push")
    assert found.clickable
    assert np.allclose(found.at(np.array([0.03, 0.74])), [0.03, 0.74])
    names = [(slider.label, slider.low, slider.high) for slider in found.sliders]
    # The region is 0.2 m by 0.1 m; sliders reach a quarter of that beyond it.
    assert names == [
        ("goal x, m", pytest.approx(-0.15, abs=0.002), pytest.approx(0.15, abs=0.002)),
        ("goal y, m", pytest.approx(0.675, abs=0.002), pytest.approx(0.825, abs=0.002)),
    ]


def test_a_click_near_the_door_is_the_angle_of_the_handle():
    found = goals("sawyer-door")
    wanted = jnp.array([0.6])
    point = np.asarray(found.family.goal_point(wanted))
    assert found.at(point) == pytest.approx([0.6], abs=1e-3)
    # Off the handle's circle the nearest point of it counts.
    hinge = np.array([0.2, 1.0])
    assert found.at(hinge + 1.2 * (point - hinge)) == pytest.approx([0.6], abs=1e-3)


@pytest.mark.parametrize("name", ["push-dynamics", "ant-gear"])
def test_where_all_tasks_have_one_goal_there_are_sliders_alone(name):
    found = goals(name)
    assert not found.clickable
    assert found.at(np.zeros(2)) is None
    assert len(found.sliders) == found.family.spec.context_size


@pytest.mark.parametrize("name", ["point-goal", "sawyer-push", "ant-goal", "sawyer-door"])
def test_held_out_tasks_are_inside_and_far_ones_outside(name):
    found = goals(name)
    for task in found.heldout:
        assert found.outside(task) is None
    low, high = found.numbers(found.heldout[0]), found.numbers(found.heldout[-1])
    far = found.outside(jnp.asarray(high + 1.5 * (high - low) + 0.1, jnp.float32))
    assert far is not None
    assert far.sentence.startswith("This task lies outside of what was trained on: it is ")


def test_how_far_outside_in_words():
    family = make_family("sawyer-door")
    train = jnp.array([[0.2], [0.4], [0.6]])
    found = Goals(family, train, jnp.array([[0.3], [0.5]]))
    # The range is 0.4, tasks are at most 0.2 apart, and 1.2 is 0.6 from the nearest: 3 times.
    outside = found.outside(jnp.array([1.2]))
    assert outside.distance == pytest.approx(1.5)
    assert outside.limit == pytest.approx(0.5)
    assert "it is 3.0 times as far from the nearest training task as any" in outside.sentence
    assert found.outside(jnp.array([0.8])) is None


def test_the_wrong_task_is_the_one_least_like_it():
    found = goals("point-goal")
    right = found.heldout[0]  # at 0 degrees; the last one is at 180
    assert np.allclose(found.wrong(right), found.heldout[-1])


def test_tasks_are_spread_and_more_than_listed_where_wanted():
    found = goals("point-goal")
    three = found.spread(3)
    assert np.allclose(three[0], found.heldout[0])
    assert np.allclose(three[2], found.heldout[-1])
    many = np.array(found.spread(25))
    assert len(np.unique(many.round(5), axis=0)) == 25
    assert np.allclose(np.linalg.norm(many, axis=1), 1, atol=1e-5)
    assert len(found.words()) == len(set(found.words())) == 8
