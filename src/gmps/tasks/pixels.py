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

    `observe` gives what experts see. The learner is shown the frame and the first `hand_size`
    numbers of the observation; the goal is in neither.
    """

    view: ClassVar[View]
    #: Numbers at the start of an observation that the learner is shown beside the frame.
    hand_size: ClassVar[int] = 3
