"""Families whose learner sees pictures: experts see the state, the learner a frame and the hand."""

from dataclasses import dataclass
from typing import ClassVar

from gmps.tasks.base import Camera, MujocoFamily


@dataclass(frozen=True)
class View:
    """What the learner's camera shows: a part of a square picture, in pixels."""

    camera: Camera
    #: First row and column of the part, from the upper left corner.
    top: int
    left: int
    #: Edge of the square picture.
    rendered: int = 84
    #: Size of the part.
    height: int = 48
    width: int = 64


class PixelFamily(MujocoFamily):
    """A MuJoCo family with a camera.

    `observe` gives what experts see. The learner is shown the frame and proprioception, the first
    numbers of the observation; the goal is in neither.
    """

    has_camera: ClassVar[bool] = True
    view: ClassVar[View]

    @property
    def proprioception_size(self) -> int:
        """The position of the hand, m."""
        return 3
