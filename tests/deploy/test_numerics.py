"""The numpy runtime computes what the JAX core computes."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmps.core.adapt import adapt, init_step_sizes, inner_batch
from gmps.core.encoders import init_convolutions
from gmps.core.nets import GaussianPolicy, init_head
from gmps.core.types import Trajectories
from gmps.deploy.adaptation import Acting, LatentGradient, LatentStep, PolicyGradient
from gmps.deploy.advantages import step_advantages
from gmps.deploy.episodes import Batch, RecordedEpisode, pad
from gmps.deploy.networks import ConvEncoder, GaussianNetwork, log_prob
from gmps.methods.episode_advantage import RewardScale, SoftmaxAdvantage, init_advantage, segment
from gmps.methods.gmps_latent import inner_step as latent_step
from gmps.methods.gmps_latent import slope_step
from gmps.methods.latent import Latent, with_held
from gmps.methods.latent_imitation import Explored
from gmps.methods.maesn import inner_step as maesn_step

OBS, ACT, EPISODES, STEPS = 5, 2, 6, 12


def network(policy: GaussianPolicy) -> GaussianNetwork:
    names = ("bias_transform", "log_std", "obs_mean", "obs_std")
    return GaussianNetwork(
        tuple(map(np.asarray, policy.weights)),
        tuple(map(np.asarray, policy.biases)),
        *(np.asarray(getattr(policy, name)) for name in names),
        policy.activation,
    )


def random_policy(activation: str = "relu", bias_size: int = 3) -> GaussianPolicy:
    policy = init_head(
        jax.random.key(0),
        OBS,
        ACT,
        hidden=(16, 9),
        bias_size=bias_size,
        bias_init=0.3,
        std=0.4,
        activation=activation,  # pyright: ignore[reportArgumentType]
    )
    rng = np.random.default_rng(1)
    return replace(
        policy,
        biases=tuple(jnp.asarray(rng.normal(size=b.shape), jnp.float32) for b in policy.biases),
        obs_mean=jnp.asarray(rng.normal(size=OBS), jnp.float32),
        obs_std=jnp.asarray(rng.uniform(0.5, 2, OBS), jnp.float32),
    )


def random_episodes(policy: GaussianPolicy, held: int = 0) -> list[RecordedEpisode]:
    """Of unequal lengths; the second one ends in a terminal state."""
    rng = np.random.default_rng(2)
    episodes = []
    for i, steps in enumerate((12, 7, 12, 3, 11, 12)):
        obs = rng.normal(size=(steps + 1, OBS)).astype(np.float32)
        act = rng.normal(size=(steps, ACT)).astype(np.float32)
        log_prob = jax.vmap(policy.log_prob)(obs[:-1], act) if not held else np.zeros(steps)
        episodes.append(
            RecordedEpisode(
                obs[:-1],
                act,
                rng.normal(size=steps).astype(np.float32) + i / 3,
                np.asarray(log_prob, np.float32),
                rng.normal(size=held).astype(np.float32),
                obs[-1],
                i == 1,
            )
        )
    return episodes


def trajectories(batch: Batch) -> Trajectories:
    """The same episodes as JAX sees them, with a task axis."""
    one = lambda x: jnp.asarray(x, jnp.float32)[None]  # noqa: E731
    return Trajectories(
        obs=one(batch.obs),
        act=one(batch.act),
        reward=one(batch.reward),
        log_prob=one(batch.log_prob),
        alive=jnp.asarray(batch.alive)[None],
        last_obs=one(batch.last_obs),
        terminated=jnp.asarray(batch.terminated)[None],
        held=one(batch.held),
    )


def close(got: GaussianNetwork, wanted: GaussianPolicy) -> None:
    for name, x in got.arrays("").items():
        np.testing.assert_allclose(x, network(wanted).arrays("")[name], atol=1e-5, err_msg=name)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_network_acts_as_the_policy(activation):
    policy = random_policy(activation)
    obs = np.random.default_rng(3).normal(size=(50, OBS)).astype(np.float32)
    means, log_std = jax.vmap(policy)(obs)
    numpy = network(policy)
    np.testing.assert_allclose(numpy.forward(obs)[0], means, atol=1e-5)
    np.testing.assert_allclose([numpy.fold()(x) for x in obs], means, atol=1e-5)
    np.testing.assert_allclose(np.log(numpy.std), log_std[0], atol=1e-6)


@pytest.mark.parametrize("baseline", ["linear", "time", "zero"])
def test_advantages(baseline):
    batch = pad(random_episodes(random_policy()), STEPS)
    wanted = inner_batch(trajectories(batch), discount=0.95, gae_lambda=0.9, baseline=baseline)
    got = step_advantages(batch, discount=0.95, gae_lambda=0.9, baseline=baseline)
    np.testing.assert_allclose(got, wanted.advantage[0], atol=2e-4)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("subset", ["all", "mean", "bias"])
def test_a_policy_gradient_step(subset, activation):
    policy = random_policy(activation)
    sizes = init_step_sizes(policy, "parameter", 0.1)
    batch = pad(random_episodes(policy), STEPS)
    inner = jax.tree.map(lambda x: x[0], inner_batch(trajectories(batch), baseline="time"))
    wanted = adapt(policy, sizes, [inner], subset=subset)
    named = {f"step_sizes{k}": v for k, v in network(sizes).arrays("").items()}
    step = PolicyGradient(named, subset, 0.99, 1.0, "time")
    close(step(Acting(network(policy)), batch).network, wanted)


@pytest.mark.parametrize("kind", ["learned", "softmax"])
def test_a_step_of_the_latent(kind):
    policy, episodes = random_policy(), random_episodes(random_policy(), held=3)
    batch = pad(episodes, STEPS)
    rewards = segment(jnp.asarray(batch.reward, jnp.float32), 5)[None]
    scale = RewardScale.unknown(5).update(rewards, first=True)
    arrays = {f"scale/{n}": np.asarray(x) for n, x in scale._asdict().items()}
    if kind == "softmax":
        advantage = SoftmaxAdvantage(jnp.log(2.0))
        arrays["advantage/log_sharpness"] = np.asarray(advantage.log_sharpness)
    else:
        advantage = init_advantage(jax.random.key(1), 5, 3, 8, 0.7)
        advantage = replace(advantage, out=0.1 * jax.random.normal(jax.random.key(2), (8, 3)))
        arrays |= {
            f"advantage/{n}": np.asarray(getattr(advantage, n))
            for n in ("weight", "hidden", "bias", "out")
        }
    # These episodes hold random numbers, which are not white.
    step = slope_step if kind == "learned" else latent_step
    moved = step(advantage, scale, Explored(rewards, trajectories(batch).held))[0]
    latent = (np.full(3, 0.5, np.float32), np.full(3, -0.3, np.float32))
    got = LatentStep(arrays, kind, 5, 0.5)(Acting(network(policy), latent), batch)
    assert got.latent is not None
    np.testing.assert_allclose(got.latent[0], 0.5 + np.exp(-0.3) * moved, atol=1e-5)
    np.testing.assert_allclose(got.latent[1], -0.3 + np.log(0.5), atol=1e-6)


def test_a_gradient_step_of_the_latent():
    policy = random_policy()
    episodes = random_episodes(policy, held=3)
    latent = Latent(jnp.full(3, 0.5), jnp.full(3, -0.3))
    acting = Acting(network(policy), (np.asarray(latent.mean), np.asarray(latent.log_std)))
    batch = pad(episodes, STEPS)
    means = [acting.drawn(e.held).forward(e.obs)[0] for e in episodes]
    episodes = [
        replace(e, log_prob=log_prob(e.act, m, acting.network.log_std).astype(np.float32))
        for e, m in zip(episodes, means, strict=True)
    ]
    batch = pad(episodes, STEPS)
    data = trajectories(batch)
    inner = jax.tree.map(lambda x: x[0], with_held(inner_batch(data), data))
    sizes = Latent(jnp.full(3, 2.0), jnp.full(3, 1.0))
    wanted = maesn_step(policy, latent, sizes, inner)
    arrays = {"step_sizes/mean": np.full(3, 2.0), "step_sizes/log_std": np.full(3, 1.0)}
    got = LatentGradient(arrays, 0.99, 1.0)(acting, batch)
    assert got.latent is not None
    np.testing.assert_allclose(got.latent[0], wanted.mean, atol=2e-4)
    np.testing.assert_allclose(got.latent[1], wanted.log_std, atol=2e-4)


def test_the_encoder_finds_the_same_points():
    encoder = init_convolutions(jax.random.key(0), 3)
    frame = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    numpy = ConvEncoder(
        tuple(map(np.asarray, encoder.kernels)), tuple(map(np.asarray, encoder.biases)), (3, 3, 1)
    )
    wanted = np.asarray(encoder(np.zeros(3, np.float32), frame))[:-3]
    np.testing.assert_allclose(numpy(frame), wanted, atol=1e-5)
