"""A MuJoCo family with a camera on CPU threads: pictures are drawn within the closed loop.

As in `NativeWorld` the batch runs in two halves, so one half's pictures are drawn while the other
half's physics or policy runs. Actors that do not look, such as experts, act on the state as in any
other world; what they did is drawn afterwards. Either way the trajectories hold the frames.
"""

from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Array, Float, Key, UInt8

from gmps.core.actors import Actor
from gmps.core.types import Params, Rollout, Task
from gmps.sim.cameras import Cameras
from gmps.tasks.base import State
from gmps.tasks.pixels import PixelFamily
from gmps.worlds.base import Draws
from gmps.worlds.native_world import NativeWorld, Tape


class VisionWorld(NativeWorld):
    """See the module docstring. One rollout at a time."""

    def __init__(self, family: PixelFamily, threads: int | None = None):
        """Raises GmpsError where MuJoCo cannot draw, or `threads` is below 1."""
        super().__init__(family, threads)
        # One set of cameras for each half.
        self._cameras = [Cameras(family, max(1, self.threads // 2)) for _ in range(2)]
        self._frames: UInt8[np.ndarray, "b t height width 3"] | None = None

    def rollout(
        self, actor: Actor, params: Params, tasks: Task, episodes: int, key: Key[Array, ""] | Draws
    ) -> Rollout:
        """See `gmps.worlds.base.World.rollout`; the trajectories hold frames.

        Raises:
            GmpsError: the tasks' policies have different encoders.
        """
        self._frames = None
        rollout = super().rollout(actor, params, tasks, episodes, key)
        drawn = self._take()
        if drawn is None:
            acted = jax.tree.map(lambda x: x[:, :, :-1], rollout.states)
            frames = self.draw(acted)
        else:
            frames = drawn.reshape(-1, episodes, *drawn.shape[1:])
        return rollout._replace(trajectories=rollout.trajectories._replace(frames=frames))

    def _take(self) -> UInt8[np.ndarray, "b t height width 3"] | None:
        """The frames of the last rollout, once; None where its actor did not look."""
        frames, self._frames = self._frames, None
        return frames

    def draw(self, states: State) -> UInt8[np.ndarray, "*n height width 3"]:
        """What the camera shows in states with any leading axes."""
        qpos = np.asarray(states.qpos)
        flat = qpos.reshape(-1, qpos.shape[-1])
        frames = np.empty((len(flat), *self._cameras[0].shape), np.uint8)
        middle = len(flat) // 2
        halves = (slice(0, middle), slice(middle, None))
        jobs = [
            self._workers.submit(cameras.draw, flat[half], frames[half])
            for cameras, half in zip(self._cameras, halves, strict=True)
        ]
        for job in jobs:
            job.result()
        return frames.reshape(*qpos.shape[:-1], *frames.shape[1:])

    def _decide(
        self, actor: Actor, policy: Callable[..., Array], tape: Tape, rows: slice
    ) -> Callable[[int], Array]:
        if not actor.needs_frames:
            return lambda t: policy(tape.inputs[t, rows], None)
        cameras = self._cameras[rows.start > 0]
        states, batch, _ = tape.inputs.shape
        if self._frames is None:
            # By episodes, as they are handed over: a batch of pictures is not copied as a whole.
            self._frames = np.empty((batch, states - 1, *cameras.shape), np.uint8)
        frames = self._frames[rows]
        seen = np.zeros((len(frames), *cameras.shape), np.uint8)

        def decide(t: int) -> Float[Array, "b out"]:
            inputs = tape.inputs[t, rows]
            # Nobody acts in the last state.
            if t < states - 1:
                cameras.draw(inputs, seen)
                frames[:, t] = seen
            return policy(inputs, seen)

        return decide
