import jax
import jax.numpy as jnp
import pytest

from gmps.core.policy import PolicyActor, init_policy
from gmps.core.types import stack
from gmps.experts.base import ExpertActor, MixtureActor
from gmps.methods.gmps import expert_share
from gmps.methods.gmps_settings import GmpsConfig


def controller(task, obs):
    return task[0] * jnp.ones(2) + 0 * obs.sum()


def test_expert_noise_is_scaled_by_its_parameter():
    actor = ExpertActor(controller, 2)
    act, _ = actor(jnp.asarray(0.5), jnp.asarray([1.0]), jnp.zeros(3), jnp.asarray([1.0, -2.0]))
    assert act.tolist() == [1.5, 0.0]


def test_mixture_follows_the_expert_with_probability_beta():
    policy = init_policy(jax.random.key(0), 3, 2)
    actor = MixtureActor(controller, PolicyActor(2))
    assert actor.noise_size == 3
    noise = jax.random.normal(jax.random.key(1), (4000, 3))
    params = (jnp.float32(0.3), policy)
    act, _ = jax.vmap(lambda z: actor(params, jnp.asarray([7.0]), jnp.zeros(3), z))(noise)
    share = float((act == 7.0).all(-1).mean())
    assert share == pytest.approx(0.3, abs=5 * (0.3 * 0.7 / 4000) ** 0.5)


def test_mixture_density_is_the_learners():
    policy = init_policy(jax.random.key(0), 3, 2)
    learner = PolicyActor(2)
    noise = jnp.asarray([0.3, -0.2, 10.0])
    _, log_prob = MixtureActor(controller, learner)(
        (jnp.float32(0.0), policy), jnp.asarray([7.0]), jnp.ones(3), noise
    )
    act, expected = learner(policy, None, jnp.ones(3), noise[:2])
    assert log_prob == expected
    assert expected == pytest.approx(float(policy.head.log_prob(jnp.ones(3), act)), rel=1e-6)


def test_beta_schedules_in_closed_form():
    zero, linear, geometric = (
        [expert_share(GmpsConfig(beta=b, beta_rounds=4), j) for j in range(6)]  # pyright: ignore[reportArgumentType]
        for b in ("zero", "linear", "geometric")
    )
    assert zero == [0.0] * 6
    assert linear == [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]
    assert geometric == pytest.approx([2.718281828459045 ** (-j / 4) for j in range(6)])
    with pytest.raises(ValueError, match="beta is 'fast'; it must be 'zero', 'linear' or 'geo"):
        expert_share(GmpsConfig(beta="fast"), 0)  # pyright: ignore[reportArgumentType]


def test_stack_copies_along_the_task_axis():
    assert stack({"a": jnp.arange(3)}, 2)["a"].tolist() == [[0, 1, 2], [0, 1, 2]]
