"""Scripted experts: they are shown the goal that the learner is not.

Meta-World's own policies, but for the peg, which they put into its hole for 41 of 50 goals.
"""

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
    fails. In peg-insert-side `insert_peg` acts.
    """
    seen = obs.astype(np.float64)
    seen[:, GOAL] = tasks[:, :3]
    names = {row: env_names[round(row)] for row in np.unique(tasks[:, 3])}
    for row, name in names.items():
        if name in _BY_HAND:
            seen[tasks[:, 3] == row, GOAL.stop - 1] += _FINGERS
    own = np.array([names[row] in _OWN for row in tasks[:, 3]], bool)
    actions = np.empty((len(obs), ACT_SIZE), np.float32)
    for name, act in _OWN.items():
        mine = np.array([names[row] == name for row in tasks[:, 3]], bool)
        actions[mine] = act(seen[mine])
    with warnings.catch_warnings():
        # Their gains are high, and so they say that what they return will be clipped.
        warnings.filterwarnings("ignore", "Constant", UserWarning)
        for i in np.nonzero(~own)[0]:
            # Some policies write into what they are given; each row is used once.
            actions[i] = _policy(names[tasks[i, 3]]).get_action(seen[i])
    return np.clip(actions, -1, 1)


def insert_peg(seen: Float[np.ndarray, "n 39"]) -> Float[np.ndarray, "n 4"]:
    """Grip the peg, bring its head in front of the hole, and push it in.

    Meta-World's policy steers the hand. Where the peg has slipped down between the fingers it takes
    it for one that is not held, and drags it over the table. This one steers the head of the peg,
    and knows by the gripper whether it holds it.

    Args:
        seen: observations whose last three numbers are the goal, in the hole, m.

    Returns:
        The move of the hand, 1 cm per unit, and the grip.
    """
    hand, opening, peg, goal = seen[:, :3], seen[:, 3], seen[:, 4:7], seen[:, GOAL]
    apart = np.linalg.norm(hand[:, :2] - peg[:, :2], axis=1)
    high = hand[:, 2] - peg[:, 2]
    held = (apart < 0.05) & (np.abs(high) < 0.05) & (opening < 0.5)
    over = apart < 0.02
    closing = held | (over & (high < 0.03))
    # From 12 cm above it straight down to the peg.
    coming = np.where((over | closing)[:, None], peg, peg + np.array([0, 0, 0.12]))
    missing = goal - (peg + np.array([-0.13, 0, -0.01]))
    straight = (np.abs(missing[:, 1:]) < 0.012).all(1)
    # In front of the hole, 12 cm from the goal, until it can go straight in, and 2 cm beyond.
    missing[:, 0] += np.where(straight, -0.02, 0.12)
    move = 20 * np.where(held[:, None], missing, coming - hand)
    return np.column_stack([np.clip(move, -1, 1), np.where(closing, 0.8, -1.0)])


#: Our own, which take observations with the goal shown.
_OWN = {"peg-insert-side-v3": insert_peg}


@functools.cache
def _policy(env_name: str) -> Any:
    from metaworld.policies import ENV_POLICY_MAP  # noqa: PLC0415 - an extra

    return ENV_POLICY_MAP[env_name]()
