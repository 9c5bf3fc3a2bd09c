from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gmps.core.types import Demonstrations
from gmps.data.augmentation import task_moments, task_spread
from gmps.evaluation.diagnose import Told
from gmps.evaluation.telltale import in_words, told_by_state

KEY = jax.random.key(0)


def paths(gap: float) -> np.ndarray:
    """Two tasks, one episode of 40 steps each: parallel lines, `gap` apart."""
    along = np.linspace(0, 1, 40)
    return np.stack([np.stack([along, np.full(40, y)], -1) for y in (0.0, gap)])[:, None]


def demos(obs: np.ndarray) -> Demonstrations:
    flat = jnp.asarray(obs[:, 0], jnp.float32)
    return Demonstrations(flat, flat, jnp.ones(flat.shape[:2], bool))


def test_states_of_paths_apart_tell_the_task_and_those_of_one_path_do_not():
    recorded, moved = told_by_state(demos(paths(1.0)), KEY)
    assert recorded == 1
    assert moved is None
    # On one and the same path the nearest states of both are equally near, and the first is taken.
    assert told_by_state(demos(paths(0.0)), KEY)[0] == 0.5


@pytest.mark.parametrize("pictures", [False, True])
def test_states_that_are_moved_about_tell_less(pictures):
    # Steps differ little, and moves between the tasks much.
    obs, alive = paths(1.0), np.ones((2, 1, 40), bool)
    spread = task_moments(alive, 1.0) if pictures else task_spread(obs, alive, 1.0)
    recorded, moved = told_by_state(demos(obs)._replace(spread=spread), KEY)
    assert recorded == 1
    assert moved is not None
    assert 0.5 < moved < 0.95


def test_padding_is_neither_known_nor_asked_for():
    obs = paths(1.0)
    obs[0, 0, 20:] = [0.9, 1.0]
    valid = np.ones((2, 40), bool)
    valid[0, 20:] = False
    assert told_by_state(demos(obs)._replace(valid=jnp.asarray(valid)), KEY)[0] == 1


def test_in_words():
    told = Told(tasks=10, told_by_state=0.92, told_by_moved_state=None, latent_nats=0.012)
    words = " ".join(in_words(told))
    assert "tells its task in 92% of cases, by chance in 10%" in words
    assert "--spread moves" in words
    assert "say 0.012 nats" in words
    assert "That is little: to tell 10 tasks apart takes 2.3." in words
    fine = " ".join(in_words(replace(told, told_by_moved_state=0.3, latent_nats=2.6)))
    assert "states tell it in 30%" in fine
    assert "little" not in fine
    blind = " ".join(in_words(replace(told, told_by_state=0.12, latent_nats=None)))
    assert "--spread" not in blind
    assert "nats" not in blind
