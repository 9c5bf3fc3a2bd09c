"""Meta-World's own environments, each of which one object becomes in turn."""

from typing import Any, Literal

import gymnasium
import numpy as np
from jaxtyping import Float

#: Numbers of an observation: hand and gripper, object, the same of the step before, and the goal,
#: which is zeros here.
OBS_SIZE, GOAL = 39, slice(36, 39)
ACT_SIZE = 4

RewardVersion = Literal["v1", "v2"]

#: Kinds in which no expert succeeds with Meta-World's older rewards, by which it then judges
#: success: of a distance at the start, of the peg's handle, of a grip that it does not look at.
NEVER_WITH_V1 = ("hand-insert-v3", "peg-insert-side-v3", "stick-push-v3")


def environments() -> dict[str, Any]:
    """Meta-World's 50 environment classes by name."""
    from metaworld.env_dict import ALL_V3_ENVIRONMENTS  # noqa: PLC0415 - an extra

    return ALL_V3_ENVIRONMENTS


class AnyKind(gymnasium.Env):
    """An environment of Meta-World of the kind last chosen; goal hidden, one made of each kind."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (OBS_SIZE,), np.float64)
    action_space = gymnasium.spaces.Box(-1, 1, (ACT_SIZE,), np.float32)

    def __init__(self, reward_version: RewardVersion = "v2"):
        self._version = reward_version
        self._made: dict[str, Any] = {}
        self._env: Any = None

    @property
    def current(self) -> Any:
        """Meta-World's environment of the chosen kind."""
        return self._env

    def choose(self, env_name: str, rand_vec: Float[np.ndarray, " rand"]) -> None:
        """Set kind and random vector, by Meta-World's own `set_task`."""
        if env_name not in self._made:
            self._made[env_name] = environments()[env_name](reward_function_version=self._version)
        self._env = self._made[env_name]
        self._env.set_task(official_task(env_name, rand_vec))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """Meta-World's start of the chosen task: the seed changes nothing."""
        return self._env.reset(seed=seed, options=options)

    def step(self, action: Any) -> Any:
        """Meta-World's step."""
        return self._env.step(action)

    def close(self) -> None:
        """Close all that were made."""
        for env in self._made.values():
            env.close()


def official_task(env_name: str, rand_vec: Float[np.ndarray, " rand"]) -> Any:
    """Meta-World's own description of a task with its goal hidden."""
    import metaworld  # noqa: PLC0415 - an extra

    data = {"rand_vec": rand_vec, "env_cls": environments()[env_name], "partially_observable": True}
    return metaworld._encode_task(env_name, data)
