"""Worlds with a camera: what the pictures show, that they repeat, and who sees them."""

import resource

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_render import needs_gl

from gmps.core.policy import PolicyActor, init_policy
from gmps.core.types import Shared, stack
from gmps.experts.base import ExpertActor
from gmps.sim.cameras import Cameras
from gmps.sim.episodes import pack
from gmps.tasks import make_family
from gmps.worlds.factory import make_world

pytestmark = needs_gl
ACTOR = PolicyActor(3, needs_frames=True)
QUIET = PolicyActor(3, stochastic=False, needs_frames=True)


@pytest.fixture(scope="module")
def push():
    return make_world(make_family("sawyer-push-vision"), 2)


@pytest.fixture(scope="module")
def policy():
    return init_policy(jax.random.key(0), 3, 3, camera=True, hidden=(16,), std=0.3)


def pixels(frame, channel):
    """Where a colour rules: mean row and column, and how many pixels."""
    colours = frame.astype(int)
    others = [colours[..., c] for c in range(3) if c != channel]
    where = np.argwhere(np.minimum(*(colours[..., channel] - x for x in others)) > 60)
    return where.mean(0) if len(where) else np.full(2, np.nan), len(where)


def draw(world, changes):
    """Frames of the start state with some numbers of `qpos` changed, by dictionaries."""
    start = np.asarray(pack(world.family.reset(jax.random.key(0), world.family.tasks("train")[0])))
    states = np.repeat(start[None], len(changes), 0)
    for state, change in zip(states, changes, strict=True):
        for index, value in change.items():
            state[index] = value
    cameras = Cameras(world.family, 1)
    frames = np.empty((len(states), *cameras.shape), np.uint8)
    cameras.draw(states, frames)
    cameras.close()
    return frames


def test_a_push_picture_shows_the_block_where_it_is(push):
    # x is up in the picture and y to the right, turned by 25 degrees.
    here, right, far = draw(push, [{3: 0.0, 4: 0.6}, {3: 0.0, 4: 0.7}, {3: 0.1, 4: 0.7}])
    (a, n), (b, _), (c, _) = (pixels(frame, 2) for frame in (here, right, far))
    assert 12 < n < 60  # 4 cm are about 5 pixels
    assert b[1] - a[1] > 6
    assert np.linalg.norm(c - b) > 6
    # The block stays in the picture in every goal.
    corners = [{3: x, 4: y} for x in (-0.1, 0.1) for y in (0.7, 0.8)]
    assert all(pixels(frame, 2)[1] >= 12 for frame in draw(push, corners))


def test_a_door_picture_shows_how_far_it_is_open():
    frames = draw(make_world(make_family("sawyer-door-vision"), 1), [{3: 0.0}, {3: 0.05}, {3: 1.0}])
    assert frames.shape == (3, 48, 64, 3)
    small = np.abs(frames[0].astype(int) - frames[1]).max(-1) > 40
    large = np.abs(frames[0].astype(int) - frames[2]).max(-1) > 40
    assert small.sum() > 20
    assert large.sum() > 5 * small.sum()


def test_the_same_seed_gives_the_same_frames_whatever_the_threads(push, policy):
    tasks = push.family.tasks("train", 3)
    first, again = (
        world.rollout(ACTOR, stack(policy, 3), tasks, 2, jax.random.key(4)).trajectories
        for world in (push, make_world(push.family, 1))
    )
    assert first.frames.shape == (3, 2, 50, 48, 64, 3)
    assert first.frames.dtype == np.uint8
    np.testing.assert_array_equal(first.frames, again.frames)
    np.testing.assert_array_equal(first.act, again.act)
    # Frame t belongs to the observation in step t.
    moved = np.abs(first.frames[0, 0, 1:].astype(int) - first.frames[0, 0, :-1]).max((1, 2, 3))
    assert moved[-1] > 0


def test_the_policy_acts_on_the_frames_that_are_stored(push, policy):
    tasks = push.family.tasks("train", 2)
    roll = push.rollout(QUIET, stack(policy, 2), tasks, 1, jax.random.key(0))
    data = roll.trajectories
    mean, _ = policy(data.obs[1, 0, 30], data.frames[1, 0, 30])
    np.testing.assert_allclose(mean, data.act[1, 0, 30], atol=1e-4)


def test_the_goal_is_in_no_picture(push, policy):
    # Without noise one policy does the same in all tasks, for it is shown the same.
    tasks = push.family.tasks("heldout", 2)
    roll = push.rollout(QUIET, Shared(policy), tasks, 1, jax.random.key(0))
    np.testing.assert_array_equal(roll.trajectories.frames[0], roll.trajectories.frames[1])
    assert (tasks[0] != tasks[1]).any()


def test_an_expert_acts_on_states_and_is_drawn(push):
    tasks = push.family.tasks("train", 2)
    actor = ExpertActor(push.family.expert, 3)
    roll = push.rollout(actor, jnp.zeros(2), tasks, 1, jax.random.key(0))
    assert (roll.outcome["success"] == 1).all()
    states = jax.tree.map(lambda x: x[:, :, 10], roll.states)
    np.testing.assert_array_equal(roll.trajectories.frames[:, :, 10], push.draw(states))


def test_who_looks_needs_a_camera(policy):
    world = make_world(make_family("sawyer-push"), 1)
    with pytest.raises(ValueError, match="looks at pictures, but sawyer-push has none"):
        world.rollout(
            ACTOR, stack(policy, 2), world.family.tasks("train", 2), 1,
            jax.random.key(0),
        )  # fmt: skip
    with pytest.raises(ValueError, match="needs cameras, which MJX lacks"):
        make_world(make_family("sawyer-push-vision"), sim="mjx")


def test_fifteen_hundred_frames_leak_nothing(push):
    states = jax.tree.map(np.asarray, push.family.reset(jax.random.key(0), jnp.zeros(2)))
    many = jax.tree.map(lambda x: np.tile(x, (300, 1)), states)
    push.draw(many)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(5):
        push.draw(many)
    # Frames are 3 MB a call; a leaked picture of 84 x 84 would add 32 MB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 12_000
