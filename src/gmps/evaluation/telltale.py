"""How far states of demonstrations betray their task: a nearest-neighbour classifier.

What betrays the task makes everything else that tells it needless: the latent and the own rewards
that an inner step reads.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from gmps.core.policy import mixed
from gmps.core.types import Demonstrations, TaskMoments
from gmps.data.augmentation import moved, once_each
from gmps.evaluation.diagnose import Told

#: States of each task that are asked for, and as many that are known.
STATES = 100
#: A share of states told right above this, and above twice that of chance, betrays the task.
BETRAYS = 0.5


def told_by_state(demos: Demonstrations, key: Key[Array, ""]) -> tuple[float, float | None]:
    """Share of demonstrated states whose task the nearest other known state tells, in [0, 1].

    Distances are of numbers in their standard deviations. Of a task's steps every other one is
    known, and up to `STATES` of the others are asked for. Where the learner is shown pictures,
    states stand for what it makes of them.

    Returns:
        The share as recorded, and as sampled for learning, moved about between tasks; None where
        they are not moved.
    """
    known, asked = _halves(demos.valid)
    recorded = _recognised(np.asarray(demos.obs), known, asked)
    if demos.spread is None:
        return recorded, None
    if isinstance(demos.spread, TaskMoments):
        labels = once_each(demos.spread, key)
        obs = jax.vmap(lambda x, row: x[row])(jnp.asarray(demos.obs), labels.row)
        about = mixed(obs, labels.mixing)
        known, asked = _halves(labels.valid)
    else:
        about = moved(jnp.asarray(demos.obs), demos.spread.moment, demos.spread, key)
    return recorded, _recognised(np.asarray(about), known, asked)


def _halves(valid: Bool[Array, "task n"]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    known, asked = [], []
    for of_task in np.asarray(valid):
        rows = np.flatnonzero(of_task)
        for half, into in ((rows[::2], known), (rows[1::2], asked)):
            into.append(half[np.linspace(0, len(half) - 1, min(STATES, len(half))).astype(int)])
    return known, asked


def _recognised(
    obs: Float[np.ndarray, "task n obs"], known: list[np.ndarray], asked: list[np.ndarray]
) -> float:
    """Share of `asked` rows whose nearest `known` row is of their own task."""
    first = np.concatenate([obs[i, rows] for i, rows in enumerate(known)])
    second = np.concatenate([obs[i, rows] for i, rows in enumerate(asked)])
    std = np.maximum(first.std(0), np.finfo(np.float32).eps)
    near = np.array([np.argmin((((first - x) / std) ** 2).sum(-1)) for x in second])
    of = [np.repeat(np.arange(len(x)), [len(r) for r in x]) for x in (known, asked)]
    return float(np.mean(of[0][near] == of[1]))


def in_words(told: Told) -> list[str]:
    """The figures as sentences, and what may be tried."""
    tasks, plain = told.tasks, told.told_by_state
    moved, nats = told.told_by_moved_state, told.latent_nats
    chance = 1 / tasks
    betrays = plain > max(BETRAYS, 2 * chance)
    sentences = [
        f"A demonstrated state alone tells its task in {plain:.0%} of cases, by chance in "
        f"{chance:.0%}."
    ]
    if moved is not None:
        sentences.append(f"Moved about for learning (--spread), states tell it in {moved:.0%}.")
    elif betrays:
        sentences.append(
            "A network can learn such paths by heart: where nobody labels other states, --spread "
            "moves these about."
        )
    if nats is not None:
        sentences.append(f"The tasks' own latents say {nats:.3g} nats about their tasks.")
        if nats < 0.5 * np.log(tasks):
            sentences.append(
                f"That is little: to tell {tasks} tasks apart takes {np.log(tasks):.2g}. A smaller "
                "kl_weight or more --spread may make them say more."
            )
    return sentences
