"""What a policy is given, and what its actions mean."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gmps.deploy.networks import ConvEncoder
from gmps.errors import GmpsError


@dataclass(frozen=True)
class Spaces:
    """Sizes and units."""

    obs_size: int
    act_size: int
    #: Bounds of the robot's actions; -1 and 1 of the policy's units are scaled to them.
    low: np.ndarray
    high: np.ndarray
    #: `(height, width, 3)` of a frame; None where the policy acts on states.
    frame: tuple[int, ...] | None
    #: Of the convolutions, where there are any.
    strides: tuple[int, ...] = ()

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> "Spaces":
        """From what a meta-policy's or a policy's file says under `spaces`."""
        action, frame = facts["action"], facts["frame"]
        return cls(
            facts["observation"]["size"],
            action["size"],
            np.asarray(action["low"], np.float32),
            np.asarray(action["high"], np.float32),
            None if frame is None else (*frame["shape"],),
            () if frame is None else (*frame["strides"],),
        )

    def units(self, act: np.ndarray) -> np.ndarray:
        """An action in the robot's units, from one in [-1, 1]."""
        return self.middle + self.half * np.minimum(np.maximum(act, -1.0), 1.0)

    @functools.cached_property
    def middle(self) -> np.ndarray:
        """What 0 stands for."""
        return 0.5 * (self.low + self.high)

    @functools.cached_property
    def half(self) -> np.ndarray:
        """Half of the range."""
        return 0.5 * (self.high - self.low)

    def given(self, encoder: ConvEncoder | None, obs: Any, frame: Any = None) -> np.ndarray:
        """What a network is given for an observation, and a frame where it acts on pictures.

        Raises:
            GmpsError: a size is wrong, a number is not finite, or a policy of states is given a
                frame.
        """
        try:
            obs = np.asarray(obs, np.float32)
        except (TypeError, ValueError) as error:
            raise GmpsError(f"The observation is no vector of numbers: {error}.") from error
        if obs.shape != (self.obs_size,):
            raise GmpsError(
                f"The observation has shape {obs.shape}; this policy's is ({self.obs_size},)."
            )
        if not np.isfinite(obs).all():
            raise GmpsError("The observation holds a number that is not finite.")
        if encoder is None:
            if frame is not None:
                raise GmpsError("This policy acts on states, and is given a frame; leave it out.")
            return obs
        shape = None if frame is None else np.shape(frame)
        if shape != self.frame or np.asarray(frame).dtype != np.uint8:
            raise GmpsError(f"The frame has shape {shape}; this policy's is {self.frame}, uint8.")
        return np.concatenate([encoder(np.asarray(frame)), obs])
