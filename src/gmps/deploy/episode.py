"""One exploring episode: `act` and `record` in turn."""

from collections.abc import Callable
from typing import Any

import numpy as np

from gmps.deploy.episodes import RecordedEpisode
from gmps.deploy.networks import GaussianNetwork, log_prob
from gmps.deploy.spaces import Spaces
from gmps.errors import GmpsError


class Episode:
    """One episode of exploring: `act` and `record` in turn."""

    def __init__(
        self,
        network: GaussianNetwork,
        held: np.ndarray,
        noise: np.random.Generator,
        given: Callable[[Any, Any], np.ndarray],
        spaces: Spaces,
    ):
        """Args:
        network: acts, with the latent of this episode.
        held: the normal numbers that made its latent.
        noise: of its actions.
        given: from an observation and a frame to what the network is given, checked.
        spaces: what its actions mean.
        """
        self._held, self._noise, self._given, self._spaces = held, noise, given, spaces
        self._mean = network.fold()
        self._log_std, self._std = network.log_std, network.std
        self._obs: list[np.ndarray] = []
        self._frames: list[np.ndarray] = []
        self._act: list[np.ndarray] = []
        self._means: list[np.ndarray] = []
        self._reward: list[float] = []
        self._last: np.ndarray | None = None
        self._terminated = self._given_up = False

    def act(self, obs: Any, frame: Any = None) -> np.ndarray:
        """The action to take, `(act,)`, in the robot's units.

        Args:
            obs: the observation, `(obs,)`; of a policy that acts on pictures what it is given
                beside the picture.
            frame: the picture, uint8 `(height, width, 3)`.

        Raises:
            GmpsError: the last action has no reward yet, or the input does not fit.
        """
        if len(self._reward) < len(self._act):
            raise GmpsError("The last action has no reward yet; call record before act.")
        given = self._given(obs, frame)
        mean = self._mean(given)
        act = mean + self._std * self._noise.standard_normal(mean.shape[0], np.float32)
        self._obs.append(np.array(obs, np.float32))
        if frame is not None:
            self._frames.append(np.array(frame))
        self._act.append(act)
        self._means.append(mean)
        return self._spaces.units(act)

    def record(self, reward: float, obs: Any = None, terminated: bool = False) -> None:
        """The reward of the last action.

        Args:
            reward: a finite number.
            obs: the observation after the action. Only that after the last one counts, and only
                for steps that estimate values of observations; without it the last one seen does.
            terminated: whether the episode ended for good; a time limit is no such end.

        Raises:
            GmpsError: there is no action without a reward, the reward is not a finite number, or
                the observation does not fit. Then nothing is recorded; call it again.
        """
        if len(self._reward) == len(self._act):
            raise GmpsError("Every action has its reward; call act before record.")
        try:
            value = float(reward)
        except (TypeError, ValueError):
            value = float("nan")
        if not np.isfinite(value):
            raise GmpsError(f"The reward is {reward!r}; it must be a finite number.")
        last = None if obs is None else self._spaces.given(None, obs)
        self._reward.append(value)
        self._terminated = bool(terminated)
        if last is not None:
            self._last = last.copy()

    def discard(self) -> None:
        """Give this episode up: it is not recorded, and `explore` plays it again."""
        self._given_up = True

    def finished(self) -> RecordedEpisode | None:
        """The recording; None if it was given up or has no rewarded step.

        An action without a reward at the end is left out: the episode is cut before it.
        """
        steps = len(self._reward)
        if self._given_up or steps == 0:
            return None
        cut = len(self._act) > steps
        act = np.stack(self._act[:steps]).astype(np.float32)
        after = self._obs[steps] if cut else self._last
        return RecordedEpisode(
            obs=np.stack(self._obs[:steps]),
            act=act,
            reward=np.array(self._reward, np.float32),
            log_prob=log_prob(act, np.stack(self._means[:steps]), self._log_std),
            held=self._held,
            last_obs=self._obs[-1] if after is None else after,
            terminated=self._terminated and not cut,
            frames=np.stack(self._frames[:steps]) if self._frames else None,
        )
