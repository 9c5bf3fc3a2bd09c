"""Meta-World's scripted policies as experts: they are shown the goal that the learner is not."""

import functools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from gmps.metaworld.environments import ACT_SIZE, GOAL

#: Kinds whose policy brings the hand to the goal, while the point between the fingers counts.
_BY_HAND = ("reach-v3", "reach-wall-v3")
#: How far that point is below the hand, m.
_FINGERS = 0.045


def scripted_actions(
    env_names: Sequence[str], tasks: Float[np.ndarray, "n 4"], obs: Float[np.ndarray, "n 39"]
) -> Float[np.ndarray, "n 4"]:
    """The policies' actions, clipped to [-1, 1], for a batch of states of any kinds.

    `env_names` says of each row of the list of goals what kind of task it is, such as `reach-v3`.

    In reach and reach-wall they are shown the goal raised by 4.5 cm: shown the goal itself they
    stop 4.4 to 4.7 cm from it, of the 5 that count, and who imitates them with the least error
    fails.
    """
    seen = obs.astype(np.float64)
    seen[:, GOAL] = tasks[:, :3]
    names = {row: env_names[round(row)] for row in np.unique(tasks[:, 3])}
    for row, name in names.items():
        if name in _BY_HAND:
            seen[tasks[:, 3] == row, GOAL.stop - 1] += _FINGERS
    actions = np.empty((len(obs), ACT_SIZE), np.float32)
    with warnings.catch_warnings():
        # Their gains are high, and so they say that what they return will be clipped.
        warnings.filterwarnings("ignore", "Constant", UserWarning)
        for i, row in enumerate(tasks[:, 3]):
            # Some policies write into what they are given; each row is used once.
            actions[i] = _policy(names[row]).get_action(seen[i])
    return np.clip(actions, -1, 1)


@functools.cache
def _policy(env_name: str) -> Any:
    from metaworld.policies import ENV_POLICY_MAP  # noqa: PLC0415 - an extra

    return ENV_POLICY_MAP[env_name]()
