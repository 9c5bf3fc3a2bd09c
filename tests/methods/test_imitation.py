from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmps.core.policy import init_policy
from gmps.core.types import Demonstrations
from gmps.data.aggregate import start_aggregate
from gmps.evaluation.scores import PlainCandidate, PlainScores
from gmps.experts.base import ExpertActor
from gmps.methods.fine_tuning import beyond
from gmps.methods.imitation import _imitated, imitate, label_visits
from gmps.methods.normalisation import MIN_OBS_STD, normalised, renormalised
from gmps.methods.plain import fit_plain
from gmps.methods.plain_settings import PlainConfig
from gmps.tasks import make_family
from gmps.training.clone import clone_controller, fit_clone
from gmps.worlds.factory import make_world

KEY = jax.random.key(0)


def linear_demos(tasks: jax.Array) -> Demonstrations:
    """An expert whose action is linear in the goal and the position."""
    obs = jax.random.uniform(KEY, (tasks.shape[0], 60, 2), minval=-1.0)
    return Demonstrations(obs, 0.3 * (tasks[:, None] - obs), jnp.ones(obs.shape[:2], bool))


def test_normalisation_by_hand_and_its_floor():
    obs = jnp.asarray([[[0.0, 1.0], [2.0, 1.0], [9.0, 9.0]]])
    demos = Demonstrations(obs, obs, jnp.asarray([[True, True, False]]))
    policy = normalised(init_policy(KEY, 2, 2), demos)
    assert policy.head.obs_mean.tolist() == [1.0, 1.0]
    assert policy.head.obs_std.tolist() == pytest.approx([1.0, MIN_OBS_STD])


def test_observations_that_nothing_learns_to_encode_are_scaled_once():
    demos = Demonstrations(jnp.ones((1, 3, 2)), jnp.ones((1, 3, 2)), jnp.ones((1, 3), bool))
    policy = init_policy(KEY, 2, 2)
    assert renormalised(policy, demos) is policy


def test_a_clone_that_sees_the_task_reproduces_a_linear_expert():
    family = make_family("point-goal")
    tasks = family.tasks("train")
    clone, loss = fit_clone(family, tasks, linear_demos(tasks), KEY, steps=1500)
    assert loss < 1e-4
    controller = clone_controller(family, clone)
    new = family.tasks("heldout")
    obs = jnp.asarray([0.2, 0.1])
    for task in new[1:-1]:
        assert jnp.allclose(controller(task, obs), 0.3 * (task - obs), atol=0.03)


def test_blind_imitation_finds_the_mean_expert():
    family = make_family("point-goal")
    tasks = family.tasks("train")
    demos = linear_demos(tasks)
    policy, losses = imitate(
        normalised(init_policy(KEY, 2, 2), demos),
        start_aggregate(demos, 0),
        KEY,
        steps=800,
        learning_rate=1e-3,
        batch_size=30,
        kind="mse",
    )
    spread = float(jnp.mean((0.3 * (tasks - tasks.mean(0))) ** 2))
    assert float(losses[-100:].mean()) == pytest.approx(spread, rel=0.15)
    states = demos.obs.reshape(-1, 2)
    mean, _ = jax.vmap(policy)(states)
    error = mean - 0.3 * (tasks.mean(0) - states)
    assert float(jnp.sqrt(jnp.mean(error**2))) < 0.3 * spread**0.5


def test_labels_of_several_sources_leave_the_data_before_whole():
    family = make_family("point-goal")
    tasks, world = family.tasks("train", 3), make_world(family)
    data = start_aggregate(linear_demos(tasks), extra=30)
    before = jax.tree.map(np.array, data)
    assert family.expert is not None
    actor = ExpertActor(family.expert, family.spec.act_size)
    visited = world.rollout(actor, jnp.full(3, 0.3), tasks, 2, KEY).trajectories
    one, other = (jax.tree.map(lambda x, i=i: x[:, i : i + 1], visited) for i in range(2))
    labelled = label_visits(data, [one, other], tasks, family.expert)
    after = label_visits(
        label_visits(data, [one], tasks, family.expert), [other], tasks, family.expert
    )
    for x, y in zip(jax.tree.leaves(labelled), jax.tree.leaves(after), strict=True):
        np.testing.assert_array_equal(x, y)
    assert labelled.count.tolist() == [60 + 30] * 3
    for x, y in zip(jax.tree.leaves(before), jax.tree.leaves(data), strict=True):
        np.testing.assert_array_equal(x, y)


def test_one_program_imitates_for_any_number_of_steps():
    demos = linear_demos(make_family("point-goal").tasks("train", 2))
    policy, data = init_policy(KEY, 2, 2, hidden=(8,)), start_aggregate(demos, 0)

    def losses(steps: int) -> list[float]:
        found = imitate(
            policy, data, KEY, steps=steps, learning_rate=1e-3, batch_size=4, kind="huber"
        )
        return found[1].tolist()

    before = _imitated._cache_size()
    few, more = losses(3), losses(5)
    assert (len(few), more[:3]) == (3, few)
    assert more[4] != more[3]
    assert _imitated._cache_size() == before + 1


def test_plain_control_takes_the_best_candidate_and_counts_its_steps():
    world = make_world(make_family("point-goal"))
    tasks = world.family.tasks("train", 4)
    config = PlainConfig(
        steps=100, episodes=6, stds=(0.2, 0.5), step_sizes=(0.01, 0.1, 50.0), measure_episodes=2
    )
    demos = linear_demos(tasks)
    untrained = init_policy(KEY, 2, 2)
    plain = fit_plain(config, world, tasks, untrained, start_aggregate(demos, 0), KEY)
    found = plain.tuned
    # Of two deviations the better one is at an end of what was tried: there is more to try.
    assert len(found.candidates) > 6
    best = max(found.candidates, key=lambda c: c.score)
    assert found.step_size == best.step_size
    # What was found is what acts and adapts.
    policy = plain.method.policy(plain.state)
    assert float(policy.action_std[0]) == pytest.approx(best.std)
    assert float(plain.state.step_size) == pytest.approx(best.step_size)
    # A huge step destroys the policy: the search has to see that.
    assert found.step_size < 50.0
    # 4 tasks of 20 steps; 2 episodes measure each candidate, and 6 explore for each set of them.
    explored = found.env_steps - 4 * 20 * 2 * len(found.candidates)
    assert explored >= 3 * 4 * 20 * 6
    assert explored % (4 * 20 * 6) == 0


@pytest.mark.parametrize(
    ("tried", "best", "expected"),
    [
        ([0.1, 0.2, 0.4], 0.2, None),
        ([0.1, 0.2, 0.4], 0.4, 0.8),
        ([0.1, 0.3], 0.1, 1 / 30),
        ([0.3], 0.3, None),
        ([0.0, 0.1, 0.2], 0.0, None),
    ],
)
def test_a_search_goes_on_beyond_its_ends(tried, best, expected):
    assert beyond(tried, best) == (None if expected is None else pytest.approx(expected))


def test_a_choice_inside_of_what_was_tried():
    def scores(std, size):
        tried = [PlainCandidate(s, x, 0.0) for s in (0.2, 0.5) for x in (0.1, 0.2, 0.4)]
        return PlainScores(std, size, tuple(tried), {})

    # A deviation is the exponential of its float32 logarithm.
    assert not scores(0.20000001, 0.2).inside
    assert not scores(0.5, 0.4).inside
    one = replace(scores(0.3, 0.2), candidates=scores(0.3, 0.2).candidates[:3])
    assert one.inside  # one deviation is no search
