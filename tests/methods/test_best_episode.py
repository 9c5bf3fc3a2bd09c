"""The control that imitates a latent and takes the best of its episodes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmps.core.types import Demonstrations, stack
from gmps.data.aggregate import start_aggregate
from gmps.methods.best_episode import fit_latent
from gmps.methods.gmps_latent import GmpsLatent
from gmps.methods.gmps_latent_settings import GmpsLatentConfig
from gmps.methods.maml import Maml
from gmps.methods.maml_settings import MamlConfig
from gmps.tasks import make_family
from gmps.worlds.factory import make_world

CONFIG = GmpsLatentConfig(latent=2, hidden=(8,), episodes=6, pretrain_steps=1, labels=4)
KEY = jax.random.key(0)


def test_a_task_gets_the_latent_of_its_best_episode():
    world = make_world(make_family("point-goal"))
    tasks = world.family.tasks("train", 3)
    obs = jnp.zeros((3, 5, 2))
    demos = Demonstrations(obs, obs + 0.1, jnp.ones((3, 5), bool))
    labels = start_aggregate(demos, 0)
    method = GmpsLatent(CONFIG, world, tasks)
    untrained = method.untrained(KEY, demos)
    state = method.init(KEY, demos)
    control = fit_latent(method, state, untrained, labels, 20, KEY)
    assert control is not None
    # It explores with the noise of the method, which practises with less than it imitates with.
    assert CONFIG.practice_std < CONFIG.std
    noise = control.method.policy(control.state).action_std
    np.testing.assert_array_equal(noise, method.policy(state).action_std)
    np.testing.assert_allclose(noise, CONFIG.practice_std, rtol=1e-6)
    policies = stack(control.method.policy(control.state), 3)
    data = world.rollout(control.method.actor(), policies, tasks, 6, KEY).trajectories
    adapted = control.method.adapt(control.state, policies, data)
    best = np.argmax(data.returns, 1)
    np.testing.assert_allclose(adapted.latent.mean, np.asarray(data.held)[np.arange(3), best])
    assert len(set(best.tolist())) > 1
    np.testing.assert_allclose(jnp.exp(adapted.latent.log_std), CONFIG.narrowing, rtol=1e-6)
    # More imitation is another policy: the budget is what was asked for.
    other = fit_latent(method, state, untrained, labels, 1, KEY)
    assert other is not None
    assert not np.allclose(
        other.state.params.net.head.biases[-1], control.state.params.net.head.biases[-1]
    )


@pytest.mark.parametrize("rounds", [0, 3])
def test_the_budget_of_imitation(rounds):
    world = make_world(make_family("point-goal"))
    tasks = world.family.tasks("train", 2)
    config = CONFIG.outer_steps
    assert GmpsLatent(CONFIG, world, tasks).imitation_steps(rounds) == 1 + rounds * config
    assert Maml(MamlConfig(), world, tasks).imitation_steps(rounds) == 0
    other = Maml(MamlConfig(), world, tasks)
    assert fit_latent(other, None, None, None, 1, KEY) is None  # pyright: ignore
