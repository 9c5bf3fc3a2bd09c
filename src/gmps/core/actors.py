"""Actors choose actions; worlds run them. Pure and hashable, so that a world compiles each once."""

import abc
from typing import Any, ClassVar

from jaxtyping import Array, Float, UInt8

from gmps.core.types import Params, Task


class Actor(abc.ABC):
    """Chooses one action.

    `params` holds what differs between tasks; `noise` are independent standard normal numbers.
    Subclasses are frozen dataclasses.
    """

    #: Whether it acts on pictures, which a world then draws for it.
    needs_frames: bool = False
    #: Whether its actions depend on the noise.
    stochastic: bool = True

    @property
    @abc.abstractmethod
    def noise_size(self) -> int:
        """How many normal numbers one action consumes."""

    @abc.abstractmethod
    def __call__(
        self, params: Params, task: Task, obs: Float[Array, " obs"], noise: Float[Array, " noise"]
    ) -> tuple[Float[Array, " act"], Float[Array, ""]]:
        """The action, unclipped, and its log density under the actor."""

    #: Whether it remembers what an episode brought. A world then carries its memory from step to
    #: step and tells it each reward at once: see `RememberingActor`.
    remembers: ClassVar[bool] = False

    @property
    def held_noise(self) -> int:
        """How many of the numbers, the first ones, are drawn once for a whole episode.

        They make a latent of the episode.
        """
        return 0

    def held_spread(self, noise: Float[Array, "ep held"]) -> Float[Array, "ep held"]:
        """What the episodes of one task hold, from independent draws: by default these."""
        return noise

    def shared_encoder(self, params: Params) -> Any:
        """What all tasks of a rollout encode observations with: a pytree of arrays; by default
        nothing. Called on the host."""
        del params
        return ()

    def encode(
        self,
        encoder: Any,
        obs: Float[Array, "b obs"],
        frames: UInt8[Array, "b height width 3"] | None,
    ) -> Float[Array, "b feature"]:
        """What the actor is given in place of the observations: by default these. Pure.

        `obs` are the states' observations, `frames` what the camera shows there, if it draws.
        """
        del encoder, frames
        return obs


class RememberingActor(Actor):
    """An actor whose actions depend on what its episode has brought so far, rewards included.

    A memory is any pytree of arrays. Called as a function, it acts as in the first step.
    """

    remembers: ClassVar[bool] = True

    @abc.abstractmethod
    def begin(self, params: Params) -> Any:
        """The memory before the first step of an episode."""

    @abc.abstractmethod
    def step(
        self, params: Params, memory: Any, obs: Float[Array, " obs"], noise: Float[Array, " noise"]
    ) -> tuple[Any, Float[Array, " act"], Float[Array, ""]]:
        """The memory with this observation, the action, unclipped, and its log density."""

    @abc.abstractmethod
    def told(self, memory: Any, act: Float[Array, " act"], reward: Float[Array, ""]) -> Any:
        """The memory with what the step led to: the action as drawn, and its reward."""

    def __call__(
        self, params: Params, task: Task, obs: Float[Array, " obs"], noise: Float[Array, " noise"]
    ) -> tuple[Float[Array, " act"], Float[Array, ""]]:
        """The first action of an episode, and its log density."""
        del task
        _, act, log_prob = self.step(params, self.begin(params), obs, noise)
        return act, log_prob
