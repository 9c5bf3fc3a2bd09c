"""Encoders: hand-worked soft-argmax, sizes, and how policies and actors use them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmps.core.encoders import POINT_NUMBERS, Identity, convolve, soft_argmax
from gmps.core.policy import Policy, PolicyActor, encoded, init_policy
from gmps.core.types import Demonstrations, Shared


@pytest.fixture(scope="module")
def policy():
    return init_policy(jax.random.key(0), 3, 3, camera=True, hidden=(10,), bias_size=2)


def frames(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 48, 64, 3), dtype=np.uint8)


def test_soft_argmax_of_hand_worked_maps():
    # Two rows, three columns. Channel 0: all the mass in row 1, column 2. Channel 1: evenly spread.
    # Channel 2: weights 1, 3 in columns 0 and 2 of row 0: column (-1 + 3) / 4, row -1.
    x = np.full((2, 3, 3), -1e9, np.float32)
    x[1, 2, 0] = 5.0
    x[:, :, 1] = 7.0
    x[0, 0, 2], x[0, 2, 2] = 0.0, np.log(3.0)
    points = soft_argmax(jnp.asarray(x))
    np.testing.assert_allclose(points, [[1.0, 1.0], [0.0, 0.0], [-1.0, 0.5]], atol=1e-6)


def test_soft_argmax_does_not_see_a_common_offset_and_survives_large_numbers():
    x = jax.random.normal(jax.random.key(0), (6, 8, 16))
    np.testing.assert_allclose(soft_argmax(x), soft_argmax(x + 3.0), atol=1e-6)
    assert jnp.isfinite(soft_argmax(1e6 * x)).all()


@pytest.mark.parametrize(("edge", "stride", "size"), [(5, 3, (48, 64)), (3, 3, (16, 22)),
                                                      (3, 1, (6, 8))])  # fmt: skip
def test_convolutions_are_those_of_the_textbook(edge, stride, size):
    keys = jax.random.split(jax.random.key(0))
    x = jax.random.normal(keys[0], (2, *size, 3))
    kernel = jax.random.normal(keys[1], (edge, edge, 3, 4))
    wanted = jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(convolve(x, kernel, stride), wanted, atol=1e-4)


def test_layers_have_the_published_sizes(policy):
    # 48x64 -> 16x22 -> 6x8 -> 6x8; 20,266 numbers in all, with a bias of 4 and layers of 100.
    large = init_policy(jax.random.key(0), 3, 3, camera=True, bias_size=4)
    constants = large.head.obs_mean.size + large.head.obs_std.size
    assert sum(x.size for x in jax.tree.leaves(large)) - constants == 20_266
    assert policy.encoder.points(frames(1)[0]).shape == (16, 2)
    assert policy.encoder(jnp.zeros((2, 3)), frames(2)).shape == (2, POINT_NUMBERS + 3)
    assert policy.obs_size == 3


def test_features_follow_a_bright_square():
    # One channel that passes brightness through finds the square's place.
    policy = init_policy(jax.random.key(0), 3, 3, camera=True)
    first, second, third = (jnp.zeros_like(k) for k in policy.encoder.kernels)
    encoder = eqx.tree_at(
        lambda e: e.kernels,
        policy.encoder,
        (
            first.at[2, 2, :, 0].set(10.0),
            second.at[:, :, 0, 0].set(1.0),
            third.at[1, 1, 0, 0].set(1.0),
        ),
    )
    frame = np.zeros((48, 64, 3), np.uint8)
    corner = frame.copy()
    corner[:8, 56:] = 255
    assert np.abs(encoder.points(frame)[0]).max() < 1e-6
    row, column = encoder.points(corner)[0]
    assert row < -0.9
    assert column > 0.9


def test_batches_equal_single_pictures(policy):
    hands = jax.random.normal(jax.random.key(1), (2, 70, 3))
    pictures = frames(140).reshape(2, 70, 48, 64, 3)
    features = policy.encoder(hands, pictures)
    mean, log_std = policy(hands[1, 69], pictures[1, 69])
    np.testing.assert_allclose(policy.head(features[1, 69])[0], mean, atol=1e-5)
    np.testing.assert_allclose(jax.jit(policy)(hands[1, 69], pictures[1, 69])[0], mean, atol=1e-5)
    assert log_std.shape == (3,)


def test_what_an_observation_says_beyond_proprioception_has_no_influence(policy):
    obs = jax.random.normal(jax.random.key(2), (4, 6))
    features = policy.encoder(obs, frames(4))
    np.testing.assert_array_equal(features[:, POINT_NUMBERS:], obs[:, :3])
    np.testing.assert_array_equal(features, policy.encoder(obs.at[:, 3:].set(9.0), frames(4)))


def test_pictures_are_needed_and_then_encoded_away(policy):
    shown = Demonstrations(jnp.ones((2, 5, 6)), jnp.ones((2, 5, 3)), jnp.ones((2, 5), bool))
    with pytest.raises(ValueError, match=r"^There are no pictures, which this policy needs; take"):
        encoded(policy.encoder, shown)
    pictures = frames(10).reshape(2, 5, 48, 64, 3)
    features = encoded(policy.encoder, shown._replace(frames=pictures))
    assert features.frames is None
    np.testing.assert_array_equal(features.obs, policy.encoder(shown.obs, pictures))
    # Observations are features as they are, whatever a camera shows beside them.
    same = encoded(Identity(), shown._replace(frames=pictures))
    np.testing.assert_array_equal(same.obs, shown.obs)
    assert same.frames is None


def test_the_actor_runs_heads_on_shared_convolutions(policy):
    actor = PolicyActor(3, needs_frames=True)
    obs, pictures = jax.random.normal(jax.random.key(2), (4, 6)), jnp.asarray(frames(4))
    two = jax.tree.map(lambda x: jnp.stack([x, x]), policy)
    features = actor.encode(actor.shared_encoder(two), obs, pictures)
    np.testing.assert_array_equal(features, policy.encoder(obs, pictures))
    noise = jnp.ones(3)
    act, log_prob = actor(policy, jnp.zeros(2), features[0], noise)
    alone = Policy(Identity(), policy.head)
    expected = PolicyActor(3)(alone, jnp.zeros(2), features[0], noise)
    np.testing.assert_array_equal(act, expected[0])
    assert log_prob == expected[1]
    assert eqx.tree_equal(actor.shared_encoder(Shared(policy)), policy.encoder)
    assert actor.shared_encoder(jax.tree.map(lambda x: x[None], alone)) is not None


def test_different_convolutions_in_one_rollout_are_refused(policy):
    two = jax.tree.map(lambda x: jnp.stack([x, 2 * x]), policy)
    with pytest.raises(ValueError, match=r"^The policies of one rollout have different convolut"):
        PolicyActor(3, needs_frames=True).shared_encoder(two)


def test_noise_is_set_for_one_policy_and_for_stacked_ones(policy):
    for one in (policy, jax.tree.map(lambda x: jnp.stack([x, x]), policy)):
        quiet = one.with_std(jnp.array([0.1, 0.2, 0.3]))
        np.testing.assert_allclose(
            quiet.action_std, jnp.broadcast_to(jnp.array([0.1, 0.2, 0.3]), one.action_std.shape)
        )
        assert eqx.tree_equal(quiet.with_std(1.0), one.with_std(1.0))
