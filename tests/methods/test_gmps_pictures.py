"""GMPS from pictures: where gradients go, what an inner step moves, and a round of training."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_render import needs_gl

from gmps.core.adapt import adapt, init_step_sizes, inner_batch
from gmps.core.losses import InnerBatch, imitation_loss
from gmps.core.policy import init_policy
from gmps.core.types import Demonstrations, stack
from gmps.experts.base import ExpertActor, label
from gmps.methods.gmps import Gmps, GmpsParams, outer_gradient
from gmps.methods.gmps_settings import GmpsConfig
from gmps.methods.inner_step import features
from gmps.methods.multitask_bc import MultitaskBc
from gmps.methods.multitask_bc_settings import MultitaskBcConfig
from gmps.methods.normalisation import renormalised
from gmps.presets import preset
from gmps.runs import checkpoint
from gmps.tasks import make_family
from gmps.worlds.factory import make_world

TASKS, EPISODES, STEPS, LABELS = 2, 2, 4, 5
CONFIG = GmpsConfig(
    baseline="time", std=0.3, step_size=0.08, episodes=2, hidden=(16,), labels=10,
    pretrain_steps=10, pretrain_labels=10, capacity=60, visit_episodes=1,
    outer_steps=2,
)  # fmt: skip


def random_frames(key, *lead):
    return jax.random.randint(key, (*lead, 48, 64, 3), 0, 256, jnp.uint8)


@pytest.fixture(scope="module")
def problem():
    """Meta-parameters, an inner batch of features, and labels with frames."""
    keys = jax.random.split(jax.random.key(0), 8)
    policy = init_policy(keys[0], 3, 3, camera=True, hidden=(8,), bias_size=2)
    params = GmpsParams(policy, init_step_sizes(policy.head, "parameter", 0.5))
    shape = (TASKS, EPISODES, STEPS)
    obs = jax.random.normal(keys[2], (*shape, 3))
    batch = InnerBatch(
        obs=policy.encoder(obs, random_frames(keys[1], *shape)),
        act=jax.random.normal(keys[3], (*shape, 3)),
        advantage=jax.random.normal(keys[4], shape),
        log_prob=jnp.zeros(shape),
        weight=jnp.ones(shape),
        alive=jnp.ones(shape, bool),
    )
    labels = Demonstrations(
        obs=jax.random.normal(keys[5], (TASKS, LABELS, 6)),
        act=jnp.clip(jax.random.normal(keys[6], (TASKS, LABELS, 3)), -1, 1),
        valid=jnp.ones((TASKS, LABELS), bool),
        frames=random_frames(keys[7], TASKS, LABELS),
    )
    return params, batch, labels


def outer_loss(params, batch, labels, config):
    """The whole outer loss by its definition; the inner batch is data."""
    policy = params.policy

    def one_task(batch, labels):
        adapted = adapt(policy.head, params.step_sizes, [batch], subset=config.subset)
        seen = policy.encoder(labels.obs, labels.frames)
        return sum(
            weight * imitation_loss(head, seen, labels.act, labels.valid, config.imitation)
            for weight, head in ((1.0, adapted), (config.blind_weight, policy.head))
        )

    return jax.vmap(one_task)(batch, labels).mean()


@pytest.mark.parametrize("subset", ["mean", "bias"])
def test_the_outer_gradient_is_that_of_the_definition(problem, subset):
    config = GmpsConfig(subset=subset)
    _, gradient = jax.jit(outer_gradient, static_argnums=3)(
        problem[0], problem[1:2], problem[2], config
    )
    wanted = jax.jit(jax.grad(outer_loss), static_argnums=3)(*problem, config)
    for got, want in zip(jax.tree.leaves(gradient), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(got, want, atol=2e-6, rtol=2e-3)
    kernels = gradient.policy.encoder.kernels
    assert min(float(jnp.abs(k).max()) for k in kernels) > 0


def test_convolutions_learn_through_the_outer_loss_alone(problem):
    # Where the adapted policy does what the labels say, the outer loss is flat. Then nothing
    # reaches the convolutions, whatever the inner batch holds.
    params, batch, labels = problem
    config = GmpsConfig(blind_weight=0.0, imitation="mse")
    policy = params.policy
    heads = jax.vmap(lambda b: adapt(policy.head, params.step_sizes, [b], subset="mean"))(batch)
    seen = policy.encoder(labels.obs, labels.frames)
    means = jax.vmap(lambda head, obs: jax.vmap(head)(obs)[0])(heads, seen)
    labels = labels._replace(act=means)
    loss, gradient = outer_gradient(params, (batch,), labels, config)
    assert loss < 1e-10
    assert max(float(jnp.abs(x).max()) for x in jax.tree.leaves(gradient.policy.encoder)) < 1e-6


def test_rescaling_keeps_the_function(problem):
    params, _, labels = problem
    policy = renormalised(params.policy, labels)
    for i in range(LABELS):
        shown = labels.obs[0, i], labels.frames[0, i]
        np.testing.assert_allclose(policy(*shown)[0], params.policy(*shown)[0], atol=1e-4)
    assert not np.allclose(policy.head.obs_std, 1)


def test_settings_that_need_the_state_are_refused_where_there_are_pictures():
    family = make_family("sawyer-push-vision")
    with pytest.raises(ValueError, match=r"^baseline is 'linear', which reads the state"):
        Gmps.require_fit(GmpsConfig(), family)
    with pytest.raises(ValueError, match=r"^beta is 'linear'; an expert does not act"):
        Gmps.require_fit(GmpsConfig(baseline="zero", beta="linear"), family)
    Gmps.require_fit(GmpsConfig(baseline="zero"), family)
    Gmps.require_fit(GmpsConfig(beta="linear"), make_family("sawyer-push"))


def test_the_presets_of_families_with_a_camera_fit():
    for family in ("sawyer-push-vision", "sawyer-door-vision"):
        for name in ("default", "paper"):
            settings = preset(family, "gmps", name).settings
            assert isinstance(settings, GmpsConfig)
            Gmps.require_fit(settings, make_family(family))


@pytest.fixture(scope="module")
def trained():
    """A method, its demonstrations, and its states and metrics over two rounds."""
    world = make_world(make_family("sawyer-push-vision"), 2)
    tasks = world.family.tasks("train", 2)
    expert = ExpertActor(world.family.expert, 3)
    roll = world.rollout(expert, jnp.full(2, 0.3), tasks, 1, jax.random.key(1))
    demos = label(world.family.expert, tasks, roll.trajectories)
    method = Gmps(CONFIG, world, tasks, world.family.expert)
    states, rows = [method.init(jax.random.key(0), demos)], []
    for i in range(2):
        state, row = one_round(method, states[-1], i)
        states.append(state)
        rows.append(row)
    return method, demos, states, rows


def one_round(method, state, i):
    state, gathered = method.gather(state, jax.random.key(2 * i))
    state, metrics = method.update(state, gathered, jax.random.key(2 * i + 1))
    return state, {**gathered.metrics, **{k: float(v) for k, v in metrics.items()}}


@needs_gl
def test_rounds_are_traced_once_repeat_and_survive_a_checkpoint(trained, tmp_path):
    method, _, states, rows = trained
    assert method.compiled_learn._cache_size() == 1
    assert all(np.isfinite(list(row.values())).all() for row in rows)
    assert states[0].data.frames.dtype == jnp.uint8
    assert states[2].data.frames.shape == (2, 50 + CONFIG.capacity, 48, 64, 3)
    checkpoint.save(tmp_path / "state.safetensors", states[1])
    state, _ = checkpoint.load(tmp_path / "state.safetensors", states[0])
    state, row = one_round(method, state, 1)
    assert row == rows[1]
    assert eqx.tree_equal(state, states[2])
    moved = jax.tree.map(
        lambda a, b: float(jnp.abs(a - b).max()),
        states[0].params.policy.encoder,
        states[2].params.policy.encoder,
    )
    assert min(jax.tree.leaves(moved)) > 0


@needs_gl
@pytest.mark.parametrize("subset", ["mean", "bias"])
def test_an_inner_step_never_moves_the_convolutions(trained, subset):
    base, _, states, _ = trained
    state = states[2]
    method = replace(base, config=replace(CONFIG, subset=subset), controller=None)
    before = stack(method.policy(state), 2)
    data = base.world.rollout(method.actor(), before, base.tasks, 2, jax.random.key(7)).trajectories
    after = method.adapt(state, before, data)
    assert eqx.tree_equal(after.encoder, before.encoder)
    assert not np.array_equal(after.head.bias_transform, before.head.bias_transform)
    same = np.array_equal(after.head.weights[0], before.head.weights[0])
    assert same == (subset == "bias")
    np.testing.assert_array_equal(after.head.log_std, before.head.log_std)


@needs_gl
def test_the_inner_step_consumes_features(trained):
    method, _, states, _ = trained
    policies = stack(method.policy(states[2]), 2)
    data = method.world.rollout(
        method.actor(), policies, method.tasks, 2, jax.random.key(7)
    ).trajectories
    batch = features(policies, inner_batch(data, baseline="zero"))
    assert batch.frames is None
    assert batch.obs.shape == (2, 2, 50, 35)
    # With the zero baseline, advantages are the standardised discounted returns.
    weights = 0.99 ** np.arange(50)
    returns = np.array(
        [[(np.asarray(e)[t:] * weights[: 50 - t]).sum() for t in range(50)] for e in data.reward[0]]
    )
    wanted = (returns - returns.mean()) / returns.std()
    np.testing.assert_allclose(batch.advantage[0], wanted, atol=1e-3)
    # The policy's densities are those of the features, not of the state.
    head = method.policy(states[2]).head
    np.testing.assert_allclose(
        head.log_prob(batch.obs[1, 1, 20], data.act[1, 1, 20]), data.log_prob[1, 1, 20], atol=1e-3
    )
    with pytest.raises(ValueError, match=r"^baseline is 'linear', which reads the state"):
        inner_batch(data)


@needs_gl
def test_imitation_without_the_task_learns_from_pictures_too(trained):
    gmps, demos, _, _ = trained
    config = MultitaskBcConfig(
        baseline="time", pretrain_steps=5, steps=2, labels=5, hidden=(32,), stds=(0.3,),
        step_sizes=(0.05,), episodes=2, measure_episodes=1,
    )  # fmt: skip
    method = MultitaskBc(config, gmps.world, gmps.tasks)
    start = method.init(jax.random.key(0), demos)
    # Its head's inputs are features of the experts' pictures, shifted and scaled to these.
    inputs = (start.policy.encoder(demos.obs, demos.frames) - start.policy.head.obs_mean) / (
        start.policy.head.obs_std
    )
    assert np.abs(inputs.mean((0, 1))).max() < 0.6
    state, row = one_round(method, start, 0)
    assert np.isfinite(list(row.values())).all()
    kernels = zip(start.policy.encoder.kernels, state.policy.encoder.kernels, strict=True)
    assert all(np.abs(a - b).max() > 0 for a, b in kernels)
    before = stack(method.policy(state), 2)
    data = method.world.rollout(
        method.actor(), before, method.tasks, 2, jax.random.key(7)
    ).trajectories
    after = method.adapt(state, before, data)
    assert eqx.tree_equal(after.encoder, before.encoder)
    assert not np.array_equal(after.head.weights[0], before.head.weights[0])
    with pytest.raises(ValueError, match=r"^baseline is 'linear', which reads the state"):
        MultitaskBc(replace(config, baseline="linear"), method.world, method.tasks)
