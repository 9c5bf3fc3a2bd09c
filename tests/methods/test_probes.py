"""Every method on families whose answer is known."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmps.core.trust_region_settings import TrustRegionConfig
from gmps.core.types import stack
from gmps.experts.base import ExpertActor, label
from gmps.experts.sac_settings import SacConfig
from gmps.methods.adaptation import explore
from gmps.methods.gmps_latent_settings import GmpsLatentConfig
from gmps.methods.gmps_settings import GmpsConfig
from gmps.methods.in_context_settings import InContextConfig
from gmps.methods.maesn_settings import MaesnConfig
from gmps.methods.maml_settings import MamlConfig
from gmps.methods.multitask_bc_settings import MultitaskBcConfig
from gmps.methods.multitask_settings import MultitaskConfig
from gmps.methods.outer_settings import PpoConfig
from gmps.methods.pearl_settings import PearlConfig
from gmps.methods.registry import METHODS, make_method
from gmps.methods.rl2_settings import Rl2Config
from gmps.worlds.factory import make_world
from probe_families import SignBandit, TwoSteps

#: Positions say nothing here, so they are not blown up.
SMALL: dict[str, Any] = {"episodes": 40, "hidden": (8,), "normalise": False}
#: Settings, rounds, and the return after one step, of at most 1, that the method must exceed in
#: each task.
SETTINGS: dict[str, tuple[Any, int, float | None]] = {
    "gmps": (GmpsConfig(**SMALL, std=0.5, labels=40, pretrain_steps=50, capacity=200), 20, 0.3),
    "gmps-latent": (
        GmpsLatentConfig(
            **SMALL, latent=2, advantage_hidden=8, labels=40, pretrain_steps=300, capacity=200
        ),
        5,
        0.5,
    ),
    "in-context": (
        InContextConfig(
            **SMALL, latent=2, width=16, layers=1, remembered=40, labels=40, pretrain_steps=300,
            capacity=200,
        ),
        5,
        0.5,
    ),
    "maml": (MamlConfig(**SMALL, trust_region=TrustRegionConfig(max_kl=0.05)), 20, 0.2),
    "maesn": (MaesnConfig(**SMALL, trust_region=TrustRegionConfig(max_kl=0.05)), 20, 0.2),
    # Nothing tells it which actions are worth keeping: it may end where one step turns nothing.
    "multitask": (MultitaskConfig(**SMALL, step_sizes=(0.1, 0.4)), 5, None),
    "multitask-bc": (MultitaskBcConfig(**SMALL, stds=(0.5,), step_sizes=(0.1, 0.4)), 2, 0.1),
    "pearl": (
        PearlConfig(
            latent=2, prior_episodes=20, posterior_episodes=10, gradient_steps=150, context=16,
            sac=SacConfig(hidden=(32,), learning_rate=3e-3, batch=64),
        ),
        10,
        0.3,
    ),
    "rl2": (
        Rl2Config(
            episodes=4, trials=40, memory=8, hidden=(8,), normalise=False, discount=1.0,
            ppo=PpoConfig(steps=20, learning_rate=1e-2, clip=0.2),
        ),
        20,
        0.3,
    ),
}  # fmt: skip

#: Own episodes of the step where they are not 40: those of a trial.
EPISODES = {"rl2": 4}


def test_no_method_is_left_out():
    assert list(SETTINGS) == list(METHODS)


@pytest.mark.parametrize("family", [SignBandit(), TwoSteps()], ids=lambda f: f.name)
@pytest.mark.parametrize("name", SETTINGS)
def test_nothing_is_earned_before_the_update_and_something_after(name: str, family: SignBandit):
    settings, rounds, least = SETTINGS[name]
    world, tasks, expert = make_world(family), family.tasks("train"), family.expert
    shown = world.rollout(ExpertActor(expert, 2), jnp.full(2, 0.3), tasks, 4, jax.random.key(9))
    demos = label(expert, tasks, shown.trajectories)
    method = make_method(name, settings, world, tasks, expert)
    state = method.init(jax.random.key(0), demos)
    for i in range(rounds):
        state, gathered = method.gather(state, jax.random.key(2 * i))
        state, _ = method.update(state, gathered, jax.random.key(2 * i + 1))
    policies = stack(method.policy(state), 2)
    n = EPISODES.get(name, 40)
    data = explore(world, method, state, policies, tasks, episodes=n, key=jax.random.key(7))
    adapted = method.adapt(state, policies, data)
    before, after = (
        np.asarray(world.rollout(method.actor(False), p, tasks, 40, key).trajectories.returns)
        for p, key in ((policies, jax.random.key(8)), (adapted, jax.random.key(9)))
    )
    # Start positions differ, and with them what the policy does.
    assert abs(before.mean()) < 4 * before.std(1).max() / np.sqrt(before.size) + 1e-6
    if least is not None:
        assert after.mean(1).min() > least
