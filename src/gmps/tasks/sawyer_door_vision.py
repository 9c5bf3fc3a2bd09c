"""Sawyer door opening from pixels: the learner sees a picture and where its hand is."""

import math
from dataclasses import dataclass
from typing import ClassVar

from gmps.tasks.base import Camera
from gmps.tasks.pixels import PixelFamily, View
from gmps.tasks.sawyer_door import SawyerDoor


@dataclass(frozen=True)
class SawyerDoorVision(SawyerDoor, PixelFamily):
    """`SawyerDoor` with a camera: the learner is shown no handle position. A final error below 10
    degrees is a success."""

    view: ClassVar[View] = View(Camera((0.02, 0.78, 0.27), 0.88, 70.0, -50.0), top=14, left=10)
    success_angle: ClassVar[float] = math.radians(10.0)

    @property
    def name(self) -> str:
        """`sawyer-door-vision`, with the variant where there is one."""
        return super().name.replace("sawyer-door", "sawyer-door-vision")

    @property
    def summary(self) -> str:
        """One line."""
        return "A robot hand opens a door to a hidden angle; the learner sees pictures."
